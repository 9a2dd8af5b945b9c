"""Params of the search stage."""

from typing import Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from tasks.core.params import Params
from tasks.mixture.decide import DecisionParams
from tasks.mixture.designs.design import DesignParams
from tasks.mixture.designs.space_filling import SpaceFilling
from tasks.mixture.predictors.choose import MIN_RUNS, Selection
from tasks.mixture.strategies.expected_improvement import ExpectedImprovement
from tasks.mixture.strategies.propose import StrategyParams
from tasks.training.config import TrainingConfig, demo_full, demo_proxy


class SearchParams(Params):
    """Rounds of proxies, a predictor, a strategy; and the run that the recipe is for.

    The default measures 24 proxies: 10 at first (natural and uniform among them), natural again with 2 other seeds,
    then 2 rounds of 6.
    """

    proxy: TrainingConfig = Field(default_factory=demo_proxy)
    objective: dict[str, NonNegativeFloat] | None = Field(
        default=None, description="relative weight of each domain's bits per byte; null = all the same"
    )
    search_tokens_per_domain: PositiveInt = Field(default=16_384, description="held-out, to measure a proxy on")
    num_initial: int = Field(default=10, ge=MIN_RUNS, description="before the first fit, with natural and uniform")
    num_repeats_natural: int = Field(default=2, ge=0, description="natural again, with other seeds: the noise of a run")
    rounds: int = Field(default=2, ge=0)
    runs_per_round: PositiveInt = 6
    max_epochs: PositiveFloat = Field(default=4.0, description="how often a domain may be repeated in one run")
    kl_to_natural: NonNegativeFloat = Field(
        default=0.03, description="bits per byte that a nat of divergence from the natural mixture must gain; 0 = off"
    )
    target_tokens: PositiveInt = Field(
        default_factory=lambda: demo_full().num_tokens, description="of the run that the recipe is for"
    )
    target_sequence_length: PositiveInt = Field(default_factory=lambda: demo_full().model.sequence_length)
    design: DesignParams = SpaceFilling()
    selection: Selection = Selection()
    strategy: StrategyParams = ExpectedImprovement()
    decision: DecisionParams = DecisionParams()
    seed: int = Field(default=0, ge=0)

    @property
    def num_runs(self) -> int:
        """Proxies of the whole search."""
        return self.num_initial + self.num_repeats_natural + self.rounds * self.runs_per_round

    @model_validator(mode="after")
    def _target_is_whole(self) -> Self:
        if self.target_tokens % self.target_sequence_length:
            raise ValueError(
                f"target_tokens {self.target_tokens} is not a whole number of samples of "
                f"{self.target_sequence_length} tokens"
            )
        return self
