"""The problem that params state on a token pool: domains with their supply, the objective, and the constraints."""

from collections.abc import Mapping, Sequence

from tasks.core.errors import ConfigError
from tasks.mixture.config import SearchParams
from tasks.mixture.limits import limits_of
from tasks.mixture.problem import Constraint, Problem, SearchedDomain, objective_shares
from tasks.tokenize.pool import TokenPool
from tasks.training.rows import rows_of
from tasks.training.sample_counts import usable_rows
from tasks.training.segments import Layout


def problem_of(params: SearchParams, pool: TokenPool) -> Problem:
    """Return what is searched in a pool.

    Raises:
        ConfigError: the caps leave no weights, or a name in the params is no domain of the pool.
    """
    length, proxy = params.target.sequence_length, params.proxy
    # What caps are about: the rows that documents give where each is there once.
    rows, proxy_rows = (
        tuple(each.distinct for each in rows_of(pool, Layout(one), proxy.data))
        for one in (length, proxy.model.sequence_length)
    )
    if params.repetition_matched:
        proxy_rows = usable_rows(proxy_rows, min(1.0, proxy.num_tokens / params.target.tokens))
    counted = zip(pool.names, pool.tokens("train"), pool.bytes("train"), rows, proxy_rows, strict=True)
    held_out, sets = held_out_only(params, pool.names), sets_of(params, pool.names)
    return Problem(
        domains=tuple(
            SearchedDomain(name, int(tokens), int(size), own, of_proxy, trainable=name not in held_out)
            for name, tokens, size, own, of_proxy in counted
        ),
        objective=objective_of(params, sets),
        target_samples=params.target.samples,
        proxy_samples=proxy.num_samples,
        max_epochs=params.max_epochs,
        kl_to_natural=params.kl_to_natural or 0.0,
        sets=sets if params.tasks else (),
        constraints=constraints_of(params, sets),
        limits=limits_of(params.share_limits, pool.names),
    )


def sets_of(params: SearchParams, domains: Sequence[str]) -> tuple[str, ...]:
    """Return what is measured: every domain, and the scores of tasks that are named.

    Raises:
        ConfigError: a task is called as a domain is.
    """
    scores = [name for _, name in params.task_scores]
    if same := sorted({*scores, *(task.name for task in params.tasks)} & {*domains}):
        raise ConfigError(
            f"search.tasks: {same[0]} is the name of a domain of the pool too. Give the task another name."
        )
    return (*domains, *scores)


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


def _places(names: Sequence[str], named: Sequence[str] | Mapping[str, float], where: str) -> list[int]:
    if strangers := sorted({*named} - {*names}):
        raise ConfigError(
            f"{where}: {len(strangers)} of {len(named)} domains do not exist; first: {strangers[0]}. There are: "
            f"{', '.join(names)}."
        )
    return [names.index(name) for name in named]
