"""The weights of a run that a train stage has published: those it ended with, or those of one of its milestones."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveInt

from tasks.core.errors import ConfigError
from tasks.core.params import Params
from tasks.tokenize.published import TOKENIZER_FILE
from tasks.training.published import EXPORT_FOLDER, TrainedRuns
from tasks.training.published_run import (
    CONFIG_FILE,
    RECORD_FILE,
    STATE_FILE,
    WEIGHTS_FILE,
    milestone_folder,
    read_ledger,
)
from tasks.training.starts.weights import StartPaths


class FromCheckpoint(Params):
    """Start from the weights of a trained run, or from weights and optimizer of its milestone, with a new data order."""

    kind: Literal["checkpoint"]
    folder: str = Field(min_length=1, description="what a train stage has published")
    run: str = Field(min_length=1, description="one of its runs, such as searched-seed0")
    step: PositiveInt | None = Field(default=None, description="one of its milestones; null = its end")
    other_rope_base: bool = Field(
        default=False,
        description="the run's RoPE base may be another one than the model's, as where its context is extended",
    )
    with_optimizer: bool = Field(
        default=False, description="go on with the milestone's optimizer state too; false = the optimizer is new"
    )
    upcycle: bool = Field(
        default=False,
        description="the model is dense, and each expert of train.training.model begins as a copy of its feed-forward",
    )

    def mistakes(self) -> Iterator[str]:
        """Yield what does not fit together."""
        if self.with_optimizer and self.step is None:
            yield (
                "with_optimizer goes on with a milestone's optimizer state, and a run's end is published without: name its "
                "step"
            )
        if self.with_optimizer and self.upcycle:
            yield "with_optimizer goes on with the state of the same weights, and upcycle makes others; leave one out"


def paths(config: FromCheckpoint, setting: str = "train.start") -> StartPaths:
    """Return where the files of the start are; `setting` is what names it.

    Raises:
        ConfigError: no train stage has published there, there is no such run, or it has no such milestone.
        DataError: what it has published cannot be read.
    """
    folder, own = Path(config.folder), _folder_of(config, setting)
    weights = own / (WEIGHTS_FILE if config.step is None else f"{milestone_folder(config.step)}/{STATE_FILE}")
    if not weights.is_file():
        raise ConfigError(
            f"{setting}.step: {config.run} in {folder} has no milestone at step {config.step}. Name one that it has "
            "(train.training.milestone_every_steps keeps them), or null for its end."
        )
    tokenizer = folder / EXPORT_FOLDER / TOKENIZER_FILE
    record = weights.with_name(RECORD_FILE) if config.with_optimizer else None
    return StartPaths(
        own / CONFIG_FILE,
        weights,
        tokenizer,
        other_rope_base=config.other_rope_base,
        record=record,
        upcycle=config.upcycle,
    )


def trained_on(config: FromCheckpoint) -> dict[str, float]:
    """Return the tokens by domain that the run had trained on, by its ledger; not those of the start that it had itself.

    A milestone within a block of the ledger has the block's tokens in proportion.

    Raises:
        ConfigError: there is no such run.
        DataError: its ledger cannot be read.
    """
    found = dict[str, float]()
    for row in read_ledger(_folder_of(config, "train.start")):
        made = row.last_step + 1 - row.first_step
        steps = made if config.step is None else min(max(config.step - row.first_step, 0), made)
        found[row.domain] = found.get(row.domain, 0.0) + row.tokens * steps / made
    return found


def _folder_of(config: FromCheckpoint, setting: str) -> Path:
    """Return where the run's files lie.

    Raises:
        ConfigError: no train stage has published there, or there is no such run.
    """
    folder = Path(config.folder)
    if not (folder / TrainedRuns.FILE).is_file():
        raise ConfigError(
            f"{setting}.folder: {folder} has no {TrainedRuns.FILE}. Name what a train stage has published."
        )
    runs = {run.name: folder / run.folder for run in TrainedRuns.read(folder).runs}
    if config.run not in runs:
        raise ConfigError(f"{setting}.run: {folder} has no run {config.run}; it has {', '.join(runs)}.")
    return runs[config.run]
