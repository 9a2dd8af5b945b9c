"""Params of the train stage, and the runs of the demo."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isclose
from typing import Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from tasks.core.params import Params
from tasks.mixture.published import MixtureName
from tasks.training.chunks import Interleave
from tasks.training.config import ModelConfig, OptimizerConfig, Precision, TrainingConfig
from tasks.training.document_range import DocumentRange
from tasks.training.ewc.params import Ewc
from tasks.training.guard.params import GuardParams
from tasks.training.parallel.kinds import ParallelKind
from tasks.training.planted.params import PlantedExperiment
from tasks.training.starts.kinds import StartConfig
from tasks.training.starts.scratch import Scratch
from tasks.training.teachers.kinds import TeacherConfig


class BranchReplay(Params):
    """A share of a stage's tokens of what came before it: in the start, the trunk and the branch's earlier stages.

    `weights` say it otherwise, by domain: for a start that nobody knows this of, or a trunk whose hooks decide.
    """

    share: float = Field(gt=0, lt=1)
    weights: Mapping[str, NonNegativeFloat] | None = None

    def mistakes(self) -> Iterator[str]:
        """Yield that the weights do not sum to 1."""
        if self.weights is not None and not isclose(sum(self.weights.values()), 1.0, abs_tol=1e-6):
            yield f"weights: they sum to {sum(self.weights.values()):.6f}, not to 1"


class BranchStage(Params):
    """A part of a branch with one mixture: weights by domain, 0 where none is named; with `end_weights` a linear ramp."""

    tokens: PositiveInt
    weights: Mapping[str, NonNegativeFloat]
    end_weights: Mapping[str, NonNegativeFloat] | None = None
    sequence_length: int | None = Field(default=None, ge=2, description="null = that of train.training.model")
    rope_base: PositiveFloat | None = Field(default=None, description="null = that of train.training.model")
    metadata: bool = Field(default=False, description="documents stand behind their metadata, see tokenize.metadata")
    interleave: Interleave | None = Field(default=None, description="chunks of documents in turn; null = as they are")
    documents: DocumentRange | None = Field(default=None, description="of each domain; null = all")
    max_epochs: PositiveFloat | None = Field(
        default=None, description="how often the stage alone may repeat a domain's documents; null = as the run allows"
    )
    replay: BranchReplay | None = Field(
        default=None, description="a share of what came before; the stage's weights are of the rest; null = none"
    )

    def mistakes(self) -> Iterator[str]:
        """Yield which weights do not sum to 1."""
        for name, weights in (("weights", self.weights), ("end_weights", self.end_weights)):
            if weights is not None and not isclose(sum(weights.values()), 1.0, abs_tol=1e-6):
                yield f"{name}: they sum to {sum(weights.values()):.6f}, not to 1"


class Branch(Params):
    """Runs that go on from the runs of a mixture, behind a step of them: with another mixture, schedule or seed."""

    name: str = Field(
        max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="of its mixture; its runs are NAME-seedN"
    )
    trunk: str = Field(
        default="searched", description="one of `mixtures`, or a branch that stands before this one; with every seed"
    )
    step: PositiveInt = Field(description="steps made of the trunk, a multiple of its milestone_every_steps")
    stages: tuple[BranchStage, ...] = Field(min_length=1, description="what follows")
    optimizer: OptimizerConfig | None = Field(default=None, description="of what follows; null = the trunk's")
    ewc: Ewc | None = Field(
        default=None, description="weights are held near to those of the step; null = as in the trunk"
    )
    seed_offset: int = Field(default=0, ge=0, description="added to the trunk's seed for the data of what follows")
    milestone_every_steps: PositiveInt | None = Field(
        default=None, description="checkpoints of what follows that other branches go on from, published; null = none"
    )

    @property
    def tokens(self) -> int:
        """Tokens of what follows the trunk."""
        return sum(stage.tokens for stage in self.stages)


class TrainParams(Params):
    """The train stage: each mixture is trained with the same seeds, so that differences are paired."""

    training: TrainingConfig = Field(default_factory=lambda: demo_full())  # noqa: PLW0108 (defined below)
    mixtures: tuple[MixtureName, ...] = Field(
        default=("searched", "natural", "uniform"),
        min_length=1,
        description="searched = the recipe's own; of a recipe without baselines nothing else is trained",
    )
    start: StartConfig = Field(default=Scratch(), description="the weights that every run begins with")
    teachers: tuple[TeacherConfig, ...] = Field(
        default=(),
        description="models that every run learns from, as training.distillation says; several are an ensemble",
    )
    num_seeds: PositiveInt = 3
    seed: int = Field(default=0, ge=0, description="of the first run; the others count up")
    branches: tuple[Branch, ...] = Field(default=(), description="runs that go on from milestones of these")
    guard: GuardParams | None = Field(
        default=None, description="warns on the way of what runs forget that go on from a start or a trunk; null = off"
    )
    planted: tuple[PlantedExperiment, ...] = Field(
        default=(), description="experiments that every run makes by the way: texts written over a few of its samples"
    )

    def decided(self, precision: Precision) -> Self:
        """Return the params with `precision` where they say `auto`."""
        return self.model_copy(update={"training": self.training.decided(precision)})

    def spread(self, parallel: ParallelKind | None) -> Self:
        """Return the params with `parallel` where they say `auto`."""
        if self.training.parallel != "auto":
            return self
        training = self.training.model_copy(update={"parallel": parallel})
        return self.model_copy(update={"training": training})

    def mistakes(self) -> Iterator[str]:
        """Yield what does not fit together."""
        if len(set(self.mixtures)) != len(self.mixtures):
            yield f"a mixture is named twice in {', '.join(self.mixtures)}"
        if self.training.parallel is None and not self.training.stackable:
            yield (
                "training.model has an architecture other than Llama's or untied_embeddings, and training.parallel null "
                "trains Llama's with tied embeddings alone; set parallel to {kind: ddp} or {kind: fsdp}"
            )
        if self.training.distillation is not None and not self.teachers:
            yield "training.distillation is set, and teachers names no model to learn from; name one, or set it to null"
        if self.teachers and self.training.distillation is None:
            yield "teachers are named, and training.distillation is null; set it, or leave teachers out"
        if self.training.ewc is not None and isinstance(self.start, Scratch):
            yield (
                "training.ewc holds weights near to those of a start, and runs begin with new ones; name a start, or set "
                "ewc to null (branches may have one of their own)"
            )
        if self.guard is not None and isinstance(self.start, Scratch) and not self.branches:
            yield (
                "guard watches what runs forget that go on from a start or a trunk, and all begin with new weights; name a "
                "start, or set guard to null"
            )
        if self.guard is not None and self.training.evaluations is None:
            yield (
                "guard watches the evaluations of runs on their way, and training.evaluations is null; set it, with "
                "at_start, or set guard to null"
            )
        experiments = [one.name for one in self.planted]
        if len({*experiments}) != len(experiments):
            yield f"planted: two experiments have one name in {', '.join(experiments)}"
        if self.planted and self.branches:
            yield "planted texts are spread over a whole run, and a branch has another end: leave out planted or branches"
        names = [*self.mixtures, *(branch.name for branch in self.branches)]
        if self.branches and len({*names}) != len(names):
            yield f"two mixtures or branches have one name in {', '.join(names)}"
        yield from self._branch_mistakes()

    def _branch_mistakes(self) -> Iterator[str]:
        """Yield which branch goes on from nothing."""
        training = self.training
        whole = _Milestones("training.milestone_every_steps", training.milestone_every_steps, 0, training.num_steps)
        trunks: dict[str, _Milestones] = dict.fromkeys(self.mixtures, whole)
        for branch in self.branches:
            if branch.trunk not in trunks:
                yield f"branch {branch.name}: its trunk {branch.trunk} is none of {', '.join(trunks)}"
            elif branch.step not in (own := trunks[branch.trunk]):
                behind = f" behind step {own.first}" if own.first else ""
                yield (
                    f"branch {branch.name}: step {branch.step} is no milestone of a run of {own.last} steps{behind} with "
                    f"{own.setting} {'null' if own.every is None else own.every}; set it to a divisor of the step"
                )
            last = branch.step + branch.tokens // training.tokens_per_step
            every = branch.milestone_every_steps
            trunks[branch.name] = _Milestones(f"milestone_every_steps of {branch.name}", every, branch.step, last)


@dataclass(frozen=True)
class _Milestones:
    """The steps behind `first` up to `last` that a run publishes a milestone of, by a setting."""

    setting: str
    every: int | None
    first: int
    last: int

    def __contains__(self, step: int) -> bool:
        return self.every is not None and step % self.every == 0 and self.first < step <= self.last


def demo_proxy() -> TrainingConfig:
    """Return the demo's proxy: about 0.25M parameters with a vocabulary of 4096, 0.1M tokens.

    Tuned on Python's documentation and code at 150 steps: 2.51 bits per byte with uniform
    weights, against 2.88 with initial range 0.02, two layers and 75 steps of 8 x 256 tokens (on the first 16,384 tokens
    of each domain). One layer, because what counts is that mixtures can be told apart: a difference of 0.073 between two
    of them had a standard deviation of 0.010 over five paired seeds (two layers of width 48: 0.107 and 0.024). A third
    fewer steps take a third less time: natural was 0.029 worse than uniform over two seeds of 150 steps and 0.041 over
    three of 100, where both had about 0.15 more bits per byte. A vocabulary of 2048 was no cheaper way: at 150 steps
    it cost as much as 100 of these and was 0.04 to 0.07 bits per byte worse.
    """
    return TrainingConfig(
        model=ModelConfig(
            hidden_size=56,
            num_layers=1,
            num_heads=2,
            num_kv_heads=1,
            intermediate_size=152,
            sequence_length=128,
            initializer_range=0.1,
        ),
        optimizer=OptimizerConfig(learning_rate=7e-3),
        num_tokens=100 * 1024,
        sequences_per_step=8,
        micro_batches=1,
    )


def demo_full() -> TrainingConfig:
    """Return the demo's full run: about 0.6M parameters with a vocabulary of 4096, 0.25M tokens.

    Tuned as the proxy was, at 300 steps: 1.94 bits per byte, against 2.38 with initial range 0.02, 4 heads and 150 steps
    of 16 x 256. It has 120 steps, so that the demo ends within minutes on any CPU.
    """
    return TrainingConfig(
        model=ModelConfig(
            hidden_size=96,
            num_layers=2,
            num_heads=2,
            num_kv_heads=1,
            intermediate_size=256,
            sequence_length=128,
            initializer_range=0.05,
        ),
        optimizer=OptimizerConfig(learning_rate=4e-3),
        num_tokens=120 * 2048,
        sequences_per_step=16,
        checkpoint_every_steps=40,
    )
