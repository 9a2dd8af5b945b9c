"""All strategies: the union of their params, and the one place that chooses a method by its kind."""

from typing import Annotated, Any, assert_never

from pydantic import Field

from tasks.mixture.strategies import baselines, climb, default, mixing_laws, olmix, random_search, regmix
from tasks.mixture.strategies.baselines import Natural, Uniform, Unimax
from tasks.mixture.strategies.climb import Climb
from tasks.mixture.strategies.default import Default
from tasks.mixture.strategies.method import Strategy
from tasks.mixture.strategies.mixing_laws import MixingLaws
from tasks.mixture.strategies.olmix import Olmix
from tasks.mixture.strategies.random_search import RandomSearch
from tasks.mixture.strategies.regmix import RegMix

StrategyParams = Annotated[
    Default | Climb | RegMix | Olmix | MixingLaws | RandomSearch | Natural | Uniform | Unimax,
    Field(discriminator="kind"),
]


def method(params: StrategyParams) -> Strategy[Any]:
    """Return the method of a strategy's params."""
    found: Strategy[Any]
    match params:
        case Default():
            found = default.METHOD
        case Climb():
            found = climb.METHOD
        case RegMix():
            found = regmix.METHOD
        case Olmix():
            found = olmix.METHOD
        case MixingLaws():
            found = mixing_laws.METHOD
        case RandomSearch():
            found = random_search.METHOD
        case Natural() | Uniform() | Unimax():
            found = baselines.METHOD
        case _:
            assert_never(params)
    return found
