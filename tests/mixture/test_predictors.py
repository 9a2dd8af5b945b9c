"""Predictors: recovery of known laws, interpolation, intervals, choosing by cross-validation."""

import numpy as np
import numpy.typing as npt
import pytest

from tasks.core.errors import EvidenceError
from tasks.core.rng import generator
from tasks.mixture.predictors import law as law_module
from tasks.mixture.predictors import process as process_module
from tasks.mixture.predictors.choose import Selection, choose, cross_validate, fit, spearman
from tasks.mixture.predictors.gp_sqrt import GpSqrt
from tasks.mixture.predictors.law import fit_law
from tasks.mixture.predictors.law_gp import LawGp
from tasks.mixture.predictors.predictor import Measured
from tasks.mixture.predictors.process import fit_process
from tasks.mixture.predictors.ridge_sqrt import RidgeSqrt

Array = npt.NDArray[np.float64]
KINDS = [LawGp(), GpSqrt(), RidgeSqrt()]


def mixtures(count: int, domains: int, name: str = "train") -> Array:
    return generator(7, "mixtures", name).dirichlet(np.ones(domains), count)


def law_losses(weights_RD: Array, noise: float = 0.0) -> Array:
    """Losses of a known effective-token law: own tokens count 1, others 0.1 to 0.3."""
    domains = weights_RD.shape[1]
    t_OD = np.eye(domains) + generator(7, "help").uniform(0.1, 0.3, (domains, domains)) * (1 - np.eye(domains))
    clean_RO = 1.0 + 0.6 * (0.05 + weights_RD @ t_OD.T) ** -0.4
    return clean_RO + noise * generator(7, "noise", len(weights_RD)).standard_normal(clean_RO.shape)


def measured(count: int, domains: int, noise: float = 0.0, noise_sd: float | None = None) -> Measured:
    weights_RD = mixtures(count, domains)
    return Measured(weights_RD, law_losses(weights_RD, noise), np.full(domains, 1 / domains), noise_sd)


def numeric_gradient(loss: object, point: Array) -> Array:
    steps = 1e-6 * np.eye(len(point))
    return np.array([(loss(point + step)[0] - loss(point - step)[0]) / 2e-6 for step in steps])  # type: ignore[operator]


def test_the_law_that_generated_the_runs_is_found_again() -> None:
    weights_RD = mixtures(40, 5)
    law = fit_law(weights_RD, law_losses(weights_RD), error=0.01)
    fresh_MD = mixtures(200, 5, "fresh")
    error_MO = law.mean(fresh_MD) - law_losses(fresh_MD)
    assert np.abs(error_MO).max() < 0.1 * law_losses(fresh_MD).std()
    # Each loss depends on its own domain most, as it was made.
    assert law.t_OD.argmax(axis=1).tolist() == [0, 1, 2, 3, 4]


def test_a_law_never_leaves_the_measured_range_by_more_than_a_quarter_of_it() -> None:
    weights_RD = mixtures(12, 4)
    losses_RO = law_losses(weights_RD)
    law = fit_law(weights_RD, losses_RO, error=0.05)
    corners_MO, span_O = law.mean(np.eye(4)), losses_RO.max(axis=0) - losses_RO.min(axis=0)
    assert (corners_MO <= losses_RO.max(axis=0) + 0.25 * span_O + 1e-12).all()
    assert (corners_MO >= losses_RO.min(axis=0) - 0.25 * span_O - 1e-12).all()


def test_gradients_of_law_and_process_are_the_derivatives() -> None:
    weights_RD, target_R = mixtures(15, 4), generator(7, "target").standard_normal(15)
    point = generator(7, "point").normal(-0.5, 0.3, 8)
    prior, spread = np.zeros(8), np.ones(8)

    def law_loss(p: Array) -> tuple[float, Array]:
        return law_module._loss(weights_RD, target_R, 0.2, prior, spread, p)

    assert law_loss(point)[1] == pytest.approx(numeric_gradient(law_loss, point), rel=1e-4, abs=1e-4)

    def process_loss(p: Array) -> tuple[float, Array]:
        return process_module._loss(weights_RD, target_R, np.zeros(7), np.ones(7), True, p)

    assert process_loss(point[:7])[1] == pytest.approx(numeric_gradient(process_loss, point[:7]), rel=1e-4, abs=1e-4)


def test_a_process_without_noise_goes_through_its_points_and_is_sure_of_them() -> None:
    weights_RD = mixtures(20, 3)
    losses_RO = np.sin(5 * weights_RD)
    process = fit_process(weights_RD, losses_RO, np.full(3, 1 / 3), noise_sd=1e-5)
    assert process.mean(weights_RD) == pytest.approx(losses_RO, abs=0.01)
    far_M, near_M = process.variance(mixtures(50, 3, "far")), process.variance(weights_RD)
    assert near_M.max() < 1e-3 * far_M.max()


@pytest.mark.parametrize("params", KINDS, ids=lambda params: params.kind)
def test_the_objective_is_the_weighted_sum_of_the_domains_predictions(params: LawGp) -> None:
    predictor = fit(params, measured(25, 4, noise=0.01))
    fresh_MD = mixtures(30, 4, "fresh")
    assert predictor.mean(fresh_MD) == pytest.approx(predictor.outputs(fresh_MD) @ np.full(4, 0.25))


@pytest.mark.parametrize("params", KINDS, ids=lambda params: params.kind)
def test_a_mixture_gains_nothing_over_itself_and_near_ones_share_their_uncertainty(params: LawGp) -> None:
    predictor = fit(params, measured(25, 4, noise=0.01))
    first_D = mixtures(1, 4, "fresh")[0]
    near_D = 0.99 * first_D + 0.01 * np.array([1.0, 0, 0, 0])
    gain_M, sd_M = predictor.gain(np.array([first_D, near_D]), first_D)
    assert (gain_M[0], sd_M[0]) == (pytest.approx(0.0, abs=1e-12), pytest.approx(0.0, abs=1e-6))
    apart = float(np.hypot(*predictor.sd(np.array([first_D, near_D]))))
    assert 0 < sd_M[1] < 0.5 * apart


@pytest.mark.parametrize("params", KINDS, ids=lambda params: params.kind)
def test_believing_a_prediction_changes_no_mean_and_makes_its_neighbourhood_certain(params: LawGp) -> None:
    predictor = fit(params, measured(15, 4, noise=0.02))
    fresh_MD = mixtures(10, 4, "fresh")
    believer = predictor.believing(fresh_MD[:1])
    assert believer.mean(fresh_MD) == pytest.approx(predictor.mean(fresh_MD), abs=1e-6)
    assert believer.sd(fresh_MD)[0] < predictor.sd(fresh_MD)[0]


def test_intervals_of_the_chosen_predictor_hold_what_was_not_seen() -> None:
    fresh_MD = mixtures(400, 6, "fresh")
    truth_M = law_losses(fresh_MD).mean(axis=1)
    for count in (24, 48):
        predictor = choose(Selection(), measured(count, 6, noise=0.02, noise_sd=0.02 / 6**0.5)).predictor
        inside = np.abs(predictor.mean(fresh_MD) - truth_M) <= 1.645 * predictor.sd(fresh_MD)
        assert inside.mean() >= 0.8


def test_cross_validation_chooses_the_law_where_the_law_is_true_and_the_line_where_all_is_linear() -> None:
    assert choose(Selection(), measured(40, 5, noise=0.003)).predictor.kind == "law_gp"
    weights_RD = mixtures(24, 8)
    slopes = generator(7, "slopes").standard_normal((8, 3))
    losses_RO = np.sqrt(weights_RD) @ slopes + 0.05 * generator(7, "rest").standard_normal((24, 3))
    linear = Measured(weights_RD, losses_RO, np.full(3, 1 / 3))
    scores = {score.kind: score.rmse for score in choose(Selection(), linear).scores}
    assert scores["ridge_sqrt"] < scores["law_gp"]


def test_held_out_errors_larger_than_said_widen_the_intervals() -> None:
    data = measured(20, 5, noise=0.02)
    choice = choose(Selection(zoo=(LawGp(),)), data)
    score = cross_validate(LawGp(), data, 6)
    z = (data.objective_R - score.predicted_R) / score.sd_R
    assert choice.predictor.inflation == pytest.approx(max(1.0, float(np.sqrt((z**2).mean()))))


def test_a_domain_whose_weight_never_changes_is_no_division_by_zero() -> None:
    weights_RD = np.column_stack([mixtures(12, 3), np.zeros(12)])
    data = Measured(weights_RD, law_losses(weights_RD), np.full(4, 0.25))
    assert np.isfinite(choose(Selection(), data).predictor.mean(weights_RD)).all()


def test_runs_that_are_all_the_same_predict_themselves() -> None:
    data = Measured(mixtures(8, 3), np.full((8, 3), 2.0), np.full(3, 1 / 3))
    assert choose(Selection(), data).predictor.mean(mixtures(5, 3, "fresh")) == pytest.approx(np.full(5, 2.0), abs=1e-6)


def test_three_runs_are_too_few() -> None:
    with pytest.raises(EvidenceError, match="3 measured mixtures are too few"):
        choose(Selection(), measured(3, 3))


def test_a_fit_is_the_same_every_time() -> None:
    fresh_MD = mixtures(20, 5, "fresh")
    first, second = (choose(Selection(), measured(15, 5, noise=0.01)).predictor for _ in range(2))
    assert (first.mean(fresh_MD) == second.mean(fresh_MD)).all() and (first.sd(fresh_MD) == second.sd(fresh_MD)).all()


def test_spearman_is_the_correlation_of_ranks() -> None:
    assert spearman([1, 2, 3, 4], [1, 4, 9, 16]) == pytest.approx(1.0)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1.0)
    assert spearman([1, 1, 1], [1, 2, 3]) == 0.0
