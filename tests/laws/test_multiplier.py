"""What a random twin would have needed: read off its curve, and only where it was measured."""

import numpy as np
import pytest

from benchmarks.law_tables import table
from tasks.core.errors import EvidenceError
from tasks.core.rng import generator
from tasks.laws.curve import Array
from tasks.laws.multiplier import multipliers

TOKENS = np.geomspace(1e8, 1e10, 6)


def loss(tokens: Array) -> Array:
    return np.asarray(2.0 + 300 / tokens**0.3)


def twin_loss() -> Array:
    return np.asarray(loss(TOKENS) * (1 + 0.001 * generator(0, "twin").standard_normal(len(TOKENS))))


def test_a_run_that_is_as_good_as_the_twin_with_twice_the_tokens_has_a_multiplier_of_two() -> None:
    tokens = np.array([5e8, 2e9])
    found = multipliers(
        table(tokens=tokens, loss=loss(2 * tokens)), table(tokens=TOKENS, loss=twin_loss()), "tokens", 0.8
    )
    for one in found:
        assert one.value is not None and one.lower is not None and one.upper is not None
        assert one.value == pytest.approx(2, rel=0.05)
        assert one.lower < 2 < one.upper
        assert one.range == "within"


def test_a_loss_the_twin_never_had_is_beyond_range() -> None:
    runs = table(tokens=[1e9, 1e9], loss=[float(loss(np.array(1e11))), float(loss(np.array(1e7)))])
    found = multipliers(runs, table(tokens=TOKENS, loss=twin_loss()), "tokens", 0.8)
    assert [one.value for one in found] == [None, None]
    assert [one.range for one in found] == ["beyond range: better than the twin", "beyond range: worse than the twin"]


def test_compute_is_that_of_size_and_tokens_together() -> None:
    params = np.sqrt(TOKENS)
    twin = table(params=params, tokens=TOKENS, loss=loss(6 * params * TOKENS / 1e5))
    run = table(params=[1e5], tokens=[1e9], loss=[float(loss(np.array(3 * 6e14 / 1e5)))])
    (found,) = multipliers(run, twin, "compute", 0.8)
    assert found.value == pytest.approx(3, rel=0.02)


@pytest.mark.parametrize(
    ("columns", "by", "told"),
    [
        ({"tokens": TOKENS[:2]}, "tokens", "2 different points"),
        ({"tokens": TOKENS, "params": np.linspace(1e6, 2e6, 6)}, "tokens", "models of 6 sizes"),
        ({"tokens": TOKENS}, "compute", "without a column `params`"),
    ],
)
def test_a_twin_that_says_nothing_is_refused(columns: dict[str, Array], by: str, told: str) -> None:
    twin = table(**columns, loss=loss(columns["tokens"]))
    with pytest.raises(EvidenceError, match=told):
        multipliers(table(tokens=[1e9], loss=[2.4]), twin, by, 0.8)  # type: ignore[arg-type]
