"""Params of a comparison of search methods."""

from collections.abc import Iterator

from pydantic import Field, PositiveInt

from tasks.core.params import Params
from tasks.mixture.config import SearchParams
from tasks.mixture.strategies.climb import Climb
from tasks.mixture.strategies.default import Default
from tasks.mixture.strategies.kinds import StrategyParams
from tasks.mixture.strategies.regmix import RegMix
from tasks.training.config import TrainingConfig
from tasks.training.params import demo_full

# Trained beside every method.
BASELINES = ("natural", "uniform", "unimax")
# Far from the seeds of proxies, which had their part in finding the mixtures.
TRAINING_SEED = 10_000


class Method(Params):
    """A strategy, and whether its budget pays for noise and confirmation too or, as released, for proposals alone."""

    strategy: StrategyParams
    confirmed: bool = False


class ComparisonParams(Params):
    """Each method searches with each search seed; what it finds and the baselines are trained with each training seed.

    `search` is what all methods have in common: proxies, budget, objective, caps. Its own strategy is not used.
    """

    search: SearchParams = SearchParams()
    training: TrainingConfig = Field(default_factory=demo_full)
    methods: tuple[Method, ...] = Field(
        default=(
            Method(strategy=Default(), confirmed=True),
            Method(strategy=RegMix()),
            Method(strategy=Climb()),
        ),
        min_length=1,
    )
    num_search_seeds: PositiveInt = 3
    num_training_seeds: int = Field(default=3, ge=3, description="paired; fewer than 3 give no interval")
    training_seed: int = Field(
        default=TRAINING_SEED, ge=0, description="of the first run; apart from the seeds of proxies"
    )
    test_tokens_per_domain: PositiveInt | None = Field(default=65_536, description="null = all of the test split")
    confidence: float = Field(default=0.95, gt=0, lt=1)

    def mistakes(self) -> Iterator[str]:
        """Yield what does not fit together."""
        kinds = [method.strategy.kind for method in self.methods]
        if twice := sorted({kind for kind in kinds if kinds.count(kind) > 1}):
            yield f"methods: {twice[0]} is named twice; each method once"
        if known := [kind for kind in kinds if kind in BASELINES]:
            yield f"methods: {known[0]} is a baseline and searches nothing; it is trained anyway. Leave it out"
        search = self.search.aimed_at(self.training)
        target = (search.target.tokens, search.target.sequence_length)
        if target != (self.training.num_tokens, self.training.model.sequence_length):
            yield (
                f"search speaks of a run of {target[0]:,} tokens in samples of {target[1]}, training has "
                f"{self.training.num_tokens:,} in samples of {self.training.model.sequence_length}: make them equal"
            )
