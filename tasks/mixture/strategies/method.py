"""What a strategy is: how many mixtures per round, which ones, and what becomes the recipe."""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from tasks.mixture.decide import DecisionParams, Pick
from tasks.mixture.problem import Problem
from tasks.mixture.published_candidates import Proposal
from tasks.mixture.strategies.evidence import Evidence

Array = npt.NDArray[np.float64]
P = TypeVar("P", contravariant=True)  # noqa: PLC0105 (read as the params of the method)


class Schedule(Protocol[P]):
    """How many mixtures each round measures, the first before anything is fitted.

    Raises:
        ConfigError: too few runs for the strategy's rounds.
    """

    def __call__(self, params: P, num_runs: int, /) -> tuple[int, ...]: ...  # noqa: D102


class First(Protocol[P]):
    """The first round's mixtures, shape [count, D], under the proxies' caps; deterministic from the seed."""

    def __call__(self, params: P, problem: Problem, count: int, seed: int, /) -> Array: ...  # noqa: D102


class Propose(Protocol[P]):
    """`count` mixtures to measure next, under the recipe's caps, none measured before; deterministic from the seed.

    Raises:
        EvidenceError: the strategy needs a predictor and the evidence has none, or too few runs to fit its own.
    """

    def __call__(  # noqa: D102
        self, params: P, problem: Problem, evidence: Evidence, round_: int, count: int, seed: int, /
    ) -> tuple[Proposal, ...]: ...


class Finish(Protocol[P]):
    """What the strategy ships: the default by decision, the released methods by their own rules."""

    def __call__(  # noqa: D102
        self, params: P, decision: DecisionParams, problem: Problem, evidence: Evidence, seed: int, /
    ) -> Pick: ...


@dataclass(frozen=True)
class Strategy(Generic[P]):
    """A method of search.

    `needs_predictor`: its proposals need the predictor that cross-validation chooses; the others bring their own or none.
    `begins_with_baselines`: natural, uniform and UniMax count among its first round. `searches`: it measures mixtures of
    its own; a baseline ships as configured, and there is nothing to confirm. `can_reduce`: it also works on a problem in
    which domains keep their relative shares.
    """

    schedule: Schedule[P]
    first: First[P]
    propose: Propose[P]
    finish: Finish[P]
    needs_predictor: bool = False
    begins_with_baselines: bool = False
    searches: bool = True
    can_reduce: bool = False
