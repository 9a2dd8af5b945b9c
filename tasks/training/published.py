"""What others may read of the train stage: its runs, and of each run the loss curve and the ledger of what it consumed."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from math import isfinite
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from tasks.core.errors import DataError
from tasks.core.published import Model, Published
from tasks.training.config import Mixture

# The files in the folder of a trained run.
WEIGHTS_FILE, CONFIG_FILE, LOSSES_FILE, LEDGER_FILE = "model.safetensors", "config.json", "losses.csv", "ledger.csv"
# Where the folders of all runs lie.
MODELS_FOLDER = "models"
# Where one model lies with its tokenizer, and what `transformers` reads there besides.
EXPORT_FOLDER = "export"
TRANSFORMERS_FILES = ("generation_config.json", "special_tokens_map.json", "tokenizer_config.json")


class TrainedPhase(Model):
    """A part of a run with one mixture: tokens, and a weight per domain in the order of the pool's domains."""

    tokens: PositiveInt
    weights: tuple[float, ...]


class Consumed(Model):
    """What a run took from one domain; an epoch is every whole sample of the domain's train split once."""

    samples: NonNegativeInt
    tokens: NonNegativeInt
    epochs: NonNegativeFloat


class TrainedRun(Model):
    """One trained model. Runs of several mixtures with one seed are pairs, if device and instruction set are the same.

    `folder` is where its files lie in what the stage published; `final_loss` is the mean over the last tenth of the
    steps, in nats per token.
    """

    name: str
    mixture: Mixture
    seed: NonNegativeInt
    folder: str
    phases: tuple[TrainedPhase, ...] = Field(min_length=1)
    tokens: PositiveInt
    parameters: PositiveInt
    flops: PositiveInt
    final_loss: float
    consumed: Mapping[str, Consumed]
    weights_digest: str
    device: str
    instruction_set: str


class TrainedRuns(Published):
    """The runs of a train stage, mixture by mixture."""

    FILE: ClassVar[str] = "runs.json"

    format: Literal[2] = 2
    runs: tuple[TrainedRun, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _has_no_doubles(self) -> Self:
        pairs = [(run.mixture, run.seed) for run in self.runs]
        if len({*pairs}) < len(pairs) or len({run.name for run in self.runs}) < len(pairs):
            raise ValueError("two runs have the same name, or the same mixture and seed")
        return self


@dataclass(frozen=True)
class LedgerRow:
    """What a block of steps consumed of one domain; `epochs` counts from the start of the run."""

    first_step: int
    last_step: int
    domain: str
    samples: int
    tokens: int
    epochs: float


def ledger_text(rows: Iterable[LedgerRow]) -> str:
    """Return the text of `ledger.csv`."""
    return _csv([field.name for field in fields(LedgerRow)], map(astuple, rows))


def read_ledger(folder: Path) -> tuple[LedgerRow, ...]:
    """Return what the run in a folder consumed, per block of steps and domain.

    Raises:
        DataError: the file is missing, or not what `ledger_text` made.
    """
    path, found = folder / LEDGER_FILE, list[LedgerRow]()
    for number, row in _rows(path, [field.name for field in fields(LedgerRow)]):
        try:
            first, last, domain, samples, tokens, epochs = row
            found.append(LedgerRow(int(first), int(last), domain, int(samples), int(tokens), float(epochs)))
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


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return stream.getvalue()


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of each row."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: it cannot be read: {error}. Run train again, or `dvc pull`.") from error
    rows = csv.reader(lines)
    if (head := next(rows, [])) != list(columns):
        raise DataError(f"{path}: its columns are {', '.join(head)}, expected {', '.join(columns)}. Run train again.")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(columns):
            raise DataError(f"{path}: line {number} has {len(row)} cells, the header {len(columns)}. Run train again.")
        yield number, row


def _broken(path: Path, number: int, error: ValueError) -> DataError:
    return DataError(f"{path}: line {number}: {error}. Run train again.")
