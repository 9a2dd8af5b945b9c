"""Data mixing laws (arXiv 2403.16952): an exponential law per held-out set, and the mixture at which they are least.

One round. The paper measures a grid of 20 mixtures of few domains; here it is RegMix's swarm, which any number of domains
has room for. Nothing holds the proposal near natural but the caps and the constraints.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tasks.core.params import Params
from tasks.mixture.decide import DecisionParams, Pick, shipped
from tasks.mixture.designs.swarm import Swarm
from tasks.mixture.predictors.exponential import Exponential
from tasks.mixture.predictors.mixing_law import MixingLaw, fit_mixing_law
from tasks.mixture.problem import Problem
from tasks.mixture.published_candidates import Proposal
from tasks.mixture.strategies.convex import law_minimum
from tasks.mixture.strategies.evidence import Evidence
from tasks.mixture.strategies.method import Strategy
from tasks.mixture.strategies.rounds import one_round, swarm_under_caps, with_optimum

Array = npt.NDArray[np.float64]


class MixingLaws(Params):
    """The swarm that is measured, and how the law is fitted."""

    kind: Literal["mixing_laws"] = "mixing_laws"
    swarm: Swarm = Swarm()
    predictor: MixingLaw = Field(default_factory=MixingLaw)


def first(params: MixingLaws, problem: Problem, count: int, seed: int) -> Array:
    """Return the swarm under the proxies' caps, shape [count, D]."""
    return swarm_under_caps(params.swarm, problem, count, seed)


def propose(
    params: MixingLaws, problem: Problem, evidence: Evidence, round_: int, count: int, seed: int
) -> tuple[Proposal, ...]:
    """Return the mixture it would ship, then more of the swarm: the method itself has one round."""
    laws = _laws(params, problem, evidence)
    best_D = law_minimum(problem, laws, 0.0)
    predicted = float(laws.mean(best_D[None])[0] @ problem.objective_S)
    return with_optimum(params.swarm, problem, evidence, (best_D, predicted), count, seed * 1_000_003 + round_)


def finish(params: MixingLaws, decision: DecisionParams, problem: Problem, evidence: Evidence, seed: int) -> Pick:
    """Return the minimum of the laws."""
    reason = "the minimum of the exponential mixing laws is shipped, however far from what was measured"
    best_D = law_minimum(problem, _laws(params, problem, evidence), 0.0)
    return shipped(decision, problem, evidence, best_D, reason)


def _laws(params: MixingLaws, problem: Problem, evidence: Evidence) -> Exponential:
    surface = fit_mixing_law(params.predictor, evidence.measured(problem)).surface
    assert isinstance(surface, Exponential)
    return surface


METHOD = Strategy(schedule=one_round, first=first, propose=propose, finish=finish)
