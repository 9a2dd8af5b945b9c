"""Warm start: what an earlier version's table of runs gives to a search.

Runs on the same data, trained and measured in the same way and with the same seed, are taken as measured: they need
not be repeated. All others (another size, an older pool, fewer domains) inform the mean: what a predictor fitted to them
says of a mixture's older domains, rescaled per held-out set to what was measured today (`tasks.mixture.predictors.warm`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tasks.core.errors import DataError
from tasks.mixture.predictors.earlier import Earlier, Outputs
from tasks.mixture.runs import Run, Runs, Unit


@dataclass(frozen=True)
class Wanted:
    """What a search measures now: its domains, its held-out sets with their shares of the objective, and its runs."""

    domains: tuple[str, ...]
    sets: tuple[str, ...]
    objective: tuple[float, ...]
    unit: Unit
    data: str
    seed: int
    model_parameters: int
    tokens: int


@dataclass(frozen=True)
class Taken:
    """What an earlier table gives: runs that count `as_measured`, in today's domains, and runs that `inform` the mean.

    `informing` have one size, one seed and one digest of data: those of which there are most.
    """

    as_measured: Runs
    informing: Runs


def taken(earlier: Runs, wanted: Wanted, where: str) -> Taken:
    """Return what an earlier table gives to the runs that are `wanted` now; `where` it stands, for messages.

    Raises:
        DataError: the table has no run, or no domain in common with today's.
    """
    if not earlier.rows or not set(earlier.domains) & set(wanted.domains):
        raise DataError(
            f"{where}: an earlier table must have runs, and domains of this search; this one has {len(earlier.rows)} "
            f"runs, and its domains are {', '.join(earlier.domains)}. Name another one, or none."
        )
    gone = [place for place, name in enumerate(earlier.domains) if name not in wanted.domains]
    same = [
        row
        for row in earlier.rows
        if _group(row) == (wanted.data, wanted.seed, (wanted.model_parameters, wanted.tokens))
        and wanted.data
        and not any(row.weights[place] for place in gone)
    ]
    if earlier.unit != wanted.unit or not set(wanted.sets) <= set(earlier.sets):
        same = []
    rest = [row for row in earlier.rows if row not in same]
    groups = Counter(map(_group, rest))
    # Of groups of one size the first in the table counts.
    most = max(groups, key=lambda group: groups[group]) if groups else None
    measured = tuple(_translated(row, earlier, wanted) for row in same)
    return Taken(
        Runs(wanted.domains, wanted.sets, wanted.unit, measured),
        replace(earlier, rows=tuple(row for row in rest if _group(row) == most)),
    )


def earlier_of(predictor: Outputs, table: Runs, domains: Sequence[str], sets: Sequence[str]) -> Earlier:
    """Return a predictor of the runs of an earlier table as something that can be asked about today's mixtures."""
    old_domains, old_sets = list(table.domains), list(table.sets)
    return Earlier(
        predictor,
        tuple(old_domains.index(name) if name in old_domains else -1 for name in domains),
        tuple(old_sets.index(name) if name in old_sets else -1 for name in sets),
        tuple(table.weights_RD().mean(axis=0).tolist()),
    )


def _weights(row: Run, table: Runs, wanted: Wanted) -> tuple[float, ...]:
    weights = dict(zip(table.domains, row.weights, strict=True))
    return tuple(weights.get(name, 0.0) for name in wanted.domains)


def _group(row: Run) -> tuple[str, int, tuple[int, int]]:
    return row.data, row.seed, row.fidelity


def _translated(row: Run, earlier: Runs, wanted: Wanted) -> Run:
    """Return a run in today's domains and held-out sets; a new domain had no weight."""
    losses = dict(zip(earlier.sets, row.losses, strict=True))
    kept = tuple(losses[name] for name in wanted.sets)
    objective = sum(share * loss for share, loss in zip(wanted.objective, kept, strict=True))
    return replace(row, weights=_weights(row, earlier, wanted), losses=kept, objective=objective)
