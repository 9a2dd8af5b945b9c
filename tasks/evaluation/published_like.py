"""What models are like: flatness, what models of a domain know more of it, and how loss went against epochs."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from tasks.core.published import Model, Published
from tasks.evaluation.published import Interval


class FlatModel(Model):
    """How flat one model's loss is around its weights.

    `loss` is in nats per token; `trace` that of the Hessian of this loss, the mean over probes with its `standard_error`.
    `critical_sharpness` is 2 / eta, where eta is the smallest step against the gradient that raises the loss.
    """

    model: str
    parameters: PositiveInt
    loss: float
    trace: float
    standard_error: NonNegativeFloat
    critical_sharpness: PositiveFloat


class Flatness(Published):
    """The flatness of every model, on the same `windows` of held-out text and with the same probes."""

    FILE: ClassVar[str] = "flatness.json"

    format: Literal[1] = 1
    windows: PositiveInt
    num_probes: PositiveInt
    seed: NonNegativeInt
    models: tuple[FlatModel, ...]


class DomainSpecificity(Model):
    """One domain: of the mixture, beside the general one, whose runs saw most of it; means over seeds.

    `specificity` is `general_bpb` - `domain_bpb`, bits per byte on the domain's held-out text. `doublings` is how often the
    domain's tokens were doubled from the general mixture to this one, below 0 where it saw less; None where one saw none.
    `gain_per_doubling` is None where they were not doubled.
    """

    mixture: str
    general_tokens: NonNegativeFloat
    domain_tokens: NonNegativeFloat
    general_bpb: float
    domain_bpb: float
    specificity: Interval
    doublings: float | None
    gain_per_doubling: float | None


class Specificity(Published):
    """The specificity of every domain, against the model of the mixture `general`.

    `spearman` is the rank correlation over domains of specificity with doublings; None where fewer than 5 have doublings.
    """

    FILE: ClassVar[str] = "specificity.json"

    format: Literal[1] = 1
    general: str
    confidence: float = Field(gt=0, lt=1)
    domains: Mapping[str, DomainSpecificity]
    spearman: float | None = Field(ge=-1, le=1)


class EpochPoint(Model):
    """Bits per byte of a domain's held-out text behind a step, and how often its training text was gone through by then."""

    step: PositiveInt
    epochs: NonNegativeFloat
    bits_per_byte: float


class RepeatedDomain(Model):
    """A domain in one run: how often its training text was gone through, and bits per byte on its test split at the end.

    `on_the_way` is measured on the split `search`, which is other text; empty where the run was not evaluated on its way.
    """

    epochs: NonNegativeFloat
    bits_per_byte: float
    on_the_way: tuple[EpochPoint, ...]


class RepeatedModel(Model):
    """One run."""

    model: str
    mixture: str
    seed: NonNegativeInt
    domains: Mapping[str, RepeatedDomain]


class LossAgainstEpochs(Published):
    """How the loss of every domain went against the number of times that its text was gone through, run by run."""

    FILE: ClassVar[str] = "epochs.json"

    format: Literal[1] = 1
    models: tuple[RepeatedModel, ...] = Field(min_length=1)
