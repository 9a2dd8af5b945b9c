"""Anchors and space-filling draws: mixtures far from each other, around natural. Axes: M mixtures, D domains."""

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveFloat, PositiveInt

from tasks.core.params import Params
from tasks.core.rng import generator
from tasks.mixture.problem import Problem, filled, gridded

Array = npt.NDArray[np.float64]


class SpaceFilling(Params):
    """A part of the design leans on one domain each (anchors); the rest is drawn from Dirichlet laws around natural.

    `strengths` are concentrations per domain: below 1 the draws are sparse, above they are near the tempered prior
    natural^temperature. Wide on purpose: a swarm kept near the optimum's caps predicts worse (Olmix, arXiv 2602.12237).
    """

    kind: Literal["space_filling"] = "space_filling"
    anchor_fraction: float = Field(default=0.5, ge=0, le=1, description="of the design, after the baselines")
    anchor_weight: float = Field(default=0.6, gt=0, lt=1, description="of the domain that an anchor leans on")
    strengths: tuple[PositiveFloat, ...] = Field(default=(0.3, 1.0, 3.0), min_length=1)
    temperature: float = Field(default=0.5, gt=0, le=1)
    num_draws: PositiveInt = 600


def space_filling(params: SpaceFilling, problem: Problem, count: int, seed: int) -> Array:
    """Return `count` mixtures under the proxies' caps, shape [count, D], each far from the baselines and those before."""
    chosen_MD = baselines(problem)
    known = len(chosen_MD)
    num_anchors = min(round(params.anchor_fraction * count), len(problem.domains))
    anchors_MD = _anchors(params, problem)
    chosen_MD = farthest(chosen_MD, anchors_MD, num_anchors)
    draws_MD = draws(problem, params.num_draws, params.strengths, params.temperature, problem.proxy_caps_D, seed)
    return farthest(chosen_MD, draws_MD, count - (len(chosen_MD) - known))[known:]


def baselines(problem: Problem) -> Array:
    """Return natural, uniform and UniMax where they differ, shape [1 to 3, D]: every search measures them."""
    different: list[Array] = []
    for weights_D in (problem.natural, problem.uniform, problem.unimax):
        if all(np.abs(weights_D - other_D).max() > 1e-9 for other_D in different):
            different.append(weights_D)
    return np.array(different)


def draws(
    problem: Problem, count: int, strengths: tuple[float, ...], temperature: float, caps_D: Array, seed: int
) -> Array:
    """Return `count` Dirichlet draws around natural^temperature, in turn with each strength, under the caps."""
    prior_D = problem.natural**temperature
    prior_D = prior_D / prior_D.sum()
    stream = generator(seed, "search", "dirichlet")
    used_D = (prior_D > 0) & (caps_D > 0)
    rows = []
    for index in range(count):
        strength = strengths[index % len(strengths)] * used_D.sum()
        # A floor keeps every draw able to meet the caps: a gamma draw may underflow to 0.
        gammas = stream.gamma(strength * prior_D[used_D]) + 1e-6
        shares_D = np.zeros(len(prior_D))
        shares_D[used_D] = gammas / gammas.sum()
        rows.append(gridded(filled(shares_D, caps_D), caps_D))
    return np.array(rows)


def farthest(chosen_MD: Array, pool_MD: Array, count: int) -> Array:
    """Return `chosen_MD` and `count` mixtures of the pool, each the farthest from all before (Hellinger distance).

    Mixtures that are there already are never added; the pool may be too small, then fewer come.
    """
    chosen = list(chosen_MD)
    gaps_M = np.min([_distance(pool_MD, weights_D) for weights_D in chosen], axis=0)
    for _ in range(count):
        best = int(np.argmax(gaps_M))
        if not gaps_M[best] > 1e-6:
            break
        chosen.append(pool_MD[best])
        gaps_M = np.minimum(gaps_M, _distance(pool_MD, pool_MD[best]))
    return np.array(chosen)


def _anchors(params: SpaceFilling, problem: Problem) -> Array:
    """Return one mixture per domain that leans on it, the rest natural."""
    caps_D = problem.proxy_caps_D
    peaks_MD = np.eye(len(problem.domains))[caps_D > 0]
    shares_MD = (1 - params.anchor_weight) * problem.natural + params.anchor_weight * peaks_MD
    return np.array([gridded(filled(shares_D, caps_D), caps_D) for shares_D in shares_MD])


def _distance(weights_MD: Array, other_D: Array) -> Array:
    return np.asarray(np.sqrt(((np.sqrt(weights_MD) - np.sqrt(other_D)) ** 2).sum(axis=1)))
