"""Limits on what several domains may have together: a licence tier at most so much of a run, a language at least so much.

No domain is in two limits, so that weights are brought within them in closed form: first what each set has, then what its
domains have of that. Axes: M mixtures, D domains, G sets with a limit and the rest as the last one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from tasks.core.errors import ConfigError
from tasks.core.params import Params

Array = npt.NDArray[np.float64]
Share = Annotated[float, Field(ge=0, le=1)]

# How far rounding of floats may take a sum beyond its limit.
_EXACT = 1e-9
# What a set without any weight begins to grow from.
_TRACE = 1e-9


class ShareLimit(Params):
    """What the domains of these names or patterns (`news-*`) have of the tokens of a run together."""

    domains: Annotated[tuple[str, ...], Field(min_length=1)]
    at_least: Share = 0.0
    at_most: Share = 1.0

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.at_least > self.at_most:
            raise ValueError(f"at_least is {self.at_least:g} and at_most {self.at_most:g}: no mixture has both.")
        if self.at_least == 0 and self.at_most == 1:
            raise ValueError("give at_least, at_most, or both.")
        return self


@dataclass(frozen=True)
class Limit:
    """A set of domains, by their places, and what they may have together."""

    name: str
    members: tuple[int, ...]
    at_least: float
    at_most: float


def limits_of(given: Mapping[str, ShareLimit], names: Sequence[str]) -> tuple[Limit, ...]:
    """Return the limits on these domains.

    Raises:
        ConfigError: a pattern matches no domain, or a domain is in two limits.
    """
    found, taken = [], dict[str, str]()
    # In the order of names: that of a mapping is no part of what params are.
    for name, limit in sorted(given.items()):
        if idle := [one for one in limit.domains if not any(fnmatchcase(domain, one) for domain in names)]:
            raise ConfigError(
                f"search.share_limits.{name}: {idle[0]!r} matches no domain. There are: {', '.join(names)}."
            )
        mine = [domain for domain in names if any(fnmatchcase(domain, one) for one in limit.domains)]
        if twice := [domain for domain in mine if domain in taken]:
            raise ConfigError(
                f"search.share_limits: {twice[0]} is in {taken[twice[0]]} and in {name}. Limits on sets that share a domain "
                "are not there: take it out of one of them."
            )
        taken |= dict.fromkeys(mine, name)
        found.append(Limit(name, tuple(map(names.index, mine)), limit.at_least, limit.at_most))
    return tuple(found)


def require_room(limits: Sequence[Limit], caps_D: Array) -> None:
    """Check that there are weights within the limits and under the caps.

    Raises:
        ConfigError: there are none; says why.
    """
    if not limits:
        return
    least_G, most_G = _bounds(limits, caps_D)
    for limit, least, most in zip(limits, least_G, most_G, strict=False):
        if least > most + _EXACT:
            raise ConfigError(
                f"search.share_limits.{limit.name} asks for at least {limit.at_least:g}, but its domains have text for "
                f"{most:.4f} of the run. Train on fewer tokens, raise max_epochs, or lower at_least."
            )
    if least_G.sum() > 1 + _EXACT or most_G.sum() < 1 - _EXACT:
        raise ConfigError(
            f"search.share_limits: no mixture keeps to them: at least {least_G.sum():.4f} is asked for, at most "
            f"{most_G.sum():.4f} can be had. Change at_least or at_most."
        )


def holds(limits: Sequence[Limit], weights_MD: Array) -> npt.NDArray[np.bool_]:
    """Return for each mixture whether it keeps to all limits, shape [M]."""
    within_M = np.ones(len(weights_MD), np.bool_)
    for limit in limits:
        sum_M = weights_MD[:, list(limit.members)].sum(axis=1)
        within_M &= (sum_M >= limit.at_least - _EXACT) & (sum_M <= limit.at_most + _EXACT)
    return within_M


def shares_told(limits: Sequence[Limit], weights: Sequence[float]) -> list[str]:
    """Return a sentence per limit: what its domains have together, and what they may.

    >>> shares_told([Limit("open", (0, 1), 0.5, 1.0)], (0.25, 0.5, 0.25))
    ['open: 2 domain(s) have 0.7500 of the run together, at least 0.5 and at most 1']
    """
    return [
        f"{one.name}: {len(one.members)} domain(s) have {sum(weights[place] for place in one.members):.4f} of the run "
        f"together, at least {one.at_least:g} and at most {one.at_most:g}"
        for one in limits
    ]


def admitted(limits: Sequence[Limit], caps_D: Array, weights_MD: Array) -> Array:
    """Return mixtures under the caps brought within the limits, shape [M, D]; what keeps to them stays as it is.

    Sets get weight in proportion to what they have, none below or above its limits; in a set weights stay in proportion,
    none above its cap.
    """
    broken = np.flatnonzero(~holds(limits, weights_MD))
    if not len(broken):
        return weights_MD
    found_MD = weights_MD.copy()
    found_MD[broken] = _brought_in(limits, caps_D, weights_MD[broken])
    return found_MD


def gridded_within(limits: Sequence[Limit], weights_D: Array, caps_D: Array, grid: int) -> Array:
    """Return weights within the limits on a grid of 1/`grid`, within them still; where no place on it is, as they are."""
    least_G, most_G = _bounds(limits, caps_D)
    sets = _sets(limits, len(caps_D))
    most_D = np.floor(caps_D * grid + 1e-9)
    low_G = np.ceil(least_G * grid - 1e-6)
    high_G = np.array(
        [min(np.floor(most * grid + 1e-6), most_D[own].sum()) for most, own in zip(most_G, sets, strict=True)]
    )
    if (low_G > high_G).any() or low_G.sum() > grid or high_G.sum() < grid:
        return weights_D
    exact_G = np.array([weights_D[own].sum() for own in sets]) * grid
    counts_G = _apportioned(exact_G, low_G, high_G, grid)
    counts_D = np.zeros(len(caps_D))
    for own, count in zip(sets, counts_G, strict=True):
        exact = weights_D[own] * grid
        counts_D[own] = _apportioned(exact, np.zeros(len(own)), most_D[own], int(count))
    return counts_D / grid


def _apportioned(exact: Array, low: Array, high: Array, total: int) -> Array:
    """Return whole numbers near `exact` that sum to `total`, each from `low` to `high`: the farthest off moves first."""
    counts = np.clip(np.floor(exact + 1e-9), low, high)
    while (missing := int(total - counts.sum())) != 0:
        step = 1 if missing > 0 else -1
        free = np.flatnonzero(counts < high if step > 0 else counts > low)
        order = free[np.argsort(-step * (exact - counts)[free], kind="stable")]
        counts[order[: abs(missing)]] += step
    return counts


def _sets(limits: Sequence[Limit], domains: int) -> list[npt.NDArray[np.int64]]:
    """Return the domains of every set, those without a limit as the last one."""
    limited = [np.array(limit.members, np.int64) for limit in limits]
    rest = np.setdiff1d(np.arange(domains), np.concatenate([*limited, np.zeros(0, np.int64)]))
    return [*limited, rest.astype(np.int64)]


def _bounds(limits: Sequence[Limit], caps_D: Array) -> tuple[Array, Array]:
    """Return the least and the most that every set may have, shape [G] each."""
    rooms = [min(1.0, float(caps_D[own].sum())) for own in _sets(limits, len(caps_D))]
    least = [*(limit.at_least for limit in limits), 0.0]
    most = [min(limit.at_most, room) for limit, room in zip(limits, rooms, strict=False)]
    return np.array(least), np.array([*most, rooms[-1]])


def _brought_in(limits: Sequence[Limit], caps_D: Array, weights_MD: Array) -> Array:
    least_G, most_G = _bounds(limits, caps_D)
    sets = _sets(limits, len(caps_D))
    traced_MD = weights_MD + _TRACE * np.minimum(caps_D, 1.0)
    sums_MG = np.stack([traced_MD[:, own].sum(axis=1) for own in sets], axis=1)
    totals_MG = _levelled(sums_MG, least_G, most_G)
    found_MD = np.zeros_like(weights_MD)
    for number, own in enumerate(sets):
        if len(own):
            found_MD[:, own] = _shared(traced_MD[:, own], caps_D[own], totals_MG[:, number])
    return found_MD


def _levelled(sums_MG: Array, least_G: Array, most_G: Array) -> Array:
    """Return clip(level x sum, least, most) with the level at which a mixture sums to 1, shape [M, G].

    What a level gives is linear between the levels at which a set meets one of its limits.
    """
    rows = np.arange(len(sums_MG))
    safe_MG = np.maximum(sums_MG, 1e-300)
    levels_MP = np.sort(np.concatenate([least_G / safe_MG, most_G / safe_MG], axis=1), axis=1)
    totals_MP = np.clip(levels_MP[:, :, None] * sums_MG[:, None, :], least_G, most_G).sum(axis=2)
    before = np.clip((totals_MP <= 1).sum(axis=1) - 1, 0, levels_MP.shape[1] - 2)
    low_M, rise_M = totals_MP[rows, before], totals_MP[rows, before + 1] - totals_MP[rows, before]
    part_M = np.where(rise_M > 0, (1 - low_M) / np.where(rise_M > 0, rise_M, 1.0), 0.0)
    level_M = levels_MP[rows, before] + part_M * (levels_MP[rows, before + 1] - levels_MP[rows, before])
    return np.asarray(np.clip(level_M[:, None] * sums_MG, least_G, most_G))


def _shared(shares_MD: Array, caps_D: Array, totals_M: Array) -> Array:
    """Return weights in proportion to shares that sum to each total, none above its cap, shape [M, D]."""
    full_MD = np.zeros(shares_MD.shape, np.bool_)
    while True:
        free_M = totals_M - np.where(full_MD, caps_D, 0.0).sum(axis=1)
        open_MD = np.where(full_MD, 0.0, shares_MD)
        level_M = free_M / np.maximum(open_MD.sum(axis=1), 1e-300)
        found_MD = np.where(full_MD, caps_D, open_MD * level_M[:, None])
        over_MD = ~full_MD & (found_MD > caps_D)
        if not over_MD.any():
            return np.asarray(found_MD)
        full_MD |= over_MD
