"""What the train stage publishes reads back as it was written, and anything else is refused with its place."""

from pathlib import Path

import pytest

from tasks.core.errors import DataError
from tasks.training.published import TrainedRuns
from tasks.training.published_run import (
    LEDGER_FILE,
    LOSSES_FILE,
    LedgerRow,
    ledger_text,
    losses_text,
    read_ledger,
    read_losses,
)
from tests.training.made import trained_run

ROWS = (
    LedgerRow(0, 9, "a, with a comma", 7, 112, 300, 0.028112, 4, 2, "00000000000000ff"),
    LedgerRow(0, 9, "b", 33, 528, 1200, 1.5, 0, 17, "f" * 16),
)
LOSSES = (4.1588830833, 3.25, 1e-05)


def test_runs_ledger_and_losses_read_back_as_they_were_written(tmp_path: Path) -> None:
    runs = TrainedRuns(runs=(trained_run("natural", 0), trained_run("searched", 0)))
    runs.write(tmp_path)
    assert TrainedRuns.read(tmp_path) == runs
    (tmp_path / LEDGER_FILE).write_text(ledger_text(ROWS))
    (tmp_path / LOSSES_FILE).write_text(losses_text(LOSSES))
    assert read_ledger(tmp_path) == ROWS
    assert read_losses(tmp_path) == LOSSES


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step,loss\n0,4.0\n2,3.0\n", "line 3: step 2 with loss 3.0, expected a finite loss of step 1"),
        ("step,loss\n0,nan\n", "line 2: step 0 with loss nan"),
        ("step,loss\n0\n", "line 2 has 1 cells, the header 2"),
        ("loss,step\n", "its columns are loss, step, expected step, loss"),
    ],
)
def test_losses_that_are_none_are_refused_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / LOSSES_FILE).write_text(text)
    with pytest.raises(DataError, match=message):
        read_losses(tmp_path)


def test_a_ledger_with_a_cell_that_is_no_number_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / LEDGER_FILE).write_text(ledger_text(ROWS).replace(",528,", ",many,"))
    with pytest.raises(DataError, match=r"ledger\.csv: line 3: .*'many'"):
        read_ledger(tmp_path)


def test_two_runs_of_one_mixture_and_seed_are_refused(tmp_path: Path) -> None:
    TrainedRuns(runs=(trained_run("natural", 0), trained_run("natural", 1))).write(tmp_path)
    path = tmp_path / TrainedRuns.FILE
    path.write_text(path.read_text().replace('"seed": 1', '"seed": 0'))
    with pytest.raises(DataError, match="the same mixture and seed"):
        TrainedRuns.read(tmp_path)
