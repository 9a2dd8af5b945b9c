"""What a search publishes of its decision: the recipe.

The forecast that was made with it is `tasks.mixture.published_forecast`, the table of runs `tasks.mixture.runs`, the
evidence `tasks.mixture.published_candidates`.
"""

from collections.abc import Mapping
from math import isclose
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from tasks.core.errors import DataError
from tasks.core.published import Model, Published
from tasks.mixture.runs import LossUnit
from tasks.training.chunks import Interleave
from tasks.training.document_range import DocumentRange
from tasks.training.hooks.kinds import HookConfig
from tasks.training.schedules.kinds import ScheduleConfig
from tasks.training.types import mean_weights

BaselineName = Literal["natural", "uniform", "unimax"]
MixtureName = Literal["searched", "natural", "uniform", "unimax"]
Weights = tuple[NonNegativeFloat, ...]

BASELINES: tuple[BaselineName, ...] = ("natural", "uniform", "unimax")
MIXTURES: tuple[MixtureName, ...] = ("searched", *BASELINES)
# Mixtures that differ by less in every weight are the same one.
_SAME = 1e-6
_OLDER = (1, 2, 3)


class Replay(Model):
    """A share of a stage's tokens of what the model was trained on before: its start's tokens by domain, and earlier stages.

    `weights` say it otherwise, in the order of the recipe's domains: for a start that nobody knows this of.
    """

    share: float = Field(gt=0, lt=1)
    weights: Weights | None = None

    @model_validator(mode="after")
    def _sums_to_one(self) -> Self:
        if self.weights is not None and not isclose(sum(self.weights), 1.0, abs_tol=1e-6):
            raise ValueError(f"weights: {len(self.weights)} weights sum to {sum(self.weights):.6f}, not to 1")
        return self


class RecipeStage(Model):
    """A part of the run with one mixture; weights are in the order of the recipe's domains and sum to 1.

    With `end_weights` the mixture goes from `weights` to them, linearly over the stage's tokens. A mixture that changes in
    steps is several stages. With a `hook` it is decided when the run gets there, from `weights`.

    `sequence_length` and `rope_base` are the run's where they are null. With `metadata` every document stands behind tokens
    that say where it comes from (tokenize.metadata), which count as tokens of the stage and are not predicted; with
    `interleave` chunks of its documents stand in turn; with `documents` it is of a part of each domain's alone, of
    which it may repeat none more often than `max_epochs` (null = as the run allows) by itself. A `schedule`
    rules the learning rate from the stage on, up to the next stage that has one or the end of the run: `warmup_steps` from
    the rate before, to `peak_fraction` of the run's peak.
    With `replay` the stage's own weights are of the tokens that are no replay.
    """

    tokens: PositiveInt
    weights: Weights
    end_weights: Weights | None = None
    hook: HookConfig | None = None
    sequence_length: int | None = Field(default=None, ge=2)
    rope_base: PositiveFloat | None = None
    schedule: ScheduleConfig | None = None
    warmup_steps: NonNegativeInt | None = None
    peak_fraction: PositiveFloat | None = None
    metadata: bool = False
    interleave: Interleave | None = None
    documents: DocumentRange | None = None
    max_epochs: PositiveFloat | None = None
    replay: Replay | None = None

    @model_validator(mode="after")
    def _sums_to_one(self) -> Self:
        for name, weights in self.named_weights:
            if not isclose(sum(weights), 1.0, abs_tol=1e-6):
                raise ValueError(f"{name}: {len(weights)} weights sum to {sum(weights):.6f}, not to 1")
        if self.hook is not None and self.end_weights is not None:
            raise ValueError("a stage has a hook or end_weights, not both")
        if self.hook is not None and self.replay is not None:
            raise ValueError("a stage has a hook or replay, not both: a hook decides all of its mixture")
        if self.schedule is None and (self.warmup_steps is not None or self.peak_fraction is not None):
            raise ValueError("warmup_steps and peak_fraction are of a stage's schedule, and it has none; give it one")
        return self

    @property
    def named_weights(self) -> tuple[tuple[str, Weights], ...]:
        """The weights that the stage states, by the field's name."""
        end = () if self.end_weights is None else (("end_weights", self.end_weights),)
        return (("weights", self.weights), *end)

    @property
    def settings(self) -> str:
        """What the stage has otherwise than the run, in words; nothing where it has nothing."""
        found = [] if self.sequence_length is None else [f"samples of {self.sequence_length:,} tokens"]
        found += [] if self.rope_base is None else [f"RoPE base {self.rope_base:,.10g}"]
        found += ["metadata before each document"] if self.metadata else []
        found += [one.words for one in (self.interleave, self.documents) if one is not None]
        found += [] if self.max_epochs is None else [f"at most {self.max_epochs:g} epochs"]
        found += [] if self.replay is None else [f"{self.replay.share:.0%} replay"]
        if self.schedule is not None:
            steps = "" if self.warmup_steps is None else f" after {self.warmup_steps:,} steps of warm-up"
            peak = "" if self.peak_fraction is None else f" to {self.peak_fraction:g} of the peak"
            found.append(f"schedule {self.schedule.kind}{steps}{peak}")
        return ", ".join(found)

    @property
    def mean_weights(self) -> Weights:
        """Each domain's share of the stage's tokens."""
        return mean_weights(self.weights, self.end_weights)


class Recipe(Published):
    """The mixture that was found, for the run it is for, beside the baselines that it has to beat.

    No domain is repeated more than `max_epochs` times. `uniform_capped` are the domains that uniform weights would repeat
    more often. `objective` has the share of each of the `sets` in what was searched, in `unit`; without `sets` they are
    the domains, else the domains and then the scores of tasks, `tasks` being the digest of each task. `forecast` is the
    SHA-256 of the forecast made with it, None where nobody made one. `data` is the digest of the tokens that it was made for
    (`tasks.tokenize.pool.train_digest`), None = any pool that has its domains. `name` is what its own runs are called.

    A recipe written by hand needs format, domains, stages and max_epochs alone. Format 1 had `phases` where 2 has stages,
    whose stages had no schedule, sequence length or RoPE base; 3 had no tasks. All are read as before.
    """

    FILE: ClassVar[str] = "recipe.json"
    AGAIN: ClassVar[str] = "Correct it where it was written by hand; else run the stage that wrote it again."

    format: Literal[4] = 4
    name: str = Field(default="searched", max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    domains: tuple[str, ...] = Field(min_length=1)
    stages: tuple[RecipeStage, ...] = Field(min_length=1)
    max_epochs: PositiveFloat
    baselines: Mapping[BaselineName, Weights] = {}
    uniform_capped: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    objective: Weights | None = None
    unit: LossUnit = "bits per byte"
    tasks: Mapping[str, str] = {}
    forecast: str | None = None
    data: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_older_formats(cls, value: Any) -> Any:
        if not isinstance(value, dict) or value.get("format") not in _OLDER:
            return value
        first = value["format"] == 1
        renamed = {"stages" if first and field == "phases" else field: one for field, one in value.items()}
        return {**renamed, "format": 4}

    @model_validator(mode="after")
    def _fits_the_domains(self) -> Self:
        if len({*self.domains}) < len(self.domains):
            raise ValueError(f"a domain is named twice in {', '.join(self.domains)}")
        if self.name in BASELINES:
            raise ValueError(f"it is called {self.name}, as a baseline is; give it another name")
        missing = [name for name in BASELINES if name not in self.baselines]
        if missing and len(missing) < len(BASELINES):
            raise ValueError(f"the baseline {missing[0]} is missing; give all of {', '.join(BASELINES)}, or none")
        stages = enumerate(self.stages)
        rows = [(f"stages.{index}.{name}", row) for index, stage in stages for name, row in stage.named_weights]
        replays = [(index, stage.replay) for index, stage in enumerate(self.stages) if stage.replay is not None]
        rows += [(f"stages.{index}.replay", one.weights) for index, one in replays if one.weights is not None]
        rows += [(f"baselines.{name}", weights) for name, weights in self.baselines.items()]
        wrong = [
            f"{name}: {len(values)} weights for {len(self.domains)} domains"
            for name, values in rows
            if len(values) != len(self.domains)
        ]
        if self.objective is not None and len(self.objective) != len(self.sets or self.domains):
            wrong.append(f"objective: {len(self.objective)} shares for {len(self.sets or self.domains)} held-out sets")
        if self.sets and self.sets[: len(self.domains)] != self.domains:
            wrong.append("sets: they begin with the domains, in their order")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @property
    def task_sets(self) -> tuple[str, ...]:
        """The scores of tasks that count, as `task` or `task.score`."""
        return self.sets[len(self.domains) :]

    @property
    def tokens(self) -> int:
        """Tokens of the whole run."""
        return sum(stage.tokens for stage in self.stages)

    @property
    def changes(self) -> bool:
        """Whether there are several stages, or the mixture of the only one changes."""
        return len(self.stages) > 1 or self.stages[0].end_weights is not None or self.stages[0].hook is not None

    @property
    def searched(self) -> Weights:
        """The mixture over the whole run: the stages' mean weights, weighted by their tokens."""
        if len(self.stages) == 1:
            return self.stages[0].mean_weights
        columns = zip(*(stage.mean_weights for stage in self.stages), strict=True)
        shares = [stage.tokens / self.tokens for stage in self.stages]
        return tuple(sum(w * share for w, share in zip(column, shares, strict=True)) for column in columns)

    @property
    def mixtures(self) -> tuple[MixtureName, ...]:
        """The searched mixture and the baselines, if there are any; UniMax where it is another one than uniform."""
        if not self.baselines:
            return ("searched",)
        pairs = zip(self.baselines["uniform"], self.baselines["unimax"], strict=True)
        same = max(abs(one - other) for one, other in pairs) < _SAME
        return ("searched", "natural", "uniform") if same else ("searched", *BASELINES)

    def weights(self, mixture: MixtureName) -> Weights:
        """Return the weights of a mixture, of the searched one over the whole run."""
        return self.searched if mixture == "searched" else self.baselines[mixture]

    @classmethod
    def _require_format(cls, value: dict[str, Any], where: str) -> None:
        if value.get("format") not in _OLDER:
            super()._require_format(value, where)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe from a file of any name.

    Raises:
        DataError: the file is missing or is no recipe.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file. Name the recipe.json of a search.")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: this is no text: {error}. Name the recipe.json of a search.") from error
    return Recipe.parse(text, str(path))
