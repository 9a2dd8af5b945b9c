"""What is ranked: selectors and keep rates, what all of them have in common, and the scores that decide."""

from collections.abc import Iterator, Mapping
from typing import Any, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from tasks.arms.config import BITS_PER_BYTE, FIRST_SEED
from tasks.core.params import Params
from tasks.curate.combined.kinds import Combined
from tasks.curate.decontaminate.benchmarks import Decontaminate
from tasks.curate.scorers.kinds import Scorer
from tasks.evaluation.tasks.params import NAME, TaskSetParams
from tasks.leaderboard.weights import WeightSearch
from tasks.training.config import TrainingConfig
from tasks.training.params import demo_full
from tasks.training.starts.kinds import StartConfig
from tasks.training.starts.scratch import Scratch

# Random selectors beside the random twin: they must show no gain.
NULLS = ("null1", "null2")
TWIN = "random"


class Selector(Params):
    """The `select` of a profile, in which `keep`, `1 - keep` or `0.5 + keep / 2` stand for the keep rate."""

    name: str = Field(pattern=NAME)
    select: tuple[Mapping[str, Any], ...] = Field(min_length=1)


class LeaderboardParams(TaskSetParams):
    """Selectors at keep rates, each against as many tokens drawn at random; `target` and `held_out` judge all of them."""

    training: TrainingConfig = Field(default_factory=demo_full, description="of every model")
    start: StartConfig = Field(default=Scratch(), description="of every model")
    scorers: tuple[Scorer, ...] = Field(default=(), description="as in `curate`; fitted on training documents alone")
    combined: tuple[Combined, ...] = Field(default=(), description="as in `curate`")
    selectors: tuple[Selector, ...] = Field(min_length=1)
    search: WeightSearch | None = Field(default=None, description="a selector whose weights are searched; null = none")
    keep: tuple[float, ...] = Field(default=(0.1,), min_length=1, description="shares of the training tokens")
    target: tuple[str, ...] = Field(
        min_length=1, description="scores whose mean ranks selectors, such as bits_per_byte.DOMAIN or task.score"
    )
    held_out: tuple[str, ...] = Field(
        default=(), description="scores that nobody selects for; () = bits per byte of all domains not in `target`"
    )
    num_seeds: int = Field(default=3, ge=1, description="of each selector; fewer than 3 make no claim")
    seed: int = Field(default=FIRST_SEED, ge=0, description="of the first run; the others count up")
    max_epochs: PositiveFloat = Field(default=4.0, description="how often a model may see what was kept")
    budgets: tuple[PositiveFloat, ...] = Field(
        default=(0.5, 1.0, 2.0),
        description="tokens of the random twin's curve in those of training.num_tokens, for token multipliers; () = off",
    )
    benchmarks: Decontaminate | None = Field(
        default=None, description="kept documents that hold text of these are counted; null = off"
    )
    diversity_tokens: PositiveInt = Field(default=100_000, description="words that the diversity of each is told of")
    test_tokens_per_domain: PositiveInt | None = Field(default=None, description="null = all of the test split")
    confidence: float = Field(default=0.95, gt=0.5, lt=1)

    @model_validator(mode="after")
    def _can_be_ranked(self) -> Self:
        if found := list(self._mistaken()):
            raise ValueError("; ".join(found))
        return self

    def _mistaken(self) -> Iterator[str]:
        names = [one.name for one in self.selectors]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            yield f"selectors: {', '.join(twice)} stand there twice. Give each a name of its own"
        if taken := sorted({*names} & {TWIN, *NULLS}):
            yield f"selectors: {taken[0]} is what is drawn at random. Give it another name"
        if wrong := [rate for rate in self.keep if not 0 < rate < 1]:
            yield f"keep: {wrong[0]:g} is no share between 0 and 1"
        if len({*self.keep}) < len(self.keep):
            yield "keep: a rate stands there twice"
        if self.num_seeds == 1:
            yield "num_seeds: one seed tells no difference from noise. Train 3 or more"
        if self.search is not None and self.search.name in names:
            yield f"search: a selector is called {self.search.name} already. Give the searched one another name"
        if self.search is not None and any(not name.startswith(f"{BITS_PER_BYTE}") for name in self.target):
            yield "search: proxies are measured on the search split, in bits per byte, and `target` names a task"
        if self.budgets and (len({*self.budgets}) < 3 or 1.0 not in self.budgets):
            yield "budgets: a multiplier needs three or more budgets of the random twin, 1 among them; () turns it off"
        if self.training.evaluations is not None:
            yield "training.evaluations: models are measured at their end; set it to null"
