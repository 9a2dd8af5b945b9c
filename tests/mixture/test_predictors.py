"""Predictors one by one: what all of them give, and laws that are found again."""

import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tasks.core.rng import generator
from tasks.mixture.predictors.choose import PredictorParams, fit, spearman
from tasks.mixture.predictors.gp_sqrt import GpSqrt
from tasks.mixture.predictors.law import fit_law
from tasks.mixture.predictors.law_gp import LawGp
from tasks.mixture.predictors.linear import Linear, fit_linear
from tasks.mixture.predictors.log_linear import LogLinear, fit_log_linear
from tasks.mixture.predictors.mixing_law import MixingLaw, fit_mixing_law
from tasks.mixture.predictors.power_law import PowerLaw
from tasks.mixture.predictors.predictor import Measured
from tasks.mixture.predictors.process import Kernel, fit_process
from tasks.mixture.predictors.ridge_sqrt import RidgeSqrt
from tasks.mixture.predictors.trees import Lightgbm
from tests.mixture.made import exponential_losses, law_losses, measured, mixtures

Array = npt.NDArray[np.float64]
KINDS: list[PredictorParams] = [
    LawGp(),
    GpSqrt(),
    RidgeSqrt(),
    PowerLaw(),
    MixingLaw(),
    LogLinear(),
    Linear(),
    Lightgbm(),
    Lightgbm(settings="climb"),
]
every_kind = pytest.mark.parametrize(
    "params", KINDS, ids=lambda params: f"{params.kind}{vars(params).get('settings', '')}"
)


@every_kind
def test_the_objective_is_the_weighted_sum_of_the_outputs(params: PredictorParams) -> None:
    predictor = fit(params, measured(25, 4, noise=0.01))
    fresh_MD = mixtures(30, 4, "fresh")
    assert predictor.mean(fresh_MD) == pytest.approx(predictor.outputs(fresh_MD) @ np.full(4, 0.25))


@every_kind
def test_a_mixture_gains_nothing_over_itself_and_near_ones_share_their_uncertainty(params: PredictorParams) -> None:
    predictor = fit(params, measured(25, 4, noise=0.01))
    first_D = mixtures(1, 4, "fresh")[0]
    near_D = 0.99 * first_D + 0.01 * np.array([1.0, 0, 0, 0])
    gain_M, sd_M = predictor.gain(np.array([first_D, near_D]), first_D)
    assert (gain_M[0], sd_M[0]) == (pytest.approx(0.0, abs=1e-12), pytest.approx(0.0, abs=1e-6))
    apart = float(np.hypot(*predictor.sd(np.array([first_D, near_D]))))
    assert 0 < sd_M[1] < 0.5 * apart


@every_kind
def test_believing_a_prediction_changes_no_mean_and_makes_its_neighbourhood_certain(params: PredictorParams) -> None:
    predictor = fit(params, measured(15, 4, noise=0.02))
    fresh_MD = mixtures(10, 4, "fresh")
    believer = predictor.kriging_believer(fresh_MD[:1])
    assert (believer.mean(fresh_MD) == predictor.mean(fresh_MD)).all()
    assert believer.sd(fresh_MD)[0] < predictor.sd(fresh_MD)[0]
    assert (believer.sd(fresh_MD) <= predictor.sd(fresh_MD) + 1e-12).all()
    # One after the other is both at once.
    twice = believer.kriging_believer(fresh_MD[1:2]).sd(fresh_MD)
    assert twice == pytest.approx(predictor.kriging_believer(fresh_MD[:2]).sd(fresh_MD), rel=1e-6)


@every_kind
def test_a_fit_is_the_same_every_time(params: PredictorParams) -> None:
    fresh_MD = mixtures(20, 5, "fresh")
    first, second = (fit(params, measured(15, 5, noise=0.01)) for _ in range(2))
    assert (first.mean(fresh_MD) == second.mean(fresh_MD)).all() and (first.sd(fresh_MD) == second.sd(fresh_MD)).all()


@pytest.mark.parametrize("params", [PowerLaw(), MixingLaw(), Linear()], ids=lambda params: params.kind)
def test_what_has_no_posterior_doubts_as_much_as_it_erred_on_runs_left_out(params: PredictorParams) -> None:
    data, fresh_MD = measured(40, 4, noise=0.02), mixtures(300, 4, "fresh")
    predictor = fit(params, data)
    error_M = predictor.mean(fresh_MD) - law_losses(fresh_MD).mean(axis=1)
    told = float(np.hypot(predictor.sd(fresh_MD), predictor.noise_sd).mean())
    assert 0.5 < told / float(np.sqrt((error_M**2).mean() + 0.01**2)) < 2


def test_the_law_that_generated_the_runs_is_found_again() -> None:
    weights_RD = mixtures(40, 5)
    for exponent in (0.6, 1.0):
        law = fit_law(weights_RD, law_losses(weights_RD, exponent=exponent), error=0.01)
        fresh_MD = mixtures(200, 5, "fresh")
        truth_MO = law_losses(fresh_MD, exponent=exponent)
        assert np.sqrt(((law.mean(fresh_MD) - truth_MO) ** 2).mean()) < 0.05 * truth_MO.std()
        assert law.b_O == pytest.approx(np.full(5, exponent), abs=0.15)
        # Each loss depends on its own domain most, as it was made.
        assert law.t_OD.argmax(axis=1).tolist() == [0, 1, 2, 3, 4]


def test_an_exponent_that_is_given_is_kept_and_its_law_found_as_well() -> None:
    weights_RD, fresh_MD = mixtures(40, 5), mixtures(200, 5, "fresh")
    law = fit_law(weights_RD, law_losses(weights_RD), error=0.01, exponent=1.0)
    assert law.b_O.tolist() == [1.0] * 5
    assert np.abs(law.mean(fresh_MD) - law_losses(fresh_MD)).max() < 0.1 * law_losses(fresh_MD).std()


def test_a_law_started_where_a_fit_to_nearly_the_same_runs_ended_is_the_same_law() -> None:
    weights_RD, fresh_MD = mixtures(60, 5), mixtures(100, 5, "fresh")
    losses_RO = law_losses(weights_RD, noise=0.01)
    near = fit_law(weights_RD[:50], losses_RO[:50], error=0.05)
    cold, warm = (fit_law(weights_RD, losses_RO, error=0.05, start_OP=start) for start in (None, near.p_OP))
    assert warm.mean(fresh_MD) == pytest.approx(cold.mean(fresh_MD), abs=1e-3)


def test_a_law_never_leaves_the_measured_range_by_more_than_a_quarter_of_it() -> None:
    weights_RD = mixtures(12, 4)
    losses_RO = law_losses(weights_RD)
    law = fit_law(weights_RD, losses_RO, error=0.05)
    corners_MO, span_O = law.mean(np.eye(4)), losses_RO.max(axis=0) - losses_RO.min(axis=0)
    assert (corners_MO <= losses_RO.max(axis=0) + 0.25 * span_O + 1e-12).all()
    assert (corners_MO >= losses_RO.min(axis=0) - 0.25 * span_O - 1e-12).all()


@pytest.mark.parametrize("which", ["mixing_law", "olmix"])
def test_exponential_laws_that_generated_the_runs_are_found_again(which: str) -> None:
    weights_RD, fresh_MD = mixtures(40, 4), mixtures(100, 4, "fresh")
    data = Measured(weights_RD, exponential_losses(weights_RD), np.full(3, 1 / 3))
    predictor = fit_mixing_law(MixingLaw(), data) if which == "mixing_law" else fit_log_linear(LogLinear(), data)
    truth_MO = exponential_losses(fresh_MD)
    assert np.sqrt(((predictor.outputs(fresh_MD) - truth_MO) ** 2).mean()) < 0.05 * truth_MO.std()
    assert spearman(predictor.mean(fresh_MD), truth_MO.mean(axis=1)) > 0.995


def test_one_wild_run_moves_olmix_less_than_the_mixing_law() -> None:
    weights_RD, fresh_MD = mixtures(40, 4), mixtures(100, 4, "fresh")
    losses_RO = exponential_losses(weights_RD)
    losses_RO[7] += 1.0
    data = Measured(weights_RD, losses_RO, np.full(3, 1 / 3))
    wrong = [
        np.sqrt(((predictor.outputs(fresh_MD) - exponential_losses(fresh_MD)) ** 2).mean())
        for predictor in (fit_log_linear(LogLinear(), data), fit_mixing_law(MixingLaw(), data))
    ]
    assert wrong[0] < 0.3 * wrong[1]


def test_more_starts_of_olmix_find_nothing_better() -> None:
    weights_RD = mixtures(40, 4)
    data = Measured(
        weights_RD, exponential_losses(weights_RD) + 0.05 * np.sin(40 * weights_RD[:, :3]), np.full(3, 1 / 3)
    )
    few, many = (fit_log_linear(LogLinear(num_starts=starts), data).outputs(weights_RD) for starts in (6, 60))
    assert few == pytest.approx(many, abs=2e-3)


def test_linear_regression_is_exact_on_a_plane() -> None:
    weights_RD, fresh_MD = mixtures(20, 4), mixtures(50, 4, "fresh")
    slopes_DO = np.arange(8.0).reshape(4, 2)
    predictor = fit_linear(Linear(), Measured(weights_RD, weights_RD @ slopes_DO, np.full(2, 0.5)))
    assert predictor.outputs(fresh_MD) == pytest.approx(fresh_MD @ slopes_DO)


def test_a_process_without_noise_goes_through_its_points_and_is_sure_of_them() -> None:
    weights_RD = mixtures(20, 3)
    losses_RO = np.sin(5 * weights_RD)
    process = fit_process(weights_RD, losses_RO, np.full(3, 1 / 3), noise_sd=1e-5)
    assert process.mean(weights_RD) == pytest.approx(losses_RO, abs=0.01)
    far_M, near_M = process.variance(mixtures(50, 3, "far")), process.variance(weights_RD)
    assert near_M.max() < 1e-3 * far_M.max()


def test_a_search_for_lengths_that_starts_far_too_short_ends_with_a_process() -> None:
    weights_RD = mixtures(21, 5)
    residuals_RO = generator(7, "residuals").standard_normal((21, 1))
    # So short that the distances between runs have no digits left: such a kernel has negative eigenvalues.
    short_H = np.array([-3.3, -1.3, 7.0, 4.1, -13.1, -7.5, 3.8, 0.8])
    process = fit_process(weights_RD, residuals_RO, np.ones(1), start_H=short_H)
    assert (process.hyper_H[3:] >= -3.0).all() and np.isfinite(process.mean(mixtures(9, 5, "fresh"))).all()


@pytest.mark.parametrize("kernel", list(Kernel))
def test_a_process_has_one_covariance_whichever_way_it_is_asked(kernel: Kernel) -> None:
    process = fit_process(mixtures(15, 3), law_losses(mixtures(15, 3)), np.full(3, 1 / 3), kernel=kernel)
    fresh_MD = mixtures(6, 3, "fresh")
    covariance_MM = process.covariance(fresh_MD, fresh_MD)
    assert covariance_MM == pytest.approx(covariance_MM.T)
    assert process.variance(fresh_MD) == pytest.approx(np.diag(covariance_MM), abs=1e-12)


@pytest.mark.parametrize(("settings", "scale"), [("regmix", 1.0), ("climb", 100.0)])
def test_trees_are_those_of_the_settings_and_stop_by_a_tenth_of_the_training_rows(settings: str, scale: float) -> None:
    import lightgbm

    from tasks.mixture.predictors.trees import stopping_rows

    data, fresh_MD = measured(70, 4, noise=0.01), mixtures(50, 4, "fresh")
    params = Lightgbm(settings=settings)  # type: ignore[arg-type]
    rest, stop = stopping_rows(params, 70)
    assert len(stop) == 7 and sorted([*rest, *stop]) == list(range(70))
    climb: dict[str, Any] = (
        {"reg_alpha": 1.0, "reg_lambda": 1.0, "max_depth": 4, "min_child_samples": 5} if settings == "climb" else {}
    )
    reference = lightgbm.LGBMRegressor(
        n_estimators=1000, learning_rate=0.01, random_state=42, n_jobs=1, verbosity=-1, **climb
    )
    target_R = scale * data.objective_R
    with warnings.catch_warnings():
        # Newer releases have another name for eval_set; the older name works in all.
        warnings.simplefilter("ignore")
        reference.fit(
            data.weights_RD[rest],
            target_R[rest],
            eval_set=[(data.weights_RD[stop], target_R[stop])],
            eval_metric=["l1", "l2"],
            callbacks=[lightgbm.early_stopping(7 if settings == "climb" else 3, verbose=False)],
        )
    assert fit(params, data).mean(fresh_MD) == pytest.approx(
        np.asarray(reference.booster_.predict(fresh_MD)) / scale, abs=1e-12
    )


def test_predictors_are_imported_without_lightgbm_and_sklearn() -> None:
    code = (
        "import sys; import tasks.mixture.predictors.choose; print({'lightgbm', 'sklearn', 'torch'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"
