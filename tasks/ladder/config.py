"""What a ladder is: its sizes, its tokens per parameter, and what all its runs have in common."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from tasks.core.params import Params, layered, validate
from tasks.evaluation.tasks.params import NAME
from tasks.training.config import TrainingConfig
from tasks.training.params import demo_full
from tasks.training.schedules.span import DecayShape

# Far from the seeds of proxies, of the train stage and of arms.
FIRST_SEED = 30_000
# What the ladder decides for every run itself, from its tokens per parameter.
_OWN = ("num_tokens", "milestone_every_steps", "evaluations")
_OWN_OPTIMIZER = ("schedule", "rewarms", "decay_from")


class Size(Params):
    """One size: what it has otherwise than the others."""

    name: str = Field(pattern=NAME)
    training: Mapping[str, Any] = Field(description="keys of `training` that this size has otherwise")

    def config(self, common: TrainingConfig) -> TrainingConfig:
        """Return the config of this size.

        Raises:
            ConfigError: it is none.
        """
        values = layered(common.model_dump(mode="json"), self.training)
        return validate(TrainingConfig, values, f"size {self.name}, training")


def _default_sizes() -> tuple[Size, ...]:
    """Return four sizes that double from the demo's proxy on, with rates that fall with the width."""
    widths = {"xs": (48, 1, 6e-3), "s": (72, 2, 5e-3), "m": (112, 3, 4e-3), "l": (176, 3, 3e-3)}
    return tuple(
        Size(
            name=name,
            training={
                "model": {"hidden_size": width, "num_layers": layers, "intermediate_size": 8 * width // 3 // 8 * 8},
                "optimizer": {"learning_rate": rate},
            },
        )
        for name, (width, layers, rate) in widths.items()
    )


class LadderParams(Params):
    """Every size is trained once with a constant rate; before each number of tokens a branch lets the rate fall to 0."""

    training: TrainingConfig = Field(
        default_factory=demo_full, description="of every size; tokens and schedule are the ladder's own"
    )
    sizes: tuple[Size, ...] = Field(default_factory=_default_sizes, min_length=1)
    tokens_per_parameter: tuple[PositiveFloat, ...] = Field(
        default=(2.5, 5.0, 10.0), min_length=1, description="ascending, each a multiple of the first"
    )
    decay_fraction: float = Field(
        default=0.2, gt=0, lt=1, description="last part of every run, in which the rate falls"
    )
    decay_shape: DecayShape = "linear"
    weights: Mapping[str, NonNegativeFloat] | None = Field(
        default=None, description="of all runs, by domain, in any unit; null = each domain by its tokens"
    )
    num_seeds: PositiveInt = 1
    seed: int = Field(default=FIRST_SEED, ge=0, description="of the first run of a size; the others count up")
    max_epochs: PositiveFloat = Field(default=4.0, description="how often a run may repeat a domain")
    test_tokens_per_domain: PositiveInt | None = Field(default=None, description="null = all of the test split")

    def mistakes(self) -> Iterator[str]:
        """Yield what does not fit together."""
        names = [one.name for one in self.sizes]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            yield f"sizes: {', '.join(twice)} stand there twice. Give each a name of its own"
        first = self.tokens_per_parameter[0]
        multiples = [each / first for each in self.tokens_per_parameter]
        if multiples != sorted({*multiples}) or any(abs(each - round(each)) > 1e-9 for each in multiples):
            given = ", ".join(f"{each:g}" for each in self.tokens_per_parameter)
            yield f"tokens_per_parameter: {given} do not ascend by multiples of the first; write such as 5, 10, 20"
        if self.weights is not None and not sum(self.weights.values()) > 0:
            yield "weights sum to 0, so there is nothing to train on"
        for one in self.sizes:
            yield from _own_keys(one)

    @property
    def multiples(self) -> tuple[int, ...]:
        """Each number of tokens in units of the first."""
        return tuple(round(each / self.tokens_per_parameter[0]) for each in self.tokens_per_parameter)


def _own_keys(size: Size) -> Iterator[str]:
    optimizer, model = size.training.get("optimizer"), size.training.get("model")
    inner = [f"optimizer.{name}" for name in _OWN_OPTIMIZER if isinstance(optimizer, Mapping) and name in optimizer]
    if found := [*(name for name in _OWN if name in size.training), *inner]:
        yield f"size {size.name}: {', '.join(found)} follow from tokens_per_parameter and decay_fraction; leave them out"
    if isinstance(model, Mapping) and "sequence_length" in model:
        yield f"size {size.name}: model.sequence_length is that of all sizes; set it in `training`"
