"""What a training run is made of: phases, the run's specification, the workers' world; and how it fails."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isclose, isfinite
from typing import Any, Literal

from tasks.core.errors import ConfigError, MixwrightError
from tasks.core.handles import Handle
from tasks.core.identity import LABEL
from tasks.training.chunks import Interleave
from tasks.training.config import ModelConfig, TrainingConfig
from tasks.training.document_range import DocumentRange
from tasks.training.optimizers.kinds import method
from tasks.training.segments import Layout, Segments, joined
from tasks.training.starts.start import Start

Device = Literal["cpu", "cuda"]


class DivergedError(ConfigError):
    """The loss or its gradient is no finite number any more."""


class CheckpointError(MixwrightError):
    """A checkpoint cannot be written: the disk is full, or refuses it."""


@dataclass(frozen=True)
class Phase:
    """A part of a run with one mixture: tokens, and a weight per domain in the order of the pool's domains.

    With `end_weights` the mixture goes from `weights` to them, linearly over the phase's tokens. `sequence_length` and
    `rope_base` are the run's where they are None. With `metadata` documents stand behind theirs; with `interleave` their
    chunks stand in turn; with `documents` it is of these alone.
    """

    num_tokens: int
    weights: tuple[float, ...]
    end_weights: tuple[float, ...] | None = None
    sequence_length: int | None = None
    rope_base: float | None = None
    # Without is None, so that it stands in no key.
    metadata: bool | None = None
    interleave: Interleave | None = None
    documents: DocumentRange | None = None

    def __post_init__(self) -> None:
        if self.num_tokens < 1:
            raise ConfigError(f"a phase has {self.num_tokens} tokens; it needs at least one sample. Leave it out.")
        _require_shares(self.weights)
        if self.end_weights is not None:
            _require_shares(self.end_weights)
            if len(self.end_weights) != len(self.weights):
                raise ConfigError(
                    f"a phase begins with {len(self.weights)} weights and ends with {len(self.end_weights)}. Correct the "
                    "recipe."
                )

    @property
    def mean_weights(self) -> tuple[float, ...]:
        """Each domain's share of the phase's tokens."""
        return mean_weights(self.weights, self.end_weights)

    def model(self, model: ModelConfig) -> ModelConfig:
        """Return a run's model as it is in this phase."""
        own = {"sequence_length": self.sequence_length, "rope_base": self.rope_base}
        return model.model_copy(update={name: value for name, value in own.items() if value is not None})

    def layout(self, model: ModelConfig) -> Layout:
        """Return how the tokens of its samples are laid out, in a run of a model."""
        return Layout(self.model(model).sequence_length, bool(self.metadata), self.interleave, self.documents)


def mean_weights(weights: tuple[float, ...], end_weights: tuple[float, ...] | None) -> tuple[float, ...]:
    """Return what a mixture is on average that goes linearly from `weights` to `end_weights` (None = stays as it is)."""
    if end_weights is None:
        return weights
    return tuple((first + last) / 2 for first, last in zip(weights, end_weights, strict=True))


def _require_shares(weights: tuple[float, ...]) -> None:
    if not all(isfinite(weight) and weight >= 0 for weight in weights):
        raise ConfigError(f"the weights {list(weights)} hold a negative value or NaN. Correct the recipe.")
    if not isclose(sum(weights), 1.0, abs_tol=1e-6):
        raise ConfigError(f"{len(weights)} weights sum to {sum(weights):.6f}, not to 1. Correct the recipe.")


@dataclass(frozen=True)
class RunSpec:
    """One training run: what decides its weights are the mixture's phases, the seed and the training config.

    Runs with the same seed start from the same weights and see each domain's samples in the same order.
    `max_epochs` is how often a domain may be repeated; None = as often as the phases say. `row_share` in (0, 1] is the
    share of each domain's rows that may be used, so that a proxy repeats them as often as its target; None = all.
    A run with a `trunk` is a branch: it goes on behind a step of another run, whose steps count as its own (`training` has
    the tokens of both); `phases` and `seed` are of what follows.
    `optimizer_steps` are those that its optimizer had made before its first: of a run that begins with the optimizer's state
    of another; None = its optimizer is new.
    `planted` is the plan of what is written over some of its samples (see `planted`); None = nothing is.
    `teachers` are the models that it learns from as `training.distillation` says; None = none.
    `anchor` holds the weights that `training.ewc` holds its own near to, see `ewc.anchor`; None = none.
    """

    name: str = field(metadata=LABEL)
    phases: tuple[Phase, ...]
    seed: int
    training: TrainingConfig
    # A run that is made is the same under any cap.
    max_epochs: float | None = field(default=None, metadata=LABEL)
    row_share: float | None = None
    trunk: "Trunk | None" = None
    optimizer_steps: int | None = None
    planted: Handle | None = None
    teachers: tuple[Start, ...] | None = None
    anchor: Handle | None = None

    def __post_init__(self) -> None:
        if self.row_share is not None and not 0 < self.row_share <= 1:
            raise ConfigError(f"{self.name}: row_share is {self.row_share}, not a share above 0 and at most 1.")
        if self.trunk is not None:
            self.trunk.require_goes_on_as(self)
        asked = self.tokens_before + sum(phase.num_tokens for phase in self.phases)
        if asked != self.training.num_tokens:
            raise ConfigError(
                f"{self.name}: the recipe's phases have {asked:,} tokens, training.num_tokens is "
                f"{self.training.num_tokens:,}. Set both to the same number."
            )
        for number, mistake in switch_mistakes(self.phases, self.training, self.tokens_before):
            raise ConfigError(f"{self.name}, phase {number}: {mistake}")

    def optimizer_step(self, step: int) -> int:
        """Return the number, from 0, that a step of the run has for its optimizer."""
        return step + (self.optimizer_steps or 0)

    @property
    def tokens_before(self) -> int:
        """Tokens of the trunk's steps that came before."""
        return 0 if self.trunk is None else self.trunk.step * self.training.tokens_per_step

    @property
    def parts(self) -> tuple[tuple[int, ModelConfig, Layout], ...]:
        """Tokens, model and layout of each part of the run, those of the trunk's steps first."""
        model = self.training.model
        own = tuple((phase.num_tokens, phase.model(model), phase.layout(model)) for phase in self.phases)
        if self.trunk is None:
            return own
        per_step = self.training.tokens_per_step
        before = self.trunk.spec.segments
        cut = [(min(one.stop_step, self.trunk.step) - one.first_step, one.model, one.layout) for one in before]
        return (*((steps * per_step, model, layout) for steps, model, layout in cut if steps > 0), *own)

    @cached_property
    def segments(self) -> Segments:
        """The steps of the run by their model and layout: one where all phases have the same."""
        return joined(self.parts, self.training.tokens_per_step)


def switch_mistakes(
    phases: Sequence[Phase], training: TrainingConfig, tokens_before: int = 0
) -> Iterator[tuple[int, str]]:
    """Yield which phase's model does not fit into whole steps, behind `tokens_before` of the run, and why."""
    per_step, parts, tokens = training.tokens_per_step, training.micro_batches, tokens_before
    before = training.model, phases[0].layout(training.model)
    for number, phase in enumerate(phases):
        model, layout = phase.model(training.model), phase.layout(training.model)
        if (model, layout) != before and tokens % per_step:
            yield (
                number,
                (
                    f"another sequence length, RoPE base, metadata, interleave or documents would begin behind {tokens:,} "
                    f"tokens, within a step of {per_step:,}. Let what comes before it have whole steps."
                ),
            )
        data = training.data
        if phase.interleave is not None and data is not None and (data.packing is not None or data.document_mask):
            yield (
                number,
                (
                    "it interleaves documents, and data.packing or data.document_mask keeps them apart. Leave interleave "
                    "out, or both of these."
                ),
            )
        sequences, rest = divmod(per_step, model.sequence_length)
        if rest or not sequences:
            yield (
                number,
                (
                    f"a step of {per_step:,} tokens is no whole number of samples of {model.sequence_length}. Use a "
                    "sequence length that divides it, or raise sequences_per_step."
                ),
            )
        elif sequences % parts:
            yield (
                number,
                (
                    f"a step has {sequences} samples of {model.sequence_length}, which micro_batches {parts} do not divide. "
                    "Lower micro_batches, or raise sequences_per_step."
                ),
            )
        elif model.experts is not None:
            found = model.experts.capacity_mistakes(model.sequence_length)
            yield from ((number, f"model.experts: {told}.") for told in found)
        before, tokens = (model, layout), tokens + phase.num_tokens


@dataclass(frozen=True)
class Trunk:
    """The run that a branch goes on from, and the steps that were made of it, those of its own trunk with them."""

    spec: RunSpec
    step: int

    def require_goes_on_as(self, branch: RunSpec) -> None:
        """Check that a branch can go on with the trunk's weights, optimizer state and data order.

        Raises:
            ConfigError: what of its config is another, or the step is not one of the trunk's.
        """
        mine, own = self.spec.training, branch.training
        before = 0 if self.spec.trunk is None else self.spec.trunk.step
        if not before < self.step <= mine.num_steps:
            behind = f", which are behind step {before}" if before else ""
            raise ConfigError(
                f"{branch.name}: step {self.step} is none of the {mine.num_steps} steps of {self.spec.name}{behind}."
            )
        names = ["model", "data", "sequences_per_step", "micro_batches", "precision"]
        names += ["distillation", "multi_token", "static_mask"]
        differing = [name for name in names if getattr(mine, name) != getattr(own, name)]
        ours, theirs = mine.optimizer.method, own.optimizer.method
        if ours.kind != theirs.kind:
            differing.append("optimizer.method")
        else:
            fields = method(ours).state_fields
            differing += [f"optimizer.method.{name}" for name in fields if getattr(ours, name) != getattr(theirs, name)]
        differing += [
            name
            for name in ("row_share", "optimizer_steps", "teachers")
            if getattr(branch, name) != getattr(self.spec, name)
        ]
        if differing:
            raise ConfigError(
                f"{branch.name}: {', '.join(differing)} differ from those of {self.spec.name}, which it goes on from. A "
                "branch has another mixture, schedule or seed."
            )


@dataclass(frozen=True)
class StepNumbers:
    """What is known of a step: loss in nats per token, and the gradient's norm before it is clipped.

    `loss_by_domain` is that of the samples that this process took since it was told before, by the names of their domains;
    nothing where the engine does not know it. `experts` is what is told of a model's experts, nothing where it has none.
    `evaluations` are those that were not told before, each the steps made and bits per byte of the pool's domains: after a
    resume all that are recorded.
    """

    loss: float
    norm: float
    loss_by_domain: Mapping[str, float] = field(default_factory=dict)
    experts: Mapping[str, float] = field(default_factory=dict)
    evaluations: Sequence[tuple[int, tuple[float, ...]]] = ()


@dataclass(frozen=True)
class World:
    """The data-parallel workers of one run: how many, which one this is, and their process group (None = default)."""

    size: int = 1
    rank: int = 0
    group: Any = None
