"""The study of few tokens: its ensembles share no member, its cells are chosen by means, and no worth is carried on."""

from pathlib import Path

import pytest

from benchmarks.studies.infinite_compute import FRESH, MEMBERS, USUAL, _best, _grid, _members, _worth


def test_no_two_ensembles_share_a_member_or_a_seed_that_a_cell_was_chosen_with() -> None:
    found = [seed for first in range(FRESH, FRESH + 50) for seed in _members(first)]
    assert len({*found}) == 50 * MEMBERS and not {*found} & {*range(FRESH)}


def test_the_best_cell_is_that_of_the_lowest_mean_with_the_usual_decay_and_with_others() -> None:
    found = {(8, USUAL): [3.0, 5.0], (16, USUAL): [3.9, 3.9], (8, 1.6): [1.0, 9.0], (16, 1.6): [4.0, 4.0]}
    assert _best(found, usual=True) == (16, USUAL) and _best(found, usual=False) == (16, 1.6)
    told = _grid(found).splitlines()
    assert told[2:4] == ["| 0.1 | 4.0000 | 3.9000 |", "| 1.6 | 5.0000 | 4.0000 |"]
    assert told[-1] == "Seeds of a cell spread over 2.500 on average."


def test_what_an_arm_is_worth_is_told_within_the_budgets_measured_alone(tmp_path: Path) -> None:
    law = [(1_000 * times, 2.0 + 1.0 / times + noise) for times in (1, 2, 4) for noise in (0.0, 0.001)]
    within, better, worse = _worth(tmp_path, 1_000, [2.4, 2.1, 3.5], law)
    assert float(within) == pytest.approx(2.5, rel=0.05)
    assert (better, worse) == ("beyond range: better than the twin", "beyond range: worse than the twin")
