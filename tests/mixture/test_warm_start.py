"""Warm start from an earlier version's table: what counts as measured, what informs the mean, and what that is worth."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest

from tasks.core.errors import ConfigError, DataError
from tasks.core.rng import generator
from tasks.mixture.earlier_runs.prediction import warm_mean
from tasks.mixture.earlier_runs.warm import Warm
from tasks.mixture.earlier_runs.warm_start import CurrentSearch, best_before, earlier_prediction, informed, usable_runs
from tasks.mixture.predictors.choose import Selection, choose, refit
from tasks.mixture.predictors.gp_sqrt import GpSqrt
from tasks.mixture.predictors.kinds import fit
from tasks.mixture.predictors.law_gp import LawGp
from tasks.mixture.predictors.predictor import Measured
from tasks.mixture.predictors.ridge_sqrt import RidgeSqrt
from tasks.mixture.runs import ProxyRun, RunTable

Array = npt.NDArray[np.float64]

OLD, NOW = ("a", "b", "c"), ("new", "c", "b", "a")
WANTED = CurrentSearch(NOW, ("x", "y"), (0.5, 0.5), "bits per byte", "pool", 0, 1000, 2048)


def row(number: int, weights: tuple[float, ...], losses: tuple[float, ...] = (1.0, 2.0, 3.0)) -> ProxyRun:
    return ProxyRun(number, 0, "design", 0, 1000, 2048, 1, 9.0, weights, losses, "pool")


def earlier(*rows: ProxyRun) -> RunTable:
    return RunTable(OLD, ("y", "z", "x"), "bits per byte", rows)


@dataclass(frozen=True)
class Law:
    """Losses 1.5 + .5 (.1 + t_o . w)^-.4, the exact prediction of the earlier table."""

    t_OD: Array

    def outputs(self, weights_MD: Array) -> Array:
        return np.asarray(1.5 + 0.5 * (0.1 + weights_MD @ self.t_OD.T) ** -0.4)


def test_runs_on_the_same_data_count_as_measured_and_new_domains_had_no_weight() -> None:
    found = usable_runs(earlier(row(3, (0.2, 0.3, 0.5))), WANTED, "runs.csv")
    assert found.informing.rows == ()
    assert (found.as_measured.domains, found.as_measured.sets) == (NOW, ("x", "y"))
    (only,) = found.as_measured.rows
    assert (only.weights, only.losses, only.objective, only.run) == ((0.0, 0.5, 0.3, 0.2), (3.0, 1.0), 2.0, 3)


OTHER = row(1, (0.5, 0.3, 0.2))


@pytest.mark.parametrize(
    "another",
    [
        replace(OTHER, data="pool of May"),
        replace(OTHER, data=""),
        replace(OTHER, seed=1),
        replace(OTHER, tokens=4096),
        replace(OTHER, model_parameters=9),
    ],
)
def test_runs_of_other_data_seed_or_size_inform_the_mean_only(another: ProxyRun) -> None:
    same = row(0, (0.2, 0.3, 0.5))
    found = usable_runs(earlier(same, another), WANTED, "runs.csv")
    assert [r.run for r in found.as_measured.rows] == [0] and found.informing.rows == (another,)


def test_runs_without_a_held_out_set_or_in_another_unit_inform_the_mean_only() -> None:
    table = earlier(row(0, (0.2, 0.3, 0.5)))
    for wanted in (replace(WANTED, sets=("x", "w")), replace(WANTED, unit="loss")):
        found = usable_runs(table, wanted, "runs.csv")
        assert found.as_measured.rows == () and found.informing.rows == table.rows


def test_a_run_with_weight_on_a_domain_that_is_gone_is_not_taken_as_measured() -> None:
    table = earlier(row(0, (0.2, 0.3, 0.5)), row(1, (0.0, 0.5, 0.5)))
    found = usable_runs(table, replace(WANTED, domains=("b", "c")), "runs.csv")
    assert [r.weights for r in found.as_measured.rows] == [(0.5, 0.5)] and found.informing.rows == table.rows[:1]


def test_of_several_sizes_the_one_with_most_runs_informs() -> None:
    small = [replace(row(number, (0.2, 0.3, 0.5)), seed=number + 5, tokens=7) for number in (0, 1)]
    large = [replace(row(number, (w, 0.5 - w, 0.5)), tokens=8) for number, w in ((2, 0.1), (3, 0.2))]
    assert usable_runs(earlier(*small, *large), WANTED, "runs.csv").informing.rows == tuple(large)


def test_an_empty_table_or_one_of_other_domains_is_refused() -> None:
    with pytest.raises(DataError, match=r"runs.csv: an earlier table must have runs.* this one has 0 runs"):
        usable_runs(earlier(), WANTED, "runs.csv")
    with pytest.raises(DataError, match=r"domains are a, b, c"):
        usable_runs(earlier(row(0, (0.2, 0.3, 0.5))), replace(WANTED, domains=("p", "q")), "runs.csv")


def test_todays_mixtures_are_asked_for_by_the_relative_shares_of_earlier_domains() -> None:
    table = earlier(row(0, (0.2, 0.3, 0.5)), row(1, (0.4, 0.1, 0.5)))
    asked = earlier_prediction(Law(np.eye(3)), table, NOW, WANTED.sets)
    weights_MD = np.array([[0.5, 0.1, 0.15, 0.25], [1.0, 0.0, 0.0, 0.0]])
    assert asked.weights(weights_MD) == pytest.approx(np.array([[0.5, 0.3, 0.2], [0.3, 0.2, 0.5]]))
    told_MO = Law(np.eye(3)).outputs(np.array([[0.5, 0.3, 0.2]]))
    assert asked.outputs(weights_MD[:1]) == pytest.approx(told_MO[:, [2, 0]])


def test_a_table_in_another_unit_and_with_another_level_carries_over() -> None:
    law, weights_RD = Law(np.eye(3)), generator(0, "warm").dirichlet(np.ones(3), 12)
    asked = earlier_prediction(law, earlier(row(0, (0.2, 0.3, 0.5))), OLD, ("y", "z", "x"))
    mean = warm_mean(asked, weights_RD, 0.3 + 0.7 * law.outputs(weights_RD))
    assert mean.b_O == pytest.approx(0.7) and mean.a_O == pytest.approx(0.3)
    fresh_MD = generator(1, "warm").dirichlet(np.ones(3), 5)
    assert mean.mean(fresh_MD) == pytest.approx(0.3 + 0.7 * law.outputs(fresh_MD))


def test_few_or_noisy_runs_keep_the_slope_near_one_and_a_new_set_gets_its_mean() -> None:
    law, weights_RD = Law(np.eye(3)), generator(0, "warm").dirichlet(np.ones(3), 4)
    noise_RO = 0.3 * generator(0, "noise").standard_normal((4, 3))
    asked = earlier_prediction(law, earlier(row(0, (0.2, 0.3, 0.5))), OLD, ("y", "z", "unheard of"))
    mean = warm_mean(asked, weights_RD, law.outputs(weights_RD) + noise_RO)
    assert (np.abs(mean.b_O[:2] - 1) < 0.5).all()
    assert mean.b_O[2] == 0 and mean.a_O[2] == pytest.approx((law.outputs(weights_RD) + noise_RO)[:, 2].mean())


def test_a_new_domain_moves_the_mean_by_what_its_share_did_today() -> None:
    law, weights_RD = Law(np.eye(3)), generator(0, "warm").dirichlet(np.ones(4), 12)
    asked = earlier_prediction(law, earlier(row(0, (0.2, 0.3, 0.5))), NOW, ("y", "z", "x"))
    mean = warm_mean(asked, weights_RD, asked.outputs(weights_RD) + 0.4 * weights_RD[:, :1])
    assert mean.c_OD[:, 0] == pytest.approx(0.4) and (mean.c_OD[:, 1:] == 0).all()
    assert mean.b_O == pytest.approx(1.0) and mean.a_O == pytest.approx(0.0, abs=1e-9)


def test_twelve_runs_predict_better_with_the_table_of_a_slightly_different_pool() -> None:
    """Eleven domains before and one more today, losses by a law that no predictor here has, moved by a tenth."""
    share_O, names = np.full(12, 1 / 12), tuple("abcdefghijkl")
    errors: dict[str, float] = {}
    for seed in range(2):
        rng = generator(seed, "versions")
        t_OD = 3 * rng.gamma(0.6, 1.0, (12, 12))
        moved_OD = t_OD * np.exp(0.1 * rng.standard_normal(t_OD.shape))
        before_RE, now_RD, fresh_MD = (
            rng.dirichlet(np.full(d, 0.7), count) for d, count in ((11, 60), (12, 12), (12, 300))
        )
        noise = [0.01 * rng.standard_normal(shape) for shape in ((60, 11), (12, 12))]
        old_RO = 1.5 + np.exp(-before_RE @ t_OD[:11, :11].T) + noise[0]
        now_RO, truth_M = (1.5 + np.exp(-weights @ moved_OD.T) for weights in (now_RD, fresh_MD))
        rows = tuple(row(n, tuple(w), tuple(loss)) for n, (w, loss) in enumerate(zip(before_RE, old_RO, strict=True)))
        table = RunTable(names[:11], names[:11], "loss", rows)
        told = fit(LawGp(), Measured(before_RE, old_RO, np.full(11, 1 / 11)))
        asked = earlier_prediction(told, table, names, names)
        measured = Measured(now_RD, now_RO + noise[1], share_O, earlier=asked)
        for member in (GpSqrt(), LawGp(), Warm()):
            error_M = fit(member, measured).mean(fresh_MD) - truth_M @ share_O
            errors[member.kind] = errors.get(member.kind, 0.0) + float((error_M**2).mean())
    assert errors["warm"] < 0.75 * min(errors["gp_sqrt"], errors["law_gp"])


def test_the_predictor_warm_without_an_earlier_table_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"needs an earlier table of runs: name search\.earlier_runs"):
        fit(Warm(), Measured(np.full((4, 2), 0.5), np.ones((4, 1)), np.ones(1)))


def test_an_earlier_table_counts_among_the_predictors_and_a_refit_keeps_it() -> None:
    asked = earlier_prediction(Law(np.diag([1.0, 0.3, 0.1])), earlier(row(0, (0.2, 0.3, 0.5))), NOW, WANTED.sets)
    weights_RD = generator(1, "today").dirichlet(np.ones(4), 10)
    measured = Measured(weights_RD, 0.2 + asked.outputs(weights_RD), np.full(2, 0.5), earlier=asked)
    choice = choose(Selection(zoo=(RidgeSqrt(), Warm()), num_folds=3), measured)
    assert "warm" in [member.name for member in choice.selected.members]
    again = refit(choice.selected, measured).predictor
    assert again.mean(weights_RD) == pytest.approx(choice.predictor.mean(weights_RD), abs=1e-4)


def test_the_best_mixture_of_before_is_the_best_predicted_not_the_luckiest() -> None:
    weights_RE, law = generator(0, "before").dirichlet(np.ones(3), 20), Law(np.diag([1.0, 0.3, 0.1]))
    told_RO = law.outputs(weights_RE)
    told_RO[3] = 0.1
    rows = (row(n, tuple(w), tuple(loss)) for n, (w, loss) in enumerate(zip(weights_RE, told_RO, strict=True)))
    table = earlier(*rows)
    best = table.rows[int(np.argmin(law.outputs(weights_RE)[:, [2, 0]].mean(axis=1)))]
    assert best.run != 3
    new, c, b, a = best_before(earlier_prediction(law, table, NOW, WANTED.sets), table, WANTED)
    assert new == 0 and (a, b, c) == pytest.approx(best.weights)


def test_too_few_runs_or_no_held_out_set_in_common_inform_nothing() -> None:
    weights_RE = generator(0, "before").dirichlet(np.ones(3), 12)
    told_RO = Law(np.diag([1.0, 0.3, 0.1])).outputs(weights_RE)
    table = earlier(*(row(n, tuple(w), tuple(s)) for n, (w, s) in enumerate(zip(weights_RE, told_RO, strict=True))))
    selection = Selection(zoo=(RidgeSqrt(),), num_folds=2)
    for informing, wanted in ((replace(table, rows=table.rows[:3]), WANTED), (table, replace(WANTED, sets=("p", "q")))):
        assert informed(selection, informing, wanted) == (selection, None)
    more, asked = informed(selection, table, WANTED)
    assert [member.kind for member in more.zoo] == ["ridge_sqrt", "warm"] and asked is not None
    assert asked.outputs(np.array([[0.0, 0.2, 0.3, 0.5]])).shape == (1, 2)
