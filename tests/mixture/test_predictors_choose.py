"""Choosing and stacking by cross-validation, refitting, and intervals that hold what they say."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from tasks.core.errors import EvidenceError
from tasks.core.rng import generator
from tasks.mixture.predictors import held_out
from tasks.mixture.predictors.calibration import Calibration, calibrate
from tasks.mixture.predictors.choose import Selection, choose, fit, refit, spearman
from tasks.mixture.predictors.gp_sqrt import GpSqrt
from tasks.mixture.predictors.law_gp import LawGp
from tasks.mixture.predictors.linear import Linear
from tasks.mixture.predictors.power_law import PowerLaw
from tasks.mixture.predictors.predictor import Measured
from tasks.mixture.predictors.ridge_sqrt import RidgeSqrt
from tasks.mixture.predictors.stack import shares, stacked
from tasks.mixture.predictors.trees import Lightgbm
from tasks.mixture.published_predictors import SelectedPredictor
from tests.mixture.made import law_losses, measured, mixtures

Array = npt.NDArray[np.float64]


def test_a_stack_of_one_is_that_one() -> None:
    data, fresh_MD = measured(20, 4, noise=0.02), mixtures(30, 4, "fresh")
    for combine in ("stack", "best"):
        choice = choose(Selection(zoo=(LawGp(),), combine=combine), data)
        alone = replace(fit(LawGp(), data), calibration=choice.selected.calibration)
        assert choice.predictor.name == "law_gp" and choice.selected.members[0].share == 1.0
        assert (choice.predictor.outputs(fresh_MD) == alone.outputs(fresh_MD)).all()
        assert (choice.predictor.sd(fresh_MD) == alone.sd(fresh_MD)).all()
    member = fit(GpSqrt(), data)
    assert stacked([member], np.ones(1)) is member


def test_shares_are_a_distribution_and_the_better_member_has_more() -> None:
    errors = generator(7, "errors").standard_normal((200, 1, 3)) * np.array([1.0, 2.0, 20.0])
    share_K = shares(errors, np.zeros(200))
    assert share_K.sum() == pytest.approx(1.0) and (share_K >= 0).all()
    # Independent errors: shares go with one over the variance, 4 to 1; the worst is left out.
    assert share_K == pytest.approx([0.8, 0.2, 0.0], abs=0.07) and share_K[2] == 0.0


def test_a_member_without_finite_predictions_has_no_share_and_none_at_all_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    errors = generator(7, "errors").standard_normal((20, 1, 2))
    errors[3, 0, 1] = np.nan
    assert shares(errors, np.arange(20.0)).tolist() == [1.0, 0.0]
    assert shares(np.full((20, 1, 2), np.nan), np.arange(20.0)).tolist() == [0.0, 0.0]
    nothing = np.full(1, np.nan)
    monkeypatch.setattr(held_out, "predicted", lambda _, weights_MD: (np.resize(nothing, len(weights_MD)),) * 2)
    for combine in ("stack", "best"):
        with pytest.raises(EvidenceError, match="none of 2 predictors gave finite predictions"):
            choose(Selection(zoo=(Linear(), RidgeSqrt()), combine=combine), measured(10, 3))


def test_outputs_tell_who_predicts_better_where_the_objective_alone_does_not() -> None:
    draws = generator(7, "errors")
    parts = draws.standard_normal((12, 9, 2)) * np.array([1.0, 3.0])
    # On the objective, twelve runs happened to favour the second.
    whole = draws.standard_normal((12, 1, 2)) * np.array([1.2, 1.0])
    alone, both = (shares(errors, np.zeros(12)) for errors in (whole, np.concatenate([whole, parts], axis=1)))
    assert both[0] > max(alone[0], 0.6)


def test_who_is_right_about_good_mixtures_counts_for_more_than_who_is_right_about_bad_ones() -> None:
    objective_R = np.linspace(-1, 1, 100)
    wrong = generator(7, "errors").standard_normal((100, 1, 2))
    wrong[:50, 0, 1] *= 0.3
    wrong[50:, 0, 0] *= 0.3
    share_K = shares(wrong, objective_R)
    assert share_K[1] > 0.7 and shares(wrong, -objective_R)[0] > 0.7


def test_the_law_has_most_of_the_stack_where_it_is_true_and_the_ridge_where_all_is_linear() -> None:
    def share(choice_of: Measured, *kinds: str) -> float:
        members = choose(Selection(), choice_of).selected.members
        return sum(member.share for member in members if member.name in kinds)

    assert share(measured(40, 5, noise=0.003), "law_gp", "power_law") > 0.9
    weights_RD = mixtures(48, 8)
    slopes = generator(7, "slopes").standard_normal((8, 3))
    losses_RO = np.sqrt(weights_RD) @ slopes + 0.05 * generator(7, "rest").standard_normal((48, 3))
    assert share(Measured(weights_RD, losses_RO, np.full(3, 1 / 3)), "ridge_sqrt", "gp_sqrt") > 0.8


def test_a_stack_doubts_where_its_members_disagree() -> None:
    data, fresh_MD = measured(20, 4, noise=0.02), mixtures(50, 4, "fresh")
    members = [fit(GpSqrt(), data), fit(Linear(), data)]
    stack = stacked(members, np.array([0.5, 0.5]))
    apart_M = 0.5 * (members[0].mean(fresh_MD) - members[1].mean(fresh_MD))
    own_M = 0.5 * (members[0].sd(fresh_MD) ** 2 + members[1].sd(fresh_MD) ** 2)
    assert stack.mean(fresh_MD) == pytest.approx(stack.outputs(fresh_MD) @ data.objective_O)
    assert stack.sd(fresh_MD) == pytest.approx(np.sqrt(own_M + apart_M**2))
    covariance_MM = stack.error_covariance.covariance(fresh_MD, fresh_MD)
    assert np.diag(covariance_MM) == pytest.approx(stack.sd(fresh_MD) ** 2)
    assert np.linalg.eigvalsh(covariance_MM).min() > -1e-10


def test_the_best_alone_is_taken_where_that_is_asked_for() -> None:
    choice = choose(Selection(combine="best"), measured(30, 4, noise=0.01))
    best = min(choice.scores, key=lambda score: score.rmse)
    assert choice.predictor.name == best.name == choice.score.name and len(choice.selected.members) == 1


def test_a_refit_on_the_same_runs_is_the_same_predictor_and_survives_json() -> None:
    data, fresh_MD = measured(30, 4, noise=0.02), mixtures(50, 4, "fresh")
    choice = choose(Selection(zoo=(LawGp(), PowerLaw())), data)
    assert len(choice.selected.members) > 1
    stored = SelectedPredictor.model_validate_json(choice.selected.model_dump_json())
    assert stored == choice.selected
    again = refit(stored, data)
    assert again.predictor.name == "stack" and again.scores == ()
    assert again.predictor.mean(fresh_MD) == pytest.approx(choice.predictor.mean(fresh_MD), abs=2e-3)
    assert again.predictor.sd(fresh_MD) == pytest.approx(choice.predictor.sd(fresh_MD), rel=0.1)
    assert [member.share for member in again.selected.members] == [m.share for m in choice.selected.members]
    assert again.selected.calibration == choice.selected.calibration


def test_a_refit_to_more_runs_uses_them() -> None:
    fresh_MD = mixtures(300, 5, "fresh")
    truth_M = law_losses(fresh_MD).mean(axis=1)
    selected = choose(Selection(), measured(16, 5, noise=0.01)).selected
    rmses = [
        np.sqrt(((refit(selected, measured(runs, 5, noise=0.01)).predictor.mean(fresh_MD) - truth_M) ** 2).mean())
        for runs in (16, 64)
    ]
    assert rmses[1] < 0.7 * rmses[0]


def test_two_settings_of_one_kind_have_scores_of_their_own() -> None:
    choice = choose(Selection(zoo=(Lightgbm(), Lightgbm(settings="climb"), RidgeSqrt()), num_folds=3), measured(30, 3))
    kinds = [score.name for score in choice.scores]
    assert kinds[:3] == ["lightgbm", "lightgbm 2", "ridge_sqrt"] and choice.score in choice.scores


def test_intervals_of_the_chosen_predictor_hold_what_was_not_seen() -> None:
    fresh_MD = mixtures(400, 6, "fresh")
    noise_M = 0.02 / 6**0.5 * generator(7, "unseen").standard_normal(400)
    truth_M = law_losses(fresh_MD).mean(axis=1) + noise_M
    for count in (24, 48):
        predictor = choose(Selection(), measured(count, 6, noise=0.02, noise_sd=0.02 / 6**0.5)).predictor
        inside = np.abs(predictor.mean(fresh_MD) - truth_M) <= 1.645 * predictor.measured_sd(fresh_MD)
        assert 0.8 <= inside.mean() <= 0.99


@pytest.mark.parametrize("wrong_by", [0.6, 1.0, 3.0])
def test_errors_larger_or_smaller_than_said_widen_or_narrow_the_intervals(wrong_by: float) -> None:
    mean_R = np.linspace(0, 1, 2000)
    error_R = 0.1 * wrong_by * generator(7, "errors").standard_normal(2000)
    found = calibrate(mean_R + error_R, mean_R, np.full(2000, 0.1))
    assert found.factor == pytest.approx(wrong_by, rel=0.05) and abs(found.slope) < 0.06


def test_errors_that_grow_with_the_loss_have_wider_intervals_there() -> None:
    mean_R = generator(7, "mean").standard_normal(2000)
    error_R = 0.1 * np.exp(0.4 * mean_R) * generator(7, "errors").standard_normal(2000)
    found = calibrate(mean_R + error_R, mean_R, np.full(2000, 0.1))
    assert found.slope == pytest.approx(0.4, abs=0.06)
    wide_R = 1.645 * 0.1 * found.scale(mean_R)
    for part in (mean_R < -0.5, mean_R > 0.5):
        assert 0.86 <= (np.abs(error_R) <= wide_R)[part].mean() <= 0.94


def test_few_runs_that_were_predicted_perfectly_do_not_prove_certainty() -> None:
    perfect = [calibrate(np.arange(float(runs)), np.arange(float(runs)), np.ones(runs)).factor for runs in (6, 200)]
    assert perfect[0] > 0.1 > perfect[1] > 0


def test_a_calibration_scales_every_standard_deviation_alike() -> None:
    data, fresh_MD = measured(20, 4, noise=0.02), mixtures(10, 4, "fresh")
    plain = fit(GpSqrt(), data)
    twice = replace(plain, calibration=Calibration(factor=2.0))
    assert twice.sd(fresh_MD) == pytest.approx(2 * plain.sd(fresh_MD)) and twice.noise_sd == 2 * plain.noise_sd
    assert twice.gain(fresh_MD, fresh_MD[0])[1] == pytest.approx(2 * plain.gain(fresh_MD, fresh_MD[0])[1])
    assert plain.measured_sd(fresh_MD) == pytest.approx(np.hypot(plain.sd(fresh_MD), plain.noise_sd))
    # With a slope, the gain between two mixtures is still the difference of one joint distribution.
    sloped = replace(plain, calibration=Calibration(1.0, 0.5, float(plain.mean(fresh_MD).mean()), 0.05))
    scale_M = sloped.sd(fresh_MD) / plain.sd(fresh_MD)
    assert np.ptp(scale_M) > 0.1
    covariance_MM = scale_M[:, None] * scale_M * plain.error_covariance.covariance(fresh_MD, fresh_MD)
    expected_M = np.diag(covariance_MM) + covariance_MM[0, 0] - 2 * covariance_MM[0]
    assert sloped.gain(fresh_MD, fresh_MD[0])[1] == pytest.approx(np.sqrt(np.maximum(expected_M, 0)), abs=1e-6)


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
    with pytest.raises(EvidenceError, match="3 measured mixtures are too few"):
        refit(choose(Selection(zoo=(RidgeSqrt(),)), measured(8, 3)).selected, measured(3, 3))


def test_a_choice_is_the_same_every_time() -> None:
    fresh_MD = mixtures(20, 4, "fresh")
    first, second = (choose(Selection(), measured(12, 4, noise=0.01)) for _ in range(2))
    assert first.selected == second.selected
    assert (first.predictor.mean(fresh_MD) == second.predictor.mean(fresh_MD)).all()


def test_spearman_is_the_correlation_of_ranks() -> None:
    assert spearman([1, 2, 3, 4], [1, 4, 9, 16]) == pytest.approx(1.0)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1.0)
    assert spearman([1, 1, 1], [1, 2, 3]) == 0.0
