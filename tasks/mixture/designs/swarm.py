"""RegMix's sampler, which CLIMB took over: Dirichlet draws of many strengths around the tempered token shares.

Released code: sail-sg/regmix mixture_config/synthesize_mixture.py; NVIDIA-NeMo/Curator tutorials of CLIMB, 5_mixture.py.
Axes: M mixtures, D domains.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveFloat, PositiveInt

from tasks.core.errors import ConfigError
from tasks.core.params import Params
from tasks.core.rng import generator

Array = npt.NDArray[np.float64]
CandidateSource = Literal["natural", "swarm"]

# Mixtures closer than this (L1) are the same.
_SAME = 1e-5


class Swarm(Params):
    """The released constants. `max_usage` bounds a weight in units of its natural share (None = no bound).

    Weights below `min_weight` become 0, the others are rounded to the grid.
    """

    temperature: float = Field(default=0.5, gt=0, le=1)
    min_strength: PositiveFloat = 0.1
    max_strength: PositiveFloat = 5.0
    num_strengths: PositiveInt = 15
    max_usage: PositiveFloat | None = 15.0
    min_weight: float = Field(default=2e-4, gt=0, lt=1)
    grid: float = Field(default=2e-4, gt=0, lt=1)
    oversample: PositiveInt = 100
    drawn_as: PositiveInt = Field(default=512, description="a smaller swarm is the first part of one of this size")


def swarm(params: Swarm, natural_D: Array, count: int, seed: int) -> Array:
    """Return `count` different mixtures, shape [count, D], drawn from `oversample` times as many.

    With the same seed a smaller swarm is the first part of a larger one (up to `drawn_as`): methods and budgets share runs.

    Raises:
        ConfigError: too few of the draws keep to `max_usage` and differ.
    """
    stream = generator(seed, "search", "swarm")
    draws = max(count, params.drawn_as) * params.oversample
    drawn_MD = _rounded(params, _accepted(params, natural_D, draws, stream))
    different_MD = _different(drawn_MD)
    if len(different_MD) < count:
        raise ConfigError(
            f"{len(different_MD)} of {draws} draws keep to {params.max_usage} times the natural "
            f"shares and differ; {count} are needed. Raise oversample or max_usage."
        )
    return different_MD[stream.permutation(len(different_MD))[:count]]


def _accepted(params: Swarm, natural_D: Array, draws: int, stream: np.random.Generator) -> Array:
    prior_D = natural_D**params.temperature / (natural_D**params.temperature).sum()
    strengths = np.logspace(np.log10(params.min_strength), np.log10(params.max_strength), params.num_strengths)
    strength_M = strengths[stream.integers(len(strengths), size=draws)]
    gammas_MD = stream.gamma(strength_M[:, None] * prior_D)
    total_M = gammas_MD.sum(axis=1)
    # All gammas of a sparse draw may underflow to 0: no mixture.
    weights_MD = gammas_MD[total_M > 0] / total_M[total_M > 0, None]
    most_D = np.where(natural_D > 0, 1.0 if params.max_usage is None else params.max_usage * natural_D, 0.0)
    return np.asarray(weights_MD[(weights_MD <= np.minimum(most_D, 1.0)).all(axis=1)])


def _rounded(params: Swarm, weights_MD: Array) -> Array:
    """Drop what is below the grid, round to it; sums are made 1 again (released code leaves the rounding in)."""
    kept_MD = np.where(weights_MD < params.min_weight, 0.0, weights_MD)
    counts_MD = np.round(kept_MD / kept_MD.sum(axis=1, keepdims=True) / params.grid)
    return np.asarray(counts_MD / counts_MD.sum(axis=1, keepdims=True))


def _different(weights_MD: Array) -> Array:
    """Return the mixtures in order of their weights, without repeats."""
    ordered_MD = weights_MD[np.lexsort(weights_MD.T)]
    apart_M = np.abs(np.diff(ordered_MD, axis=0)).sum(axis=1) > _SAME
    return ordered_MD[np.concatenate([[True], apart_M])] if len(ordered_MD) else ordered_MD


def candidates(params: Swarm, natural_D: Array, source: CandidateSource, count: int, seed: int, name: str) -> Array:
    """Return at most `count` mixtures to choose from by prediction, shape [M, D]; mixtures may repeat.

    "natural" is Dirichlet(natural), as both methods' released code has it: most weight on few domains, the more so the
    less even natural is. "swarm" is what was measured: kinder to the methods, as their predictors know such mixtures.
    """
    stream = generator(seed, "search", "candidates", source, name)
    if source == "swarm":
        return _rounded(params, _accepted(params, natural_D, count, stream))
    gammas_MD = stream.gamma(np.broadcast_to(natural_D, (count, len(natural_D))))
    total_M = gammas_MD.sum(axis=1)
    return np.asarray(gammas_MD[total_M > 0] / total_M[total_M > 0, None])
