"""What is compared: the arms, what they have in common, and the one score that makes the claim."""

from collections.abc import Iterator, Mapping
from math import isclose
from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator

from tasks.arms.grid import Cell, without_grids
from tasks.core.params import Params
from tasks.evaluation.tasks.params import NAME, TaskSetParams
from tasks.training.chunks import Interleave
from tasks.training.config import TrainingConfig
from tasks.training.document_range import DocumentRange
from tasks.training.params import demo_full
from tasks.training.schedules.kinds import ScheduleConfig
from tasks.training.starts.kinds import StartConfig
from tasks.training.starts.scratch import Scratch
from tasks.training.teachers.kinds import TeacherConfig

# The score that every arm has: the mean over the domains of the common pool's test split.
BITS_PER_BYTE = "bits_per_byte"
# Far from the seeds of proxies and of the train stage.
FIRST_SEED = 20_000
# So far are the seeds of an ensemble's members from each other: each seed of an arm has members of its own.
MEMBER_SEEDS = 1_000


# What an arm that goes on from another has of that one.
_OF_A_TRUNK = ("tokens", "curation", "start", "teachers", "epochs", "distinct_tokens", "ensemble")


class Curation(Params):
    """What the curation of a run's text, and its domains, have otherwise: keys of the sections `curate` and `cluster`."""

    curate: Mapping[str, Any] = Field(default_factory=dict, description="keys of `curate`, laid over the run's")
    cluster: Mapping[str, Any] = Field(default_factory=dict, description="keys of `cluster`, laid over the run's")


# By domain, in any unit; `uniform` = the same for each, as far as the epoch caps allow; None = each by its tokens.
ArmWeights = Mapping[str, NonNegativeFloat] | Literal["natural", "uniform"] | None


class ArmStage(Params):
    """A part of an arm's run: its share of the steps, its mixture, and what it has of a model and schedule of its own.

    `times` and `without` change the mixture that `weights` give.
    """

    share: float = Field(gt=0, le=1, description="of all steps of the run, rounded to whole ones")
    weights: ArmWeights = Field(default=None, description="by domain, in any unit; null = those of the arm")
    times: Mapping[str, NonNegativeFloat] = Field(
        default_factory=dict, description="by domain, its weight beside the others' in so many times what it was"
    )
    without: tuple[str, ...] = Field(default=(), description="domains that are left out")
    sequence_length: int | None = Field(default=None, ge=2, description="null = that of training.model")
    rope_base: PositiveFloat | None = Field(default=None, description="null = that of training.model")
    metadata: bool = Field(default=False, description="documents stand behind their metadata, see tokenize.metadata")
    interleave: Interleave | None = Field(default=None, description="chunks of documents in turn; null = as they are")
    documents: DocumentRange | None = Field(default=None, description="of each domain; null = all")
    max_epochs: PositiveFloat | None = Field(
        default=None, description="how often the stage alone may repeat a domain's documents; null = as the run allows"
    )
    replay_share: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="of the stage's tokens that are of what came before, in the start, the trunk and earlier stages; null = "
        "none",
    )
    schedule: ScheduleConfig | None = Field(
        default=None, description="from here on, up to the next stage that has one; null = it goes on"
    )
    warmup_steps: int | None = Field(default=None, ge=0, description="of the stage's schedule")
    peak_fraction: PositiveFloat | None = Field(default=None, description="of the stage's schedule, of the run's peak")


class Arm(Params):
    """One arm: what it has otherwise than the others. An arm of nothing is the natural mixture of the common pool.

    An arm with a `trunk` goes on from another arm, behind a step of it: its stages are what follows there. In a file an arm
    may have a `grid`, and stands for the arms of its cells (see `without_grids`).
    """

    name: str = Field(pattern=NAME)
    cell: Cell | None = Field(default=None, description="of the grid that the arm was made of, which writes it")
    epochs: PositiveFloat | None = Field(
        default=None,
        description="how often it reads the training text of the domains it has weights for, in whole steps; null = "
        "training.num_tokens says how much",
    )
    distinct_tokens: PositiveInt | None = Field(
        default=None,
        description="so much of its pool's training text is read, the same share of each domain; null = all",
    )
    ensemble: int | None = Field(
        default=None,
        description="models with other seeds that are measured as one, by the mean of their probabilities; null = one model",
    )
    weights: ArmWeights = Field(
        default=None,
        description="by domain, in any unit; uniform = alike, as far as max_epochs allows; null = each domain by its tokens",
    )
    stages: tuple[ArmStage, ...] = Field(
        default=(), description="parts of the run, one after the other; none = one mixture"
    )
    trunk: str | None = Field(
        default=None,
        description="the arm, of those before, whose weights, optimizer and order of data this one goes on with where its "
        "stages begin; null = it is trained from the start",
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
    teachers: tuple[TeacherConfig, ...] = Field(
        default=(),
        description="models that it learns from, as its training.distillation says; not of arms with a trunk",
    )

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
        yield from self._size_mistakes()
        for weights in (self.weights, *(stage.weights for stage in self.stages)):
            if isinstance(weights, Mapping) and not sum(weights.values()) > 0:
                yield f"arm {self.name}: its weights sum to 0, so there is nothing to train on"
        shares = sum(stage.share for stage in self.stages)
        if self.trunk is not None:
            yield from self._branch_mistakes(shares)
        elif self.stages and not isclose(shares, 1.0, abs_tol=1e-9):
            yield (
                f"arm {self.name}: its stages have {shares:g} of the steps, not all. Let the shares sum to 1, or name the "
                "trunk that it goes on from"
            )

    def _size_mistakes(self) -> Iterator[str]:
        """Yield what does not go with how much text it reads, and what is no ensemble."""
        if self.epochs is not None and "num_tokens" in self.training:
            yield f"arm {self.name}: epochs and training.num_tokens both say how much it reads. Leave one out"
        if self.distinct_tokens is not None and any(stage.max_epochs is not None for stage in self.stages):
            yield f"arm {self.name}: max_epochs of a stage counts all rows of a domain. Leave it out, or distinct_tokens"
        if self.ensemble is not None and self.ensemble < 2:
            yield f"arm {self.name}: an ensemble of {self.ensemble} is none. Name 2 models or more, or leave ensemble out"

    def _branch_mistakes(self, shares: float) -> Iterator[str]:
        """Yield what an arm cannot have that goes on from another."""
        if not 0 < shares < 1:
            yield f"arm {self.name}: its stages have {shares:g} of the steps, and its trunk the others; use a share below 1"
        own = {name: getattr(self, name) for name in _OF_A_TRUNK}
        if wrong := [name for name, value in own.items() if value not in (None, ())]:
            yield f"arm {self.name}: {' and '.join(wrong)} are those of its trunk {self.trunk}. Leave them out"
        if other := sorted({*self.training} - {"optimizer", "ewc"}):
            yield (
                f"arm {self.name}: training.{other[0]} is that of its trunk {self.trunk}; optimizer and ewc alone may be "
                "others"
            )
        if any(stage.schedule is not None for stage in self.stages):
            yield f"arm {self.name}: a stage behind a trunk has no schedule; give the arm a training.optimizer"


class ArmsParams(TaskSetParams):
    """Arms with the same seeds, so that differences are paired; `primary` makes the claims, all else stands beside it."""

    training: TrainingConfig = Field(default_factory=demo_full, description="of every arm")
    start: StartConfig = Field(default=Scratch(), description="of every arm")
    arms: tuple[Arm, ...] = ()
    leave_one_out: bool | Literal["last_stage"] = Field(
        default=False,
        description="an arm `without-DOMAIN` for every domain of the pool, too: the natural mixture without it, or the "
        "baseline without it in its last stage",
    )
    curation: Curation | None = Field(
        default=None, description="of the common pool: the text of --run, curated otherwise; null = as it was"
    )
    baseline: str = Field(default="natural", description="the arm that the others are compared with")
    equal: Literal["tokens", "flops", "text"] = Field(
        default="tokens",
        description="what arms have alike. tokens: those that a model is trained on; flops: as many whole steps as the "
        "baseline's FLOPs give, the models of an ensemble together; text: nothing but the text, read as often as each says",
    )
    primary: str = Field(default=BITS_PER_BYTE, description="bits_per_byte, a task, a task.score, or one of score_sets")
    num_seeds: int = Field(
        default=5, ge=2, le=MEMBER_SEEDS, description="of each arm; fewer than 3 give no interval and no claim"
    )
    seed: int = Field(default=FIRST_SEED, ge=0, description="of the first run; the others count up")
    max_epochs: PositiveFloat = Field(default=4.0, description="how often an arm may repeat a domain")
    test_tokens_per_domain: PositiveInt | None = Field(default=None, description="null = all of the test split")
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    noise_sd: PositiveFloat | None = Field(
        default=None,
        description="of a paired difference in the primary score, from earlier runs: says which effect can be found",
    )

    @field_validator("arms", mode="before")
    @classmethod
    def _a_grid_is_many_arms(cls, value: Any) -> Any:
        return without_grids(value)

    def mistakes(self) -> Iterator[str]:
        """Yield what does not fit together."""
        yield from super().mistakes()
        if self.training.evaluations is not None:
            yield "training.evaluations: arms are measured at their end; set it to null"
        names = [arm.name for arm in self.arms]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            yield f"arms: {', '.join(twice)} stand there twice. Give each a name of its own"
        yield from self._size_mistakes()
        if self.baseline not in names:
            yield f"baseline: no arm is called {self.baseline}; arms: {', '.join(names) or 'none'}"
        yield from self._trunk_mistakes()
        if len(self.arms) + bool(self.leave_one_out) < 2:
            yield "arms: there is nothing to compare the baseline with. Name another arm, or set leave_one_out"
        if BITS_PER_BYTE in [*(task.name for task in self.tasks), *(one.name for one in self.score_sets)]:
            yield f"tasks and score_sets: {BITS_PER_BYTE} is the score that every arm has. Give yours another name"
        known = {BITS_PER_BYTE, *(one.name for one in self.tasks), *(one.name for one in self.score_sets)}
        if self.primary.partition(".")[0] not in known and not self.harness_results:
            yield f"primary: there is no score {self.primary}; there are {', '.join(sorted(known))}"

    def _size_mistakes(self) -> Iterator[str]:
        """Yield which arm says how often it reads its text where that is decided otherwise, and what ensembles have not."""
        if self.equal == "flops" and (told := [arm.name for arm in self.arms if arm.epochs is not None]):
            yield f"arm {told[0]}: epochs says how much it reads, and equal is flops, which says so too. Set equal to text"
        several = [arm.name for arm in self.arms if arm.ensemble is not None]
        if several and self.harness_results:
            yield f"harness_results: {several[0]} is an ensemble, which the harness knows nothing of. Leave one out"
        if joined := [arm.name for arm in self.arms if arm.trunk in several]:
            yield f"arm {joined[0]}: its trunk is an ensemble, and no arm goes on from several models. Name another"

    def _trunk_mistakes(self) -> Iterator[str]:
        """Yield which arm goes on from nothing, and what leaves domains out of no stage."""
        before = list[str]()
        for arm in self.arms:
            if arm.trunk is not None and arm.trunk not in before:
                yield f"arm {arm.name}: its trunk {arm.trunk} is none of the arms before it: {', '.join(before) or 'none'}"
            before.append(arm.name)
        for arm in self.arms:
            if self.leave_one_out == "last_stage" and arm.name == self.baseline and (not arm.stages or arm.start):
                yield (
                    f"leave_one_out is last_stage, and the baseline {arm.name} has no stages, or a start of its own. Give "
                    "it stages, and all arms the start"
                )
