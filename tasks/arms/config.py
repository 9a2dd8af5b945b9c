"""What is compared: the arms, what they have in common, and the one score that makes the claim."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from tasks.core.params import Params
from tasks.evaluation.tasks.params import NAME, TaskSetParams
from tasks.training.config import TrainingConfig
from tasks.training.params import demo_full
from tasks.training.starts.kinds import StartConfig
from tasks.training.starts.scratch import Scratch

# The score that every arm has: the mean over the domains of the common pool's test split.
BITS_PER_BYTE = "bits_per_byte"
# Far from the seeds of proxies and of the train stage.
FIRST_SEED = 20_000


class Curation(Params):
    """What the curation of a run's text, and its domains, have otherwise: keys of the sections `curate` and `cluster`."""

    curate: Mapping[str, Any] = Field(default_factory=dict, description="keys of `curate`, laid over the run's")
    cluster: Mapping[str, Any] = Field(default_factory=dict, description="keys of `cluster`, laid over the run's")


class Arm(Params):
    """One arm: what it has otherwise than the others. An arm of nothing is the natural mixture of the common pool."""

    name: str = Field(pattern=NAME)
    weights: Mapping[str, NonNegativeFloat] | None = Field(
        default=None, description="by domain, in any unit; null = each domain by its tokens"
    )
    tokens: str | None = Field(
        default=None, description="published folder of tokenize, of other filters say; null = the common one"
    )
    curation: Curation | None = Field(
        default=None, description="in place of `tokens`: the text of --run, curated otherwise; null = the common pool"
    )
    training: Mapping[str, Any] = Field(
        default_factory=dict, description="keys of `training` that this arm has otherwise"
    )
    start: StartConfig | None = Field(default=None, description="null = that of all")

    @property
    def pool(self) -> str | None:
        """The name of its pool: a folder, or the input that is curated for it; None = the common one."""
        return self.tokens if self.curation is None else f"curated for {self.name}"

    def mistakes(self) -> Iterator[str]:
        """Yield what is wrong with the weights, and what every arm has alike."""
        if self.tokens is not None and self.curation is not None:
            yield f"arm {self.name}: it has `tokens` and `curation`, two pools. Leave one out"
        if "evaluations" in self.training:
            yield f"arm {self.name}: training.evaluations is of no arm; arms are measured at their end"
        if self.weights is not None and not sum(self.weights.values()) > 0:
            yield f"arm {self.name}: its weights sum to 0, so there is nothing to train on"


class ArmsParams(TaskSetParams):
    """Arms with the same seeds, so that differences are paired; `primary` makes the claims, all else stands beside it."""

    training: TrainingConfig = Field(default_factory=demo_full, description="of every arm")
    start: StartConfig = Field(default=Scratch(), description="of every arm")
    arms: tuple[Arm, ...] = ()
    leave_one_out: bool = Field(default=False, description="an arm `without-DOMAIN` for every domain of the pool, too")
    curation: Curation | None = Field(
        default=None, description="of the common pool: the text of --run, curated otherwise; null = as it was"
    )
    baseline: str = Field(default="natural", description="the arm that the others are compared with")
    equal: Literal["tokens", "flops"] = Field(
        default="tokens", description="flops: each arm has as many whole steps as the baseline's FLOPs give"
    )
    primary: str = Field(default=BITS_PER_BYTE, description="bits_per_byte, a task, a task.score, or one of score_sets")
    num_seeds: int = Field(default=5, ge=2, description="of each arm; fewer than 3 give no interval and no claim")
    seed: int = Field(default=FIRST_SEED, ge=0, description="of the first run; the others count up")
    max_epochs: PositiveFloat = Field(default=4.0, description="how often an arm may repeat a domain")
    test_tokens_per_domain: PositiveInt | None = Field(default=None, description="null = all of the test split")
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    noise_sd: PositiveFloat | None = Field(
        default=None,
        description="of a paired difference in the primary score, from earlier runs: says which effect can be found",
    )

    def mistakes(self) -> Iterator[str]:
        """Yield what does not fit together."""
        yield from super().mistakes()
        if self.training.evaluations is not None:
            yield "training.evaluations: arms are measured at their end; set it to null"
        names = [arm.name for arm in self.arms]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            yield f"arms: {', '.join(twice)} stand there twice. Give each a name of its own"
        if self.baseline not in names:
            yield f"baseline: no arm is called {self.baseline}; arms: {', '.join(names) or 'none'}"
        if len(self.arms) + self.leave_one_out < 2:
            yield "arms: there is nothing to compare the baseline with. Name another arm, or set leave_one_out"
        if BITS_PER_BYTE in [*(task.name for task in self.tasks), *(one.name for one in self.score_sets)]:
            yield f"tasks and score_sets: {BITS_PER_BYTE} is the score that every arm has. Give yours another name"
        known = {BITS_PER_BYTE, *(one.name for one in self.tasks), *(one.name for one in self.score_sets)}
        if self.primary.partition(".")[0] not in known and not self.harness_results:
            yield f"primary: there is no score {self.primary}; there are {', '.join(sorted(known))}"
