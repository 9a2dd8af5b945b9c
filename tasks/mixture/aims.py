"""What a search wants of domains and held-out sets, by name in the params, as shares and places."""

from collections.abc import Mapping, Sequence

from tasks.core.errors import ConfigError
from tasks.mixture.config import SearchParams
from tasks.mixture.problem import Constraint, objective_shares


def objective_of(params: SearchParams, sets: Sequence[str]) -> tuple[float, ...]:
    """Return every held-out set's share of what is searched: the objective's, or the mean of several objectives'.

    Raises:
        ConfigError: a set that is named does not exist, or nothing counts.
    """
    if params.objectives is None:
        return objective_shares(sets, params.objective)
    each = [objective_shares(sets, shares) for shares in params.objectives.values()]
    return tuple(sum(shares) / len(each) for shares in zip(*each, strict=True))


def constraints_of(params: SearchParams, sets: Sequence[str]) -> tuple[Constraint, ...]:
    """Return how much held-out sets may lose at most.

    Raises:
        ConfigError: a set that is named does not exist.
    """
    places = _places(sets, params.max_increase, "search.max_increase")
    return tuple(Constraint(place, most) for place, most in zip(places, params.max_increase.values(), strict=True))


def held_out_only(params: SearchParams, domains: Sequence[str]) -> frozenset[str]:
    """Return the domains that no mixture gives a weight.

    Raises:
        ConfigError: a domain that is named does not exist.
    """
    _places(domains, params.held_out_only, "search.held_out_only")
    return frozenset(params.held_out_only)


def _places(names: Sequence[str], wanted: Sequence[str] | Mapping[str, float], where: str) -> list[int]:
    if strangers := sorted({*wanted} - {*names}):
        raise ConfigError(
            f"{where}: {len(strangers)} of {len(wanted)} domains do not exist; first: {strangers[0]}. There are: "
            f"{', '.join(names)}."
        )
    return [names.index(name) for name in wanted]
