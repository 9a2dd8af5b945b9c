"""What every held-out set is forecast to have: by a law of two sizes, with intervals that hold what they say."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tasks.core.rng import generator
from tasks.mixture.expected_curve import RunCurve, expected_curve
from tasks.mixture.other_text import of_documents, other_text
from tasks.mixture.problem import Problem, SearchedDomain
from tasks.mixture.published_forecast import Said
from tasks.mixture.runs import ProxyRun, RunTable
from tasks.mixture.third_size import Sizes, exponent_at, fall
from tasks.mixture.transfer import Size
from tasks.mixture.values import mixture_values
from tasks.tokenize.pool import read_pool, write_pool
from tasks.training.curve import SHARES, Reading, read_curve, steps_read

SMALL, LARGE, TARGET = Size(1000, 2048), Size(2000, 4096), Size(4000, 8192)
WAY = Sizes(SMALL, LARGE, TARGET)
NAMES = ("a", "b")
PROBLEM = Problem(
    tuple(SearchedDomain(name, rows * 10, rows * 40, rows, rows) for name, rows in (("a", 300), ("b", 700))),
    (0.5, 0.5), 100, 100, 4.0,
)  # fmt: skip
NATURAL, PICK = tuple(PROBLEM.natural.tolist()), (0.6, 0.4)
SAID = Said(value=0.05, lower=0.04, upper=0.06)

Losses = Mapping[Size, Mapping[tuple[float, ...], np.ndarray]]


def table(losses: Losses) -> RunTable:
    """A row for every seed: losses are [seeds, sets] by size and mixture."""
    rows = list[ProxyRun]()
    for size, by_mixture in losses.items():
        for weights, losses_RS in by_mixture.items():
            for seed, own in enumerate(losses_RS.tolist()):
                told = (size.model_parameters, size.tokens, 1, sum(own) / len(own))
                rows.append(ProxyRun(len(rows), 0, "transfer", seed, *told, weights, tuple(own)))
    return RunTable(NAMES, NAMES, "bits per byte", tuple(rows))


def told(runs: RunTable, way: Sizes = WAY, pick: tuple[float, ...] = PICK, text: tuple[float, float] = (0.0, 0.0)):  # type: ignore[no-untyped-def]
    return mixture_values(PROBLEM, runs, way, pick, SAID, other_text=text, drift_per_efold=0.4, confidence=0.8)


def law(size: Size) -> np.ndarray:
    return np.array([1.0, 2.0]) + np.array([4.0, 6.0]) * size.compute ** -exponent_at(2.048)


EXACT = table({size: {NATURAL: law(size)[None], PICK: (law(size) - 0.1)[None]} for size in (SMALL, LARGE)})


def test_losses_that_follow_a_law_are_forecast_by_it_and_the_recipes_are_naturals_less_the_gain() -> None:
    values, gains = told(EXACT)
    natural, searched = values["natural"], values["searched"]
    assert [natural.sets[name].value for name in NAMES] == pytest.approx(law(TARGET).tolist())
    assert natural.objective.value == pytest.approx(law(TARGET).mean())
    for name in NAMES:
        assert searched.sets[name].value == pytest.approx(natural.sets[name].value - gains[name].value)
        assert natural.sets[name].lower < natural.sets[name].value < natural.sets[name].upper
    assert searched.objective.value == pytest.approx(natural.objective.value - SAID.value)


def test_from_one_size_its_own_losses_are_told_without_any_doubt_about_a_law() -> None:
    values, _ = told(EXACT, Sizes(SMALL))
    assert values["natural"].sets["a"].value == pytest.approx(law(SMALL)[0])
    assert values["natural"].sets["a"].common == 0.0 and values["natural"].curve == ()


def test_other_text_is_a_doubt_of_each_set_by_itself_and_half_of_both_in_their_mean() -> None:
    natural = told(EXACT, Sizes(SMALL), text=(0.03, 0.04))[0]["natural"]
    assert [natural.sets[name].sd for name in NAMES] == pytest.approx([0.03 * law(SMALL)[0], 0.04 * law(SMALL)[1]])
    assert natural.objective.sd == pytest.approx(np.hypot(0.03 * law(SMALL)[0], 0.04 * law(SMALL)[1]) / 2)


def test_other_text_differs_more_where_less_of_it_or_fewer_documents_are_measured(tmp_path: Path) -> None:
    # 100 tokens of one document, 60 of six documents; a task of 24 items, of which the search looks at some.
    one, six = np.append(np.ones(99, int), 0), np.tile([1] * 9 + [0], 6)
    splits = {"train": one, "test": one}
    write_pool(
        tmp_path, {"one": {**splits, "search": one}, "six": {**splits, "search": six}}, vocab_size=8, document_end=0
    )
    pool = read_pool(tmp_path, "search")
    assert other_text(pool, (100, 100)) == pytest.approx((2.2 / 100**0.5, 2.2 / 60**0.5))
    assert other_text(pool, (25, 25)) == pytest.approx((2.2 / 5, 2.2 / 5))
    assert of_documents(10**6, 4) == pytest.approx(0.05)


def test_natural_itself_has_no_gain_and_what_was_not_measured_is_not_told() -> None:
    values, gains = told(EXACT, pick=NATURAL)
    assert all((each.value, each.lower, each.upper) == (0.0, 0.0, 0.0) for each in gains.values())
    assert values["searched"].sets["a"].value == values["natural"].sets["a"].value
    assert told(EXACT, pick=(0.1, 0.9)) == ({}, {})
    assert told(table({SMALL: {NATURAL: law(SMALL)[None], PICK: law(SMALL)[None]}})) == ({}, {})


def test_eighty_percent_of_losses_lie_in_the_interval_whatever_the_law_is_off_by() -> None:
    stream, inside, runs = generator(0, "law"), 0, 300
    for _ in range(runs):
        # The last step is off by some 50 %, and every run has noise.
        first, second = law(SMALL), law(LARGE)
        truth = second - fall(SMALL, LARGE, TARGET).factor * (1 + 0.5 * stream.standard_normal()) * (first - second)
        seen = {
            size: {weights: level + 0.01 * stream.standard_normal((seeds, 2)) for weights in (NATURAL, PICK)}
            for size, level, seeds in ((SMALL, first, 4), (LARGE, second, 2))
        }
        found = told(table(seen))[0]["natural"].sets["a"]
        inside += found.lower <= truth[0] + 0.01 * stream.standard_normal(3).mean() <= found.upper
    assert 0.7 <= inside / runs <= 0.9


def test_a_curve_is_read_from_what_was_trained_by_then() -> None:
    assert [(steps.start, steps.stop) for steps in (steps_read(share, 100) for share in SHARES)] == [
        (5, 25), (30, 50), (55, 75), (75, 95)
    ]  # fmt: skip
    line = read_curve([4.0 - 0.01 * step for step in range(100)])
    assert [reading.loss for reading in line] == pytest.approx([3.855, 3.605, 3.355, 3.155])
    noise = generator(0, "noise").standard_normal(400)
    assert read_curve((4.0 + 0.3 * noise).tolist())[2].sd == pytest.approx(0.3 / 80**0.5, rel=0.2)
    assert read_curve([4.0])[0].loss == 4.0


def test_the_loss_on_the_way_follows_the_law_unless_the_sizes_had_other_schedules() -> None:
    def curve(run: int, size: Size, rate: float = 0.5) -> RunCurve:
        readings = tuple(Reading(float(law(size)[0]) / share, 0.01) for share in SHARES)
        return RunCurve(run, readings, (1.0, 1.0, rate, rate / 4))

    numbers = {row.fidelity[0]: row.run for row in EXACT.rows if row.weights == NATURAL}
    curves = [curve(numbers[size.model_parameters], size) for size in (SMALL, LARGE)]
    found = expected_curve(EXACT, WAY, NATURAL, curves)
    assert [each.loss for each in found] == pytest.approx([law(TARGET)[0] / share for share in SHARES])
    # The nearer the end, the more of what the law is off by shows.
    shown = [each.common / each.sd for each in found]
    assert shown == sorted(shown) and found[-1].rate == 0.125
    other = [curves[0], curve(numbers[LARGE.model_parameters], LARGE, 1.0)]
    assert expected_curve(EXACT, WAY, NATURAL, other) == ()
    assert expected_curve(EXACT, WAY, PICK, curves) == () and expected_curve(EXACT, Sizes(SMALL), NATURAL, curves) == ()
