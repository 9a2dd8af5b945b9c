"""Params of the search stage."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from tasks.core.errors import ConfigError
from tasks.core.params import Params
from tasks.evaluation.tasks.params import TaskParams
from tasks.mixture.confirm import ConfirmParams
from tasks.mixture.decay import DecayStage
from tasks.mixture.decide import DecisionParams
from tasks.mixture.earlier_runs.reuse import THRESHOLD
from tasks.mixture.earlier_runs.warm import Warm
from tasks.mixture.limits import ShareLimit
from tasks.mixture.predictors.choose import Selection
from tasks.mixture.second_size import between
from tasks.mixture.strategies.default import Default
from tasks.mixture.strategies.kinds import StrategyParams, method
from tasks.mixture.transfer import TransferParams
from tasks.training.config import ModelConfig, Precision, TrainingConfig
from tasks.training.model_size import num_parameters
from tasks.training.params import demo_proxy

Shares = dict[str, NonNegativeFloat]


@dataclass(frozen=True)
class TargetRun:
    """The run that a recipe is for."""

    tokens: int
    sequence_length: int

    @property
    def samples(self) -> int:
        """Samples (sequences) of the run."""
        return self.tokens // self.sequence_length


class SearchParams(Params):
    """Proxies measure, a predictor generalises, a strategy proposes, fresh seeds confirm; and the run the recipe is for.

    `num_runs` are all proxies of one size: the baselines, natural and uniform again with other seeds (the noise), what the
    strategy asks for in its rounds, and the confirmation. A second size (`transfer`) comes on top.
    """

    proxy: TrainingConfig = Field(default_factory=demo_proxy)
    tasks: tuple[TaskParams, ...] = Field(
        default=(), description="that the objective may name beside domains; measured on half of their items"
    )
    objective: Shares | None = Field(
        default=None,
        description="relative weight of each domain's bits per byte, and of a task's score (`task` or `task.score`); "
        "null = all domains the same",
    )
    objectives: dict[str, Shares] | None = Field(
        default=None, description="several, by name: their mean is searched, their Pareto front shown; null = one"
    )
    max_increase: dict[str, NonNegativeFloat] = Field(
        default={}, description="domain or task's score: what it may lose against natural, at most"
    )
    share_limits: dict[str, ShareLimit] = Field(
        default={},
        description="by a name of yours: what several domains may have of the run together, such as a licence tier",
    )
    held_out_only: tuple[str, ...] = Field(default=(), description="domains that are measured on, never trained on")
    search_tokens_per_domain: PositiveInt = Field(default=16_384, description="held-out, to measure a proxy on")
    search_tokens_of_others: PositiveInt = Field(
        default=4_096, description="of held-out sets that neither the objective nor a constraint names"
    )
    num_runs: PositiveInt = 36
    num_noise_seeds: int = Field(default=2, ge=0, description="natural and uniform again, each with so many seeds")
    max_epochs: PositiveFloat = Field(default=4.0, description="how often a domain may be repeated in one run")
    repetition_matched: bool = Field(
        default=True, description="proxies see a part of each domain, so that it is repeated as in the target run"
    )
    kl_to_natural: NonNegativeFloat | None = Field(
        default=None,
        description="bits per byte that a nat of divergence from natural must gain; null = by the measured noise",
    )
    target_tokens: PositiveInt | None = Field(
        default=None, description="of the run that the recipe is for; null = of the run that is trained, train.training"
    )
    target_parameters: PositiveInt | None = Field(
        default=None, description="of the run that the recipe is for; null = those of target_model"
    )
    target_model: ModelConfig | None = Field(
        default=None, description="of that run, for a forecast from two sizes; null = as it is trained"
    )
    target_sequence_length: PositiveInt | None = Field(default=None, description="of that run; null = as it is trained")
    selection: Selection = Selection()
    strategy: StrategyParams = Default()
    decision: DecisionParams = DecisionParams()
    confirm: ConfirmParams | None = Field(default=ConfirmParams(), description="null = the pick ships unconfirmed")
    transfer: TransferParams | None = Field(default=None, description="the same mixtures at a second size; null = off")
    stages: DecayStage | None = Field(
        default=None, description="a last stage with a mixture of its own, searched by branches; null = one stage"
    )
    ladder: str | None = Field(
        default=None,
        description="runs.csv of a ladder, whose law says how losses fall to the full run; null = any run's law",
    )
    earlier_runs: str | None = Field(default=None, description="runs.csv of an earlier search; null = start afresh")
    changed_domains: tuple[str, ...] = Field(
        default=(), description="search these and what is coupled with them, the others keep their relative shares"
    )
    coupling_threshold: float = Field(default=THRESHOLD, ge=0, description="similarity or joint effect that counts")
    seed: int = Field(default=0, ge=0)

    def decided(self, precision: Precision) -> Self:
        """Return the params with `precision` where they say `auto`, for proxies of both sizes."""
        sizes: dict[str, Any] = {"proxy": self.proxy.decided(precision)}
        if self.transfer is not None and self.transfer.training is not None:
            second = self.transfer.training.decided(precision)
            sizes["transfer"] = self.transfer.model_copy(update={"training": second})
        return self.model_copy(update=sizes)

    @property
    def task_scores(self) -> tuple[tuple[TaskParams, str], ...]:
        """The scores of tasks that are measured, by the name under which the objective or a constraint names them."""
        shares = [each for each in (self.objective, *(self.objectives or {}).values(), self.max_increase) if each]
        names = dict.fromkeys(name for each in shares for name in each)
        return tuple((task, name) for task in self.tasks for name in names if name.partition(".")[0] == task.name)

    @property
    def target(self) -> TargetRun:
        """The run that the recipe is for.

        Raises:
            ConfigError: it is left to the run that is trained, and nobody has said which that is.
        """
        if self.target_tokens is None or self.target_sequence_length is None:
            raise ConfigError(
                "search.target_tokens and search.target_sequence_length are null: they follow train.training, which is "
                "not known here. Name both."
            )
        return TargetRun(self.target_tokens, self.target_sequence_length)

    def aimed_at(self, training: TrainingConfig) -> Self:
        """Return the params with the run that is trained where they leave open which run the recipe is for.

        A second size that is left open lies between the proxies and that run, or is none where that run is no larger.
        """
        target_run = {"target_tokens": training.num_tokens, "target_sequence_length": training.model.sequence_length}
        aimed: dict[str, Any] = {name: value for name, value in target_run.items() if getattr(self, name) is None}
        if (transfer := self.transfer) is not None:
            aimed["target_model"] = self.target_model or training.model
            if transfer.training is None:
                second = between(self.proxy, training, transfer.most_compute)
                aimed["transfer"] = None if second is None else transfer.model_copy(update={"training": second})
        return self.model_copy(update=aimed)

    def left_open(self, training: TrainingConfig) -> Self:
        """Return the params without what `aimed_at` this run fills in: what may then be aimed at another one."""
        opened = self.model_copy(
            update={"target_tokens": None, "target_sequence_length": None, "target_model": None}
            | ({} if self.transfer is None else {"transfer": self.transfer.model_copy(update={"training": None})})
        )
        aimed = opened.aimed_at(training)
        followed = [name for name in type(self).model_fields if getattr(aimed, name) == getattr(self, name)]
        return self.model_copy(update={name: getattr(opened, name) for name in followed})

    def mistakes(self) -> Iterator[str]:
        """Yield what does not fit together."""
        if self.target_tokens and self.target_sequence_length and self.target_tokens % self.target_sequence_length:
            yield (
                f"target_tokens {self.target_tokens} is not a whole number of samples of "
                f"{self.target_sequence_length} tokens"
            )
        if self.objective is not None and self.objectives is not None:
            yield "objective and objectives are both given; name several in objectives alone"
        if self.objectives is not None and len(self.objectives) < 2:
            yield f"objectives names {len(self.objectives)}; one stands in objective"
        named = {"objective": self.objective} if self.objective is not None else {}
        named |= {f"objectives.{name}": shares for name, shares in (self.objectives or {}).items()}
        if nothing := [name for name, shares in named.items() if not sum(shares.values()) > 0]:
            yield f"{nothing[0]}: its weights sum to 0, so nothing counts; give a held-out set a weight above 0"
        yield from self._mistakes_of_tasks()
        yield from self._mistakes_of_limits()
        if self.earlier_runs is None and any(isinstance(each, Warm) for each in self.selection.zoo):
            yield "selection.zoo names the predictor `warm`, which needs earlier_runs; name them, or leave it out"
        if self.ladder is not None and self.transfer is None:
            yield "ladder without transfer: a law carries losses on from two sizes; give transfer, or leave ladder out"
        if self.changed_domains and self.earlier_runs is None:
            yield "changed_domains without earlier_runs: name the runs.csv of the search before the change"
        if self.changed_domains and not method(self.strategy).can_reduce:
            yield (
                f"changed_domains keeps the others' shares under strategy default alone, not {self.strategy.kind}; take "
                "strategy default, or leave changed_domains out"
            )
        first, second = self.proxy, None if self.transfer is None else self.transfer.training
        if first.evaluations or (second is not None and second.evaluations):
            yield "evaluations on the way are for full runs (train.training); a proxy is measured at its end"
        if second is None:
            return
        if (second.model, second.num_tokens) == (first.model, first.num_tokens):
            yield (
                "transfer.training: model and num_tokens are the proxy's own, and what else differs makes no second size; "
                "give it a larger model or more num_tokens"
            )
        # Parameters are body + vocabulary x hidden size: where neither part grows, no vocabulary makes it larger.
        compute, compute_first = (
            (num_parameters(each.model, 0)[0] * each.num_tokens, each.model.hidden_size * each.num_tokens)
            for each in (second, first)
        )
        if all(part <= part_first for part, part_first in zip(compute, compute_first, strict=True)):
            yield (
                f"transfer.training: with hidden_size {second.model.hidden_size} and num_tokens {second.num_tokens} it has "
                f"no more compute (parameters x tokens) than the proxy with hidden_size {first.model.hidden_size} and "
                f"num_tokens {first.num_tokens}; give it a larger model or more num_tokens"
            )

    def _mistakes_of_limits(self) -> Iterator[str]:
        if self.share_limits and (self.changed_domains or self.stages is not None):
            what = "changed_domains" if self.changed_domains else "stages"
            yield f"share_limits are not kept by {what}: leave out one of the two"

    def _mistakes_of_tasks(self) -> Iterator[str]:
        names = [task.name for task in self.tasks]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            yield f"tasks: {twice[0]} stands there twice; give each a name of its own"
        counted = {task.name for task, _ in self.task_scores}
        if idle := [name for name in names if name not in counted]:
            yield (
                f"tasks: {len(idle)} of {len(names)} count for nothing; first: {idle[0]}. Name it in objective or "
                "max_increase, or leave it out"
            )
        if self.tasks and self.objective is None and self.objectives is None:
            yield "tasks without objective: what they and the domains count is not known; give each a weight in objective"
