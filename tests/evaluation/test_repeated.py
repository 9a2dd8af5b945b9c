"""Loss against epochs: from what a run consumed and was evaluated to be, to the lines of a picture."""

from pathlib import Path

import pytest

from tasks.evaluation.command import show
from tasks.evaluation.published_like import LossAgainstEpochs
from tasks.evaluation.repeated import loss_against_epochs, points
from tasks.mixture.published import MixtureName
from tasks.pictures.epochs import lines_of, most_repeated, rows_of
from tasks.training.published import Consumed
from tasks.training.published_run import (
    EVALUATIONS_FILE,
    LEDGER_FILE,
    EvaluationRow,
    LedgerRow,
    evaluations_text,
    ledger_text,
)
from tests.evaluation.made import measured
from tests.training.made import trained_run


def block(number: int, domain: str, epochs: float) -> LedgerRow:
    return LedgerRow(10 * number, 10 * number + 9, domain, 5, 160, 600, epochs, 0, 9, "0" * 16)


# d0 pauses in the second block of steps.
LEDGER = (block(0, "d0", 0.5), block(0, "d1", 1.0), block(1, "d1", 2.0), block(2, "d0", 1.5))


def test_epochs_of_an_evaluation_are_those_of_the_ledger_up_to_its_step() -> None:
    steps = (5, 10, 15, 20, 25, 30)
    found = points("d0", [EvaluationRow(step, "d0", 3 - step / 30) for step in steps], LEDGER)
    assert [(one.step, one.epochs) for one in found] == [
        (5, 0.25), (10, 0.5), (15, 0.5), (20, 0.5), (25, 1.0), (30, 1.5),
    ]  # fmt: skip
    assert found[-1].bits_per_byte == 2.0


def made(folder: Path, *, evaluated: bool) -> LossAgainstEpochs:
    """Return loss against epochs of two mixtures with two seeds each."""
    runs, models = [], []
    mixtures: dict[MixtureName, float] = {"searched": 1.5, "natural": 0.5}
    for mixture, epochs in mixtures.items():
        for seed in (0, 1):
            consumed = {
                "d0": Consumed(samples=9, tokens=99, epochs=epochs),
                "d1": Consumed(samples=1, tokens=9, epochs=0.1),
            }
            runs.append(trained_run(mixture, seed, ("d0", "d1"), consumed=consumed))
            models.append(measured(mixture, seed, [2.0 + seed / 10, 3.0]))
            own = folder / runs[-1].folder
            own.mkdir(parents=True)
            if evaluated:
                rows = [EvaluationRow(step, "d0", 3 - step / 30 + seed / 10) for step in (10, 20, 30)]
                (own / EVALUATIONS_FILE).write_text(evaluations_text(rows))
                (own / LEDGER_FILE).write_text(ledger_text(LEDGER))
    return loss_against_epochs(folder, runs, models)


def test_seeds_of_a_mixture_are_one_line_and_one_epoch_is_read_off_it(tmp_path: Path) -> None:
    found = made(tmp_path, evaluated=True)
    assert most_repeated(found) == ["d0", "d1"]
    searched, natural = lines_of(found, "d0")
    assert (searched.mixture, searched.seeds, searched.epochs) == ("searched", 2, (0.5, 0.5, 1.5))
    assert searched.mean == pytest.approx((2.7167, 2.3833, 2.05), abs=1e-4)
    assert (natural.low[-1], natural.high[-1]) == (2.0, 2.1)
    row, *_ = rows_of(found)
    assert (row.epochs, row.bits_per_byte) == (1.5, 2.05)
    assert row.at_one_epoch == pytest.approx((2.3833 + 2.05) / 2, abs=1e-4) and row.at_end == pytest.approx(2.05)


def test_runs_that_were_not_evaluated_on_their_way_are_told_by_their_ends(tmp_path: Path) -> None:
    found = made(tmp_path, evaluated=False)
    assert [(line.epochs, line.mean, line.low, line.high) for line in lines_of(found, "d0")] == [
        ((1.5,), (2.05,), (2.0,), (2.1,)),
        ((0.5,), (2.05,), (2.0,), (2.1,)),
    ]
    assert {(row.at_one_epoch, row.at_end) for row in rows_of(found)} == {(None, None)}


def test_the_stage_shows_a_picture_of_every_repeated_domain_and_all_as_a_table(tmp_path: Path) -> None:
    made(tmp_path, evaluated=True).write(tmp_path)
    shown = show(tmp_path)
    assert list(shown.pictures) == ["epochs-0", "epochs-1"]
    assert "d0: bits per byte against epochs; at the end searched 2.0500 at 1.50" in shown.pictures["epochs-0"]
    rows = shown.tables["loss-against-epochs"]
    assert [(row["domain"], row["mixture"]) for row in rows] == [
        ("d0", "searched"), ("d0", "natural"), ("d1", "searched"), ("d1", "natural"),
    ]  # fmt: skip
