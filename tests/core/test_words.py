"""Numbers as they are said: what is not all reads as less than all, and what is not nothing as more."""

import pytest

from tasks.core.words import counted, percent, signed


@pytest.mark.parametrize(
    ("share", "told"),
    [
        (0.9999, "99.99%"),
        (0.999999, "99.9999%"),
        (0.95, "95%"),
        (0.9, "90%"),
        (0.975, "97.5%"),
        (0.29, "29%"),
        (1.0, "100%"),
    ],
)
def test_a_confidence_keeps_all_its_digits(share: float, told: str) -> None:
    assert percent(share) == told


@pytest.mark.parametrize(
    ("value", "told"), [(0.01, "+0.0100"), (-0.00004, "-4.0e-05"), (0.00006, "+0.0001"), (0.0, "+0.0000")]
)
def test_a_difference_that_is_not_zero_never_reads_as_zero(value: float, told: str) -> None:
    assert signed(value) == told


def test_one_thing_is_told_in_the_singular() -> None:
    assert [counted(number, "seed") for number in (0, 1, 2, 1000)] == ["0 seeds", "1 seed", "2 seeds", "1,000 seeds"]
