"""The files of one trained run: its model, its loss curve, the ledger of what it consumed, its evaluations on the way."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from math import isfinite
from pathlib import Path

from tasks.core.errors import DataError

WEIGHTS_FILE, CONFIG_FILE, LOSSES_FILE, LEDGER_FILE = "model.safetensors", "config.json", "losses.csv", "ledger.csv"
# Of a run that was evaluated on its way.
EVALUATIONS_FILE = "evaluations.csv"
# What `transformers` reads of a model besides its weights, config and tokenizer.
TRANSFORMERS_FILES = ("generation_config.json", "special_tokens_map.json", "tokenizer_config.json")

# Where the milestones of a finished run lie, a folder each.
MILESTONES = "milestones"
STATE_FILE, RECORD_FILE = "state.safetensors", "checkpoint.json"
# In the record: steps that the optimizer had made before the run's first, where it began with another run's state.
OPTIMIZER_STEPS = "optimizer_steps"


def milestone_folder(step: int) -> str:
    """Return where the milestone of a step lies, relative to the run.

    >>> milestone_folder(80)
    'milestones/step-000000080'
    """
    return f"{MILESTONES}/{checkpoint_name(step)}"


def checkpoint_name(step: int) -> str:
    """Return the name of a step's checkpoint: in the order of the steps."""
    return f"step-{step:09d}"


@dataclass(frozen=True)
class LedgerRow:
    """What a block of steps consumed of one domain; `epochs` counts from the start of the run.

    `bytes` are the UTF-8 bytes that the tokens stand for. The documents are those of the first and the last sample, by
    their order in the domain's train split (the rows of `documents.parquet`, from 0). `digest` is 16 hexadecimal digits
    over number, row and tokens of every sample, the same for any number of processes. `masked` are samples in which nothing
    is predicted, `weight` what the tokens count in the loss together; None = in this run there are none, and each counts 1.
    """

    first_step: int
    last_step: int
    domain: str
    samples: int
    tokens: int
    bytes: int
    epochs: float
    first_document: int
    last_document: int
    digest: str
    masked: int | None = None
    weight: float | None = None


# Columns of a ledger that only some runs have.
_SOME = ("masked", "weight")


def ledger_text(rows: Iterable[LedgerRow]) -> str:
    """Return the text of `ledger.csv`."""
    own = [asdict(row) for row in rows]
    left_out = [name for name in _SOME if all(row[name] is None for row in own)]
    columns = [field.name for field in fields(LedgerRow) if field.name not in left_out]
    return _csv(columns, [[row[name] for name in columns] for row in own])


def read_ledger(folder: Path) -> tuple[LedgerRow, ...]:
    """Return what the run in a folder consumed, per block of steps and domain.

    Raises:
        DataError: the file is missing, or not what `ledger_text` made.
    """
    path, found = folder / LEDGER_FILE, list[LedgerRow]()
    head = next(iter(_lines(path)), "").split(",")
    columns = [field.name for field in fields(LedgerRow) if field.name not in _SOME or field.name in head]
    for number, row in _rows(path, columns):
        try:
            first, last, domain, samples, tokens, size, epochs, first_document, last_document, digest, *_ = row
            counts = (int(samples), int(tokens), int(size), float(epochs), int(first_document), int(last_document))
            more = dict(zip(columns[10:], row[10:], strict=True))
            masked = int(more["masked"]) if "masked" in more else None
            weight = float(more["weight"]) if "weight" in more else None
            found.append(LedgerRow(int(first), int(last), domain, *counts, digest, masked, weight))
        except ValueError as error:
            raise _broken(path, number, error) from error
    return tuple(found)


def losses_text(losses: Sequence[float]) -> str:
    """Return the text of `losses.csv`: nats per token of every step, from 0."""
    return _csv(["step", "loss"], enumerate(losses))


def read_losses(folder: Path) -> tuple[float, ...]:
    """Return the loss of every step of the run in a folder, nats per token.

    Raises:
        DataError: the file is missing, a step is left out, or a loss is no finite number.
    """
    path, losses = folder / LOSSES_FILE, list[float]()
    for number, row in _rows(path, ["step", "loss"]):
        try:
            step, loss = int(row[0]), float(row[1])
            if step != len(losses) or not isfinite(loss):
                raise ValueError(f"step {row[0]} with loss {row[1]}, expected a finite loss of step {len(losses)}")
            losses.append(loss)
        except ValueError as error:
            raise _broken(path, number, error) from error
    return tuple(losses)


@dataclass(frozen=True)
class EvaluationRow:
    """Bits per byte of a domain's held-out text when `step` steps were made."""

    step: int
    domain: str
    bits_per_byte: float


def evaluations_text(rows: Iterable[EvaluationRow]) -> str:
    """Return the text of `evaluations.csv`."""
    return _csv([field.name for field in fields(EvaluationRow)], map(astuple, rows))


def read_evaluations(folder: Path) -> tuple[EvaluationRow, ...]:
    """Return the evaluations on its way of the run in a folder; none where it had none.

    Raises:
        DataError: the file is not what `evaluations_text` made.
    """
    path, found = folder / EVALUATIONS_FILE, list[EvaluationRow]()
    if not path.is_file():
        return ()
    for number, row in _rows(path, [field.name for field in fields(EvaluationRow)]):
        try:
            found.append(EvaluationRow(int(row[0]), row[1], float(row[2])))
        except ValueError as error:
            raise _broken(path, number, error) from error
    return tuple(found)


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return stream.getvalue()


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of each row."""
    rows = csv.reader(_lines(path))
    if (head := next(rows, [])) != list(columns):
        raise DataError(f"{path}: its columns are {', '.join(head)}, expected {', '.join(columns)}. Run train again.")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(columns):
            raise DataError(f"{path}: line {number} has {len(row)} cells, the header {len(columns)}. Run train again.")
        yield number, row


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: it cannot be read: {error}. Run train again, or `dvc pull`.") from error


def _broken(path: Path, number: int, error: ValueError) -> DataError:
    return DataError(f"{path}: line {number}: {error}. Run train again.")
