"""The solver of many small problems, and the derivatives it lives on."""

from functools import partial

import numpy as np
import numpy.typing as npt
import pytest

from tasks.core.rng import generator
from tasks.mixture.predictors import exponential as exponential_module
from tasks.mixture.predictors import law as law_module
from tasks.mixture.predictors import process as process_module
from tasks.mixture.predictors.least_squares import Expansion, Model, Prior, Targets, solve
from tests.mixture.made import mixtures

Array = npt.NDArray[np.float64]


def line(features_RP: Array, p_BP: Array) -> Expansion:
    """A model without second derivatives."""
    slopes_BRP = np.repeat(features_RP[None], len(p_BP), axis=0)
    return Expansion(p_BP @ features_RP.T, slopes_BRP, lambda _: np.zeros((len(p_BP), p_BP.shape[1], p_BP.shape[1])))


def free(parameters: int, bound: float = 1e6) -> Prior:
    return Prior(np.zeros(parameters), np.zeros(parameters), np.full(parameters, -bound), np.full(parameters, bound))


def with_zero_weight() -> Array:
    weights_RD = mixtures(15, 4)
    weights_RD[0] = [0, 0, 0.5, 0.5]
    return weights_RD


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        (partial(law_module._model, law_module._log(with_zero_weight())), 9),
        (partial(exponential_module._model, with_zero_weight(), True), 6),
        (partial(exponential_module._model, with_zero_weight(), False), 6),
    ],
    ids=["power law", "olmix", "mixing law"],
)
def test_first_and_second_derivatives_of_laws_are_the_derivatives(model: Model, parameters: int) -> None:
    point_BP = generator(7, "point").normal(-0.5, 0.3, (2, parameters))
    factor_BR = generator(7, "factor").standard_normal((2, 15))
    at = model(point_BP)
    for index, step in enumerate(1e-6 * np.eye(parameters)):
        ahead, behind = model(point_BP + step), model(point_BP - step)
        assert at.slopes_BRP[..., index] == pytest.approx((ahead.values_BR - behind.values_BR) / 2e-6, abs=1e-6)
        change_BRP = (ahead.slopes_BRP - behind.slopes_BRP) / 2e-6
        assert at.curvature(factor_BR)[:, index] == pytest.approx(
            (factor_BR[..., None] * change_BRP).sum(axis=1), abs=1e-5
        )


@pytest.mark.parametrize("hypers", [2, 4, 7])
def test_the_gradient_of_the_likelihood_is_its_derivative(hypers: int) -> None:
    target_R, point_H = generator(7, "target").standard_normal(15), generator(7, "point").normal(-0.5, 0.3, hypers)
    loss = partial(process_module._loss, mixtures(15, 4), target_R, np.zeros(hypers), np.ones(hypers))
    numeric_H = [(loss(point_H + step)[0] - loss(point_H - step)[0]) / 2e-6 for step in 1e-6 * np.eye(hypers)]
    assert loss(point_H)[1] == pytest.approx(np.array(numeric_H), rel=1e-4, abs=1e-4)


def test_a_line_is_fitted_as_normal_equations_do_and_a_prior_is_a_ridge() -> None:
    features_RP, target_BR = (
        generator(7, "features").standard_normal((20, 3)),
        generator(7, "y").standard_normal((2, 20)),
    )
    found_BP, _ = solve(partial(line, features_RP), Targets(target_BR, 1.0), free(3), np.zeros((2, 3)))
    assert found_BP == pytest.approx(np.linalg.lstsq(features_RP, target_BR.T)[0].T, abs=1e-3)
    prior = Prior(np.ones(3), np.full(3, 5.0), np.full(3, -9.0), np.full(3, 9.0))
    ridge_BP, _ = solve(partial(line, features_RP), Targets(target_BR, 0.5), prior, np.zeros((2, 3)))
    both = np.linalg.solve(4 * features_RP.T @ features_RP + 5 * np.eye(3), 4 * features_RP.T @ target_BR.T + 5.0)
    assert ridge_BP == pytest.approx(both.T, abs=1e-3)


def test_beyond_its_limit_an_error_pulls_no_harder() -> None:
    features_RP, target_BR = np.ones((9, 1)), np.array([[0.0] * 8 + [100.0]])
    found_BP, _ = solve(partial(line, features_RP), Targets(target_BR, 1.0, huber=1.0), free(1), np.full((1, 1), 3.0))
    # Eight pulls of p against one of 1.
    assert found_BP == pytest.approx(np.array([[1 / 8]]), abs=1e-3)


def test_a_parameter_at_its_bound_stays_there_and_the_others_find_their_best() -> None:
    features_RP = generator(7, "features").standard_normal((20, 2))
    target_BR = (features_RP @ np.array([3.0, 1.0]))[None]
    prior = Prior(np.zeros(2), np.zeros(2), np.array([-1.0, -9.0]), np.array([1.0, 9.0]))
    found_BP, _ = solve(partial(line, features_RP), Targets(target_BR, 1.0), prior, np.zeros((1, 2)))
    rest = target_BR[0] - features_RP[:, 0]
    assert found_BP[0].tolist() == pytest.approx(
        [1.0, features_RP[:, 1] @ rest / (features_RP[:, 1] ** 2).sum()], abs=1e-3
    )


def test_a_problem_does_not_depend_on_those_solved_beside_it() -> None:
    model = partial(law_module._model, law_module._log(mixtures(15, 4)))
    target_BR, prior = generator(7, "y").standard_normal((5, 15)), law_module._prior(4, None)
    starts_BP = np.repeat(prior.centre_P[None], 5, axis=0)
    together_BP, _ = solve(model, Targets(target_BR, 0.1), prior, starts_BP)
    alone_BP, _ = solve(model, Targets(target_BR[2:3], 0.1), prior, starts_BP[2:3])
    assert together_BP[2] == pytest.approx(alone_BP[0], abs=1e-6)


def test_a_problem_that_overflows_from_the_start_is_left_where_it_was() -> None:
    model = partial(exponential_module._model, mixtures(15, 4), False)
    start_BP = np.full((1, 6), 800.0)
    found_BP, loss_B = solve(model, Targets(np.zeros((1, 15)), 1.0), free(6), start_BP)
    assert (found_BP == start_BP).all() and loss_B[0] == np.inf
