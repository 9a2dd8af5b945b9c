"""What others may read of the train stage: its runs. The files of each are described in `published_run`."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from tasks.core.published import Model, Published
from tasks.training.chunks import Interleave
from tasks.training.document_range import DocumentRange

# Where the folders of all runs lie.
MODELS_FOLDER = "models"
# Where one model lies with its tokenizer, as `transformers` reads it.
EXPORT_FOLDER = "export"


class TrainedPhase(Model):
    """A part of a run with one mixture: tokens, and a weight per domain in the order of the pool's domains.

    With `end_weights` the mixture went from `weights` to them, linearly over the phase's tokens. `sequence_length` and
    `rope_base` are those of train.training.model where they are null. With `metadata` documents stood behind theirs; with
    `interleave` their chunks stood in turn; with `documents` it was of these alone.
    """

    tokens: PositiveInt
    weights: tuple[float, ...]
    end_weights: tuple[float, ...] | None = None
    sequence_length: PositiveInt | None = None
    rope_base: PositiveFloat | None = None
    metadata: bool = False
    interleave: Interleave | None = None
    documents: DocumentRange | None = None


class TrunkStep(Model):
    """The run that a branch goes on from, by name, and the steps that were made of it."""

    run: str
    step: PositiveInt


class Consumed(Model):
    """What a run took from one domain; an epoch is every whole sample of the domain's train split once."""

    samples: NonNegativeInt
    tokens: NonNegativeInt
    epochs: NonNegativeFloat


class PlantedTold(Model):
    """What a run was given of one planted experiment: items, those treated, and the texts and tokens planted for these."""

    items: PositiveInt
    treated: PositiveInt
    texts: PositiveInt
    tokens: PositiveInt


class Planted(Model):
    """The planted experiments of a run by name, and how many tokens of each domain's samples these texts took the place of.

    Which text stands where is in the run's `planted.json`.
    """

    experiments: Mapping[str, PlantedTold] = Field(min_length=1)
    displaced: Mapping[str, NonNegativeInt]

    @model_validator(mode="after")
    def _closes(self) -> Self:
        planted, displaced = sum(one.tokens for one in self.experiments.values()), sum(self.displaced.values())
        if planted != displaced:
            raise ValueError(f"{planted:,} tokens were planted, and {displaced:,} displaced")
        return self


class TrainedRun(Model):
    """One trained model. Runs of several mixtures with one seed are pairs, if device and instruction set are the same.

    `mixture` is a baseline's name, that of the recipe (`searched` where a search made it), or that of a branch. The `phases`
    and `flops` of a branch are those behind its `trunk`, all else is of both.
    `folder` is where its files lie in what the stage published; `final_loss` is the mean over the last tenth of the
    steps, in nats per token. `workers` of a run that was spread over devices: from which step on how many processes made it;
    its sums, and with them its last bits, depend on that. What was `planted` is counted in what its samples `consumed`.
    """

    name: str
    mixture: str
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
    trunk: TrunkStep | None = None
    workers: tuple[tuple[NonNegativeInt, PositiveInt], ...] = ()
    planted: Planted | None = None


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
