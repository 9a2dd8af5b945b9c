"""Baselines that search nothing: natural, uniform and UniMax weights."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from tasks.core.errors import ConfigError
from tasks.core.params import Params
from tasks.mixture.decide import NATURAL, DecisionParams, Pick, baseline
from tasks.mixture.problem import Problem
from tasks.mixture.published_candidates import Proposal
from tasks.mixture.strategies.evidence import Evidence
from tasks.mixture.strategies.method import Strategy

Array = npt.NDArray[np.float64]


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


def schedule(params: Baseline, num_runs: int) -> tuple[int, ...]:
    """Return no round."""
    return ()


def first(params: Baseline, problem: Problem, count: int, seed: int) -> Array:
    """Refuse: its schedule is empty."""
    raise _nothing_to_measure(params)


def propose(
    params: Baseline, problem: Problem, evidence: Evidence, round_: int, count: int, seed: int
) -> tuple[Proposal, ...]:
    """Refuse: its schedule is empty."""
    raise _nothing_to_measure(params)


def finish(params: Baseline, decision: DecisionParams, problem: Problem, evidence: Evidence, seed: int) -> Pick:
    """Return the baseline with what is known of it."""
    weights_D = {NATURAL: problem.natural, "uniform": problem.uniform, "unimax": problem.unimax}[params.kind]
    return baseline(decision, problem, evidence, params.kind, weights_D)


def _nothing_to_measure(params: Baseline) -> ConfigError:
    return ConfigError(f"strategy {params.kind} measures nothing of its own: ask its schedule, which is empty, first.")


METHOD = Strategy(schedule=schedule, first=first, propose=propose, finish=finish, searches=False)
