"""Pruning: which clusters are good enough, by the means of their documents' scores. Axis: K clusters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, assert_never

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tasks.core.errors import ConfigError
from tasks.core.params import Params

Floats = npt.NDArray[np.float64]


class QuantilePrune(Params):
    """Drop clusters whose mean quality lies below a quantile of the clusters' means."""

    kind: Literal["quantile"] = "quantile"
    quality_column: str = "quality"
    prune_quantile: float = Field(default=0.1, gt=0, lt=1)


class ThresholdPrune(Params):
    """Keep clusters whose mean reaches every minimum: the rule of CLIMB (arXiv 2504.13161), for those who have scorers.

    CLIMB's paper asks for 3.0 on a scale of 0 to 5; its published code for 2.0 (advertisement) and 1.0 (the others).
    """

    kind: Literal["thresholds"]
    minimum_means: Mapping[str, float] = Field(min_length=1, description="score column: smallest mean of a cluster")


Prune = Annotated[QuantilePrune | ThresholdPrune, Field(discriminator="kind")]


@dataclass(frozen=True)
class PruneReason:
    """Why a cluster was pruned: its mean of a column, and what the mean had to reach."""

    column: str
    mean: float
    minimum: float


def columns(config: Prune | None) -> tuple[str, ...]:
    """Return the columns of scores that the decision needs."""
    match config:
        case None:
            return ()
        case QuantilePrune():
            return (config.quality_column,)
        case ThresholdPrune():
            return tuple(sorted(config.minimum_means))
        case _:
            assert_never(config)


def pruned(config: Prune | None, means_K: Mapping[str, Floats]) -> dict[int, PruneReason]:
    """Return the clusters to drop, each with its reason; `means_K` has one array per column of `columns`.

    Raises:
        ConfigError: no cluster would be left; says how the best of them does.
    """
    match config:
        case None:
            return {}
        case QuantilePrune():
            column = config.quality_column
            minima = {column: float(np.quantile(means_K[column], config.prune_quantile))}
        case ThresholdPrune():
            minima = dict(config.minimum_means)
        case _:
            assert_never(config)
    reasons = _below(means_K, minima)
    if reasons and len(reasons) == len(next(iter(means_K.values()))):
        best = ", ".join(
            f"{column}: {np.max(means_K[column]):.4g} for at least {minima[column]:.4g}" for column in minima
        )
        raise ConfigError(
            f"cluster.domains.prune: all {len(reasons)} clusters fall below a minimum mean; the best mean is {best}. "
            "Lower the minima."
        )
    return reasons


def _below(means_K: Mapping[str, Floats], minima: Mapping[str, float]) -> dict[int, PruneReason]:
    reasons: dict[int, PruneReason] = {}
    for column in sorted(minima):
        for cluster, mean in enumerate(means_K[column]):
            if not mean >= minima[column]:
                reasons.setdefault(cluster, PruneReason(column, float(mean), minima[column]))
    return dict(sorted(reasons.items()))
