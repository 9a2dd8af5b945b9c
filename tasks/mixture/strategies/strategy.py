"""Choosing a strategy: how many mixtures per round, which ones, and what becomes the recipe."""

from typing import Annotated, assert_never

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tasks.core.errors import ConfigError
from tasks.mixture.decide import DecisionParams, Pick
from tasks.mixture.problem import Problem
from tasks.mixture.published_candidates import Proposal
from tasks.mixture.strategies import baselines, climb, default, mixing_laws, olmix, random_search, regmix
from tasks.mixture.strategies.baselines import Natural, Uniform, Unimax
from tasks.mixture.strategies.climb import Climb
from tasks.mixture.strategies.default import Default
from tasks.mixture.strategies.evidence import Evidence
from tasks.mixture.strategies.mixing_laws import MixingLaws
from tasks.mixture.strategies.olmix import Olmix
from tasks.mixture.strategies.random_search import RandomSearch
from tasks.mixture.strategies.regmix import RegMix

Array = npt.NDArray[np.float64]
StrategyParams = Annotated[
    Default | Climb | RegMix | Olmix | MixingLaws | RandomSearch | Natural | Uniform | Unimax,
    Field(discriminator="kind"),
]


def needs_predictor(params: StrategyParams) -> bool:
    """Return whether proposals need the predictor that cross-validation chooses; the others bring their own or none."""
    return isinstance(params, Default)


def schedule(params: StrategyParams, num_runs: int) -> tuple[int, ...]:
    """Return how many mixtures each round measures, the first before anything is fitted; baselines measure none.

    Raises:
        ConfigError: too few runs for the strategy's rounds.
    """
    match params:
        case Default():
            return default.schedule(params, num_runs)
        case Climb():
            return climb.schedule(params, num_runs)
        case RegMix() | Olmix() | MixingLaws() | RandomSearch():
            return (num_runs,)
        case Natural() | Uniform() | Unimax():
            return ()
        case _:
            assert_never(params)


def first(params: StrategyParams, problem: Problem, count: int, seed: int) -> Array:
    """Return the first round's mixtures, shape [count, D], under the proxies' caps; deterministic from the seed.

    The default's begin with natural, uniform and UniMax, random search's with natural; released methods draw their own.
    """
    match params:
        case Default():
            return default.first(params, problem, count, seed)
        case Climb():
            return climb.first(params, problem, count, seed)
        case RegMix():
            return regmix.first(params, problem, count, seed)
        case Olmix():
            return olmix.first(params, problem, count, seed)
        case MixingLaws():
            return mixing_laws.first(params, problem, count, seed)
        case RandomSearch():
            return random_search.first(params, problem, count, seed)
        case Natural() | Uniform() | Unimax():
            raise _nothing_to_measure(params.kind)
        case _:
            assert_never(params)


def propose(
    params: StrategyParams, problem: Problem, evidence: Evidence, round_: int, count: int, seed: int
) -> tuple[Proposal, ...]:
    """Return `count` mixtures to measure next, under the recipe's caps, none measured before; deterministic from the seed.

    Raises:
        EvidenceError: the strategy needs a predictor and the evidence has none, or too few runs to fit its own.
    """
    match params:
        case Default():
            return default.propose(params, problem, evidence, round_, count, seed)
        case Climb():
            return climb.propose(params, problem, evidence, round_, count, seed)
        case RegMix():
            return regmix.propose(params, problem, evidence, round_, count, seed)
        case Olmix():
            return olmix.propose(params, problem, evidence, round_, count, seed)
        case MixingLaws():
            return mixing_laws.propose(params, problem, evidence, round_, count, seed)
        case RandomSearch():
            return random_search.propose(params, problem, evidence, round_, count, seed)
        case Natural() | Uniform() | Unimax():
            raise _nothing_to_measure(params.kind)
        case _:
            assert_never(params)


def finish(  # noqa: PLR0911 - one return per method
    params: StrategyParams, decision: DecisionParams, problem: Problem, evidence: Evidence, seed: int
) -> Pick:
    """Return what the strategy ships: the default by decision, the released methods by their own rules."""
    match params:
        case Default():
            return default.finish(params, decision, problem, evidence, seed)
        case Climb():
            return climb.finish(params, decision, problem, evidence, seed)
        case RegMix():
            return regmix.finish(params, decision, problem, evidence, seed)
        case Olmix():
            return olmix.finish(params, decision, problem, evidence, seed)
        case MixingLaws():
            return mixing_laws.finish(params, decision, problem, evidence, seed)
        case RandomSearch():
            return random_search.finish(params, decision, problem, evidence, seed)
        case Natural() | Uniform() | Unimax():
            return baselines.finish(params, decision, problem, evidence)
        case _:
            assert_never(params)


def _nothing_to_measure(kind: str) -> ConfigError:
    return ConfigError(f"strategy {kind} measures nothing of its own: ask its schedule, which is empty, first.")
