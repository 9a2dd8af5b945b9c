"""Baselines that search nothing: natural, uniform and UniMax weights."""

from typing import Literal

from tasks.core.params import Params
from tasks.mixture.decide import NATURAL, DecisionParams, Pick, baseline
from tasks.mixture.problem import Problem
from tasks.mixture.strategies.evidence import Evidence


class Natural(Params):
    """Every domain by its share of tokens."""

    kind: Literal["natural"] = "natural"


class Uniform(Params):
    """Equal weights; what a capped domain leaves goes to the others."""

    kind: Literal["uniform"] = "uniform"


class Unimax(Params):
    """As even as can be without repeating any domain more than need be (UniMax, arXiv 2304.09151)."""

    kind: Literal["unimax"] = "unimax"


Baseline = Natural | Uniform | Unimax


def finish(params: Baseline, decision: DecisionParams, problem: Problem, evidence: Evidence) -> Pick:
    """Return the baseline with what is known of it."""
    weights_D = {NATURAL: problem.natural, "uniform": problem.uniform, "unimax": problem.unimax}[params.kind]
    return baseline(decision, problem, evidence, params.kind, weights_D)
