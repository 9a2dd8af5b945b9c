"""Olmix (arXiv 2602.12237; allenai/olmix): a log-linear law per held-out set, then a convex program.

One round of Dirichlet draws around natural, not kept to the caps: the optimiser is constrained, not the swarm. The proposal
minimises the predicted objective plus `kl_to_natural` times KL(x || natural) under the caps and the constraints.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeFloat

from tasks.core.params import Params
from tasks.mixture.decide import DecisionParams, Pick, shipped
from tasks.mixture.designs.swarm import Swarm
from tasks.mixture.predictors.exponential import Exponential
from tasks.mixture.predictors.log_linear import LogLinear, fit_log_linear
from tasks.mixture.problem import Problem
from tasks.mixture.published_candidates import Proposal
from tasks.mixture.strategies.convex import law_minimum
from tasks.mixture.strategies.evidence import Evidence
from tasks.mixture.strategies.method import Strategy
from tasks.mixture.strategies.rounds import one_round, swarm_under_caps, with_optimum

Array = npt.NDArray[np.float64]


class Olmix(Params):
    """The paper's constants; `kl_to_natural` is in the unit of the losses (there bits per byte)."""

    kind: Literal["olmix"] = "olmix"
    swarm: Swarm = Swarm(temperature=1.0, max_usage=None, min_weight=0.002, grid=1e-4)
    predictor: LogLinear = Field(default_factory=LogLinear)
    kl_to_natural: NonNegativeFloat = 0.05


def first(params: Olmix, problem: Problem, count: int, seed: int) -> Array:
    """Return the swarm under the proxies' caps, shape [count, D]."""
    return swarm_under_caps(params.swarm, problem, count, seed)


def propose(
    params: Olmix, problem: Problem, evidence: Evidence, round_: int, count: int, seed: int
) -> tuple[Proposal, ...]:
    """Return the mixture it would ship, then more of the swarm: the method itself has one round."""
    laws = _laws(params, problem, evidence)
    best_D = law_minimum(problem, laws, params.kl_to_natural)
    predicted = float(laws.mean(best_D[None])[0] @ problem.objective_S)
    return with_optimum(params.swarm, problem, evidence, (best_D, predicted), count, seed * 1_000_003 + round_)


def finish(params: Olmix, decision: DecisionParams, problem: Problem, evidence: Evidence, seed: int) -> Pick:
    """Return the minimum of the convex program."""
    reason = f"Olmix ships the minimum of its log-linear laws with {params.kl_to_natural:g} KL to natural"
    best_D = law_minimum(problem, _laws(params, problem, evidence), params.kl_to_natural)
    return shipped(decision, problem, evidence, best_D, reason)


def _laws(params: Olmix, problem: Problem, evidence: Evidence) -> Exponential:
    surface = fit_log_linear(params.predictor, evidence.measured(problem)).surface
    assert isinstance(surface, Exponential)
    return surface


METHOD = Strategy(schedule=one_round, first=first, propose=propose, finish=finish)
