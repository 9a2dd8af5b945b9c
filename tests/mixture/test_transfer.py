"""The transfer gate: which mixtures are sent to a second size, and what their order there says."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import ConfigError, EvidenceError
from tasks.core.rng import generator
from tasks.mixture.published_candidates import Correlation, Transfer
from tasks.mixture.runs import ProxyRun, RunTable
from tasks.mixture.transfer import (
    Size,
    TransferParams,
    normal_sd,
    require_larger,
    size_gain,
    spearman,
    transfer,
    transfer_mixtures,
)
from tasks.training.params import demo_full

Array = npt.NDArray[np.float64]
SMALL, LARGE = Size(1000, 2000), Size(8000, 16000)
PARAMS = TransferParams(training=demo_full())
MIXTURES = tuple((k / 20, 1 - k / 20) for k in range(20))
NATURAL, PICK = MIXTURES[10], MIXTURES[0]
NOISE = 0.01


def runs_of(small: Array, large: Array, seeds: int = 2, noise: float = NOISE, name: str = "transfer") -> RunTable:
    """All mixtures at the first size, those whose large value is finite at the second; `seeds` of each, noise of a run."""
    stream, rows = generator(0, name), list[ProxyRun]()
    for size, values in ((SMALL, small), (LARGE, large)):
        shift = stream.standard_normal(seeds)
        for weights, value in zip(MIXTURES, values.tolist(), strict=True):
            for seed in range(seeds) if np.isfinite(value) else ():
                told = value + float(shift[seed] + noise * stream.standard_normal())
                rows.append(
                    ProxyRun(
                        len(rows),
                        0,
                        "transfer",
                        seed,
                        size.model_parameters,
                        size.tokens,
                        1,
                        told,
                        weights,
                        (told, told),
                    )
                )
    return RunTable(("a", "b"), ("a", "b"), "bits per byte", tuple(rows))


def order(found: Transfer) -> Correlation:
    """The order of all mixtures, where it was asked."""
    assert found.overall is not None
    return found.overall


def gate(small: Array, large: Array, seeds: int = 2, noise: float = NOISE, name: str = "transfer") -> Transfer:
    return transfer(PARAMS, runs_of(small, large, seeds, noise, name), SMALL, LARGE, NATURAL, PICK)


RANKED = np.linspace(1.0, 2.0, 20)


def test_spearman_and_its_interval_are_those_of_the_reference_implementation() -> None:
    # R: statpsych::ci.spear(.05, y, x), the example of its manual; Bonett and Wright (2000).
    y = np.array([21, 4, 9, 12, 35, 18, 10, 22, 24, 1, 6, 8, 13, 16, 19], dtype=np.float64)
    x = np.array([67, 28, 30, 28, 52, 40, 25, 37, 44, 10, 14, 20, 28, 40, 51], dtype=np.float64)
    assert spearman(y, x, 0.95) == pytest.approx((0.8699639, 0.5840951, 0.9638297), abs=1e-7)


@given(st.permutations(range(8)))
def test_the_interval_holds_rho_and_is_narrower_for_more_mixtures(order: list[int]) -> None:
    one, other = np.arange(8.0), np.array(order, dtype=np.float64)
    rho, lower, upper = spearman(one, other, 0.9)
    assert -1 <= lower <= rho <= upper <= 1
    _, twice_lower, twice_upper = spearman(np.tile(one, 2), np.tile(other, 2), 0.9)
    assert twice_upper - twice_lower < upper - lower + 1e-12


def test_the_lower_end_lies_above_the_truth_in_at_most_five_percent_of_samples() -> None:
    truth = 6 / np.pi * np.arcsin(0.9 / 2)  # Spearman of a bivariate normal with correlation .9
    stream, above = generator(0, "coverage"), 0
    for _ in range(1000):
        one = stream.standard_normal(8)
        above += spearman(one, 0.9 * one + 0.19**0.5 * stream.standard_normal(8), 0.9)[1] > truth
    assert above <= 60


def test_mixtures_that_keep_their_order_transfer() -> None:
    found = gate(RANKED, 0.3 * RANKED + 1)
    assert found.verdict == "transfers" and order(found).rho > 0.95 and order(found).mixtures == 20
    assert found.gains[0].gain == pytest.approx(RANKED[10] - RANKED[0], abs=0.05)
    assert found.gains[1].gain == pytest.approx(0.3 * (RANKED[10] - RANKED[0]), abs=0.05)
    assert found.statement.startswith("The order transfers from 1,000 parameters and 2,000 tokens to 8,000")


def test_a_reversed_order_does_not_transfer() -> None:
    found = gate(RANKED, 3 - RANKED)
    assert found.verdict == "does not transfer" and order(found).rho < -0.9


def test_an_order_lost_among_the_best_alone_is_seen() -> None:
    large = RANKED.copy()
    large[:6] = RANKED[5::-1] - 0.3
    kept = gate(RANKED, large)
    assert order(kept).rho > 0.8 and kept.top is not None and kept.top.rho < -0.8
    assert kept.verdict == "does not transfer"


def test_a_pick_that_is_worse_than_natural_at_the_second_size_does_not_transfer() -> None:
    large = RANKED.copy()
    large[0] = 1.8
    found = gate(RANKED, large)
    assert found.gains[1].gain < 0 and found.verdict == "does not transfer"


def test_a_pick_that_may_or_may_not_be_worse_than_natural_there_is_no_transfer() -> None:
    large = RANKED.copy()
    large[0] = large[10] + 0.008
    found = gate(RANKED, large)
    assert order(found).rho > 0.9 and -0.016 < found.gains[1].gain < 0
    assert found.verdict == "cannot tell"


def test_a_loss_that_two_seeds_of_one_pair_show_is_no_loss_yet() -> None:
    large = RANKED.copy()
    large[0] = large[10] + 0.015
    rows = []
    for row in runs_of(RANKED, large, noise=0.0).rows:
        at_large, own = row.fidelity[0] == LARGE.model_parameters, 0.01 if row.weights == PICK else 0.0
        if not at_large or row.seed == 0 or row.weights in {NATURAL, PICK}:
            rows.append(replace(row, objective=row.objective - own * row.seed * at_large))
    found = transfer(
        PARAMS, RunTable(("a", "b"), ("a", "b"), "bits per byte", tuple(rows)), SMALL, LARGE, NATURAL, PICK
    )
    told = found.gains[1]
    assert told.sd is not None and told.sd == pytest.approx(0.005) and told.degrees_of_freedom == 1
    assert told.gain == pytest.approx(-0.01)
    assert told.gain + 1.645 * told.sd < 0 and found.verdict == "cannot tell"


def test_the_degrees_of_freedom_of_a_gain_are_those_of_its_noise_and_widen_it_as_students_t() -> None:
    found = gate(RANKED, RANKED)
    assert [each.degrees_of_freedom for each in found.gains] == [19, 19]
    assert normal_sd(size_gain(SMALL, 0.0, 1.0, 2), 0.9) == pytest.approx(2.92 / 1.6449, rel=1e-4)
    assert normal_sd(size_gain(SMALL, 0.0, 1.0), 0.9) == 1.0
    assert normal_sd(size_gain(SMALL, 0.0, None, 2), 0.9) is None


def test_a_second_size_without_more_compute_is_refused() -> None:
    require_larger(SMALL, LARGE)
    require_larger(SMALL, Size(900, 4000))  # parameters x tokens count, not either alone
    for second in (SMALL, Size(2000, 1000), Size(900, 2000)):
        with pytest.raises(ConfigError, match=r"search\.transfer\.training: .* no more than the .* Give"):
            require_larger(SMALL, second)


def test_few_mixtures_in_a_loose_order_are_no_verdict() -> None:
    large = np.full(20, np.nan)
    large[[0, 3, 6, 10, 14, 18]] = [1.0, 1.3, 1.2, 1.5, 1.35, 1.4]
    found = gate(RANKED, large, noise=0.0)
    assert order(found).mixtures == 6 and found.verdict == "cannot tell" and found.top is None
    assert "cannot be told" in found.statement and "too few of the best" in found.statement


def verdict_of(places_of: list[int]) -> tuple[str, float, float]:
    """The verdict, rho and its lower end where the best, natural and others in between come out in this order."""
    places = np.linspace(0, 19, len(places_of)).round().astype(int)
    places[np.abs(places - 10).argmin()] = 10
    large = np.full(20, np.nan)
    large[places] = 1.0 + 0.1 * np.array(places_of)
    lenient = PARAMS.model_copy(update={"min_spearman": 0.75})
    found = transfer(lenient, runs_of(RANKED, large, noise=0.0), SMALL, LARGE, NATURAL, PICK)
    return found.verdict, order(found).rho, order(found).lower


def test_a_rho_that_is_high_by_chance_or_surely_moderate_is_no_transfer() -> None:
    verdict, rho, lower = verdict_of([1, 0, 2, 4, 3])
    assert verdict == "cannot tell" and rho == pytest.approx(0.8) and lower < 0
    verdict, rho, lower = verdict_of([0, 4, 1, 6, 2, 3, 9, 5, 8, 7])
    assert verdict == "cannot tell" and rho < 0.75 and lower > 0
    assert verdict_of([0, 1, 3, 2, 4, 5, 6, 7, 8, 9])[0] == "transfers"


def test_more_seeds_of_the_pick_make_its_gain_better_known() -> None:
    once, thrice = (gate(RANKED, RANKED, seeds=3, name="seeds") for _ in range(2))
    rows = tuple(
        row for row in runs_of(RANKED, RANKED, seeds=3, name="seeds").rows if row.seed == 0 or row.weights != PICK
    )
    once = transfer(PARAMS, replace(runs_of(RANKED, RANKED), rows=rows), SMALL, LARGE, NATURAL, PICK)
    assert once.gains[1].sd is not None and thrice.gains[1].sd is not None
    assert once.gains[1].sd == pytest.approx(3**0.5 * thrice.gains[1].sd, rel=0.1)


def test_a_mixture_without_any_of_naturals_seeds_is_left_out() -> None:
    runs = runs_of(RANKED, RANKED)
    rows = tuple(replace(row, seed=7 + row.seed) if row.weights == MIXTURES[5] else row for row in runs.rows)
    found = transfer(PARAMS, replace(runs, rows=rows), SMALL, LARGE, NATURAL, PICK)
    assert order(found).mixtures == 19


def test_noise_that_hides_the_order_is_not_taken_for_a_lost_order() -> None:
    verdicts, without = Counter[str](), Counter[str]()
    for number in range(40):
        runs = runs_of(RANKED, RANKED, seeds=2, noise=0.5, name=f"noisy {number}")
        found = transfer(PARAMS, runs, SMALL, LARGE, NATURAL, PICK)
        assert order(found).ceiling is not None and order(found).ceiling < 0.8
        verdicts[found.verdict] += 1
        once = replace(runs, rows=tuple(row for row in runs.rows if row.seed == 0))
        without[transfer(PARAMS, once, SMALL, LARGE, NATURAL, PICK).verdict] += 1
    # With one seed nobody knows the noise, and the same tables look like a lost order.
    assert verdicts["does not transfer"] <= 8 < without["does not transfer"], (verdicts, without)


def test_seeds_that_differ_between_mixtures_are_compared_with_natural_seed_by_seed() -> None:
    runs = runs_of(RANKED, RANKED, seeds=3)
    # The pick has other seeds than the rest, as after a confirmation; a seed shifts everything by about 1.
    rows = tuple(row for row in runs.rows if row.weights == NATURAL or (row.seed > 0) == (row.weights == PICK))
    found = transfer(PARAMS, replace(runs, rows=rows), SMALL, LARGE, NATURAL, PICK)
    assert found.verdict == "transfers"
    assert found.gains[0].gain == pytest.approx(RANKED[10] - RANKED[0], abs=0.05)


def test_what_was_not_measured_at_both_sizes_is_named() -> None:
    large = np.full(20, np.nan)
    large[[0, 5, 10]] = 1.0, 1.2, 1.5
    with pytest.raises(EvidenceError, match="3 mixtures were measured"):
        gate(RANKED, large)
    large[[1, 2, 3, 4]] = 1.0
    large[0] = np.nan
    with pytest.raises(EvidenceError, match="the pick not among them"):
        gate(RANKED, large)
    large[[0, 10]] = 1.0, np.nan
    with pytest.raises(EvidenceError, match="natural was not measured at 8,000"):
        gate(RANKED, large)
    with pytest.raises(EvidenceError, match="measured the same"):
        gate(RANKED, np.ones(20), seeds=1, noise=0.0)


@dataclass(frozen=True)
class Teller:
    """Predicts the weight of the first domain."""

    def mean(self, weights_MD: Array) -> Array:
        return weights_MD[:, 0]


def test_natural_the_pick_and_the_whole_range_are_sent_half_of_them_from_the_top_quarter() -> None:
    runs = runs_of(RANKED, np.full(20, np.nan), seeds=1)
    sent = transfer_mixtures(runs, Teller(), NATURAL, (0.01, 0.99), 8)  # type: ignore[arg-type]
    assert sent[:2] == (NATURAL, (0.01, 0.99)) and len(set(sent)) == 8
    ranks = sorted(MIXTURES.index(each) for each in sent[2:])
    assert sum(rank < 5 for rank in ranks) == 3 and ranks[0] == 0 and ranks[-1] == 19
    assert sorted(transfer_mixtures(runs, Teller(), NATURAL, PICK, 20)) == sorted(MIXTURES)  # type: ignore[arg-type]
    assert transfer_mixtures(runs, Teller(), NATURAL, NATURAL, 6)[0] == NATURAL  # type: ignore[arg-type]
