"""Who is ranked: every selector at every keep rate, the random twin of each rate, and the random selectors beside it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tasks.core.errors import ConfigError
from tasks.core.params import validate
from tasks.core.rng import seed_of
from tasks.curate.combined.kinds import Combined
from tasks.curate.config import CurateParams
from tasks.curate.scorers.kinds import Scorer, columns_of
from tasks.curate.scorers.random_order import RandomOrder
from tasks.leaderboard.config import NULLS, TWIN, LeaderboardParams
from tasks.leaderboard.published import Role

PROFILE = "selected"
_KEEP = re.compile(r"(?:(\d+|\d*\.\d+)\s*([+-])\s*)?keep(?:\s*/\s*(\d+))?")


@dataclass(frozen=True)
class Entrant:
    """A selection of documents: whose, at which keep rate, and as what it takes part.

    What is drawn at random is drawn anew for every seed, so that no draw's luck is taken for an effect.
    """

    name: str
    selector: str
    keep: float
    role: Role
    select: tuple[Mapping[str, Any], ...]
    scorers: tuple[Scorer, ...] = ()
    combined: tuple[Combined, ...] = ()

    @property
    def twin(self) -> str:
        """The name of the random selection of the same rate."""
        return entrant_name(TWIN, self.keep)

    def pool(self, seed: int) -> str:
        """Return the name of what it selects for a seed."""
        return self.name if self.role == "selector" else f"{self.name}-draw{seed}"

    def curate(self, seed: int) -> CurateParams:
        """Return how it selects for a seed.

        Raises:
            ConfigError: its `select` is none, or names a score that no scorer gives.
        """
        order = RandomOrder(name=self.selector, seed=seed_of(seed, "drawn", self.selector) % 2**63)
        scorers = self.scorers if self.role == "selector" else (order,)
        values = {
            "scorers": [scorer.model_dump() for scorer in scorers],
            "combined": [one.model_dump() for one in self.combined],
            "profiles": {PROFILE: {"select": [at_rate(selection, self.keep) for selection in self.select]}},
            "profile": PROFILE,
            "duplicates": None,
        }
        return validate(CurateParams, values, f"selectors, {self.selector} at keep {self.keep:g}")


def entrant_name(selector: str, keep: float) -> str:
    """Return the name of a selector at a keep rate.

    >>> entrant_name("dsir", 0.1), entrant_name("dsir", 0.025)
    ('dsir-10', 'dsir-2_5')
    """
    return f"{selector}-{f'{100 * keep:.6g}'.replace('.', '_')}"


def entrants(params: LeaderboardParams) -> tuple[Entrant, ...]:
    """Return all of them, rate by rate, the random twin first.

    Raises:
        ConfigError: a selector is none, names no score that there is, or keeps the same at every rate.
    """
    return tuple(one for keep in params.keep for one in _at(params, keep))


def _at(params: LeaderboardParams, keep: float) -> Iterator[Entrant]:
    for name in (TWIN, *NULLS):
        select = {"kind": "quantiles", "score": name, "low": "1 - keep"}
        yield Entrant(entrant_name(name, keep), name, keep, "twin" if name == TWIN else "null", (select,))
    for one in params.selectors:
        if not any(_mentions(selection) for selection in one.select):
            raise ConfigError(
                f"selectors, {one.name}: nothing in its `select` says `keep`, so it has no keep rate. Write "
                "`low: 1 - keep` in place of a number."
            )
        entrant = Entrant(
            entrant_name(one.name, keep), one.name, keep, "selector", one.select, params.scorers, params.combined
        )
        entrant.curate(params.seed)
        yield _with_what_it_needs(entrant)


def _with_what_it_needs(entrant: Entrant) -> Entrant:
    """Return an entrant without the scores that it does not select by: another one would have it made again."""
    named = {*_strings(entrant.select)}
    combined = tuple(one for one in entrant.combined if one.name in named)
    named |= {score for one in combined for score in one.weights}
    scorers = tuple(one for one in entrant.scorers if named & {*columns_of(one)})
    return replace(entrant, scorers=scorers, combined=combined)


def at_rate(value: Any, keep: float) -> Any:
    """Return a selection with numbers where it says `keep`.

    >>> at_rate({"low": "1 - keep", "bands": ["0.5 - keep / 2", "keep"]}, 0.2)
    {'low': 0.8, 'bands': [0.4, 0.2]}
    """
    match value:
        case str():
            return value if (found := _KEEP.fullmatch(value.strip())) is None else _number(found, keep)
        case Mapping():
            return {key: at_rate(inner, keep) for key, inner in value.items()}
        case list() | tuple():
            return [at_rate(inner, keep) for inner in value]
    return value


def _number(found: re.Match[str], keep: float) -> float:
    first, sign, divisor = found.groups()
    part = keep / int(divisor or 1)
    # Rounded, so that 1 - 0.1 is the 0.9 that a person would write.
    return round(float(first or 0) + (-part if sign == "-" else part), 12)


def _mentions(value: Any) -> bool:
    return any(_KEEP.fullmatch(text.strip()) for text in _strings(value))


def _strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for inner in value.values():
                yield from _strings(inner)
        case list() | tuple():
            for inner in value:
                yield from _strings(inner)
