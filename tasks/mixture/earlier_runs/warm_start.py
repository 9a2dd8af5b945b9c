"""Warm start: what an earlier version's table of runs gives to a search.

Runs on the same data, trained and measured in the same way and with the same seed, are taken as measured: they need
not be repeated. All others (another size, an older pool, fewer domains) inform the mean: what a predictor fitted to them
says of a mixture's older domains, rescaled per held-out set to what was measured today (`tasks.mixture.earlier_runs.warm`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tasks.core.errors import DataError
from tasks.mixture.earlier_runs.prediction import EarlierPrediction, Outputs
from tasks.mixture.earlier_runs.warm import Warm
from tasks.mixture.predictors.choose import MIN_RUNS, Selection, choose
from tasks.mixture.predictors.predictor import Measured
from tasks.mixture.runs import LossUnit, ProxyRun, RunTable

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CurrentSearch:
    """What a search measures now: its domains, its held-out sets with their shares of the objective, and its runs."""

    domains: tuple[str, ...]
    sets: tuple[str, ...]
    objective: tuple[float, ...]
    unit: LossUnit
    data: str
    seed: int
    model_parameters: int
    tokens: int


@dataclass(frozen=True)
class UsableRuns:
    """What an earlier table gives: runs that count `as_measured`, in today's domains, and runs that `inform` the mean.

    `informing` have one size, one seed and one digest of data: those of which there are most.
    """

    as_measured: RunTable
    informing: RunTable


def usable_runs(earlier: RunTable, current: CurrentSearch, where: str) -> UsableRuns:
    """Return what an earlier table gives to the runs of the `current` search; `where` it stands, for messages.

    Raises:
        DataError: the table has no run, or no domain in common with today's.
    """
    if not earlier.rows or not set(earlier.domains) & set(current.domains):
        raise DataError(
            f"{where}: an earlier table must have runs, and domains of this search; this one has {len(earlier.rows)} "
            f"runs, and its domains are {', '.join(earlier.domains)}. Name another one, or none."
        )
    gone = [place for place, name in enumerate(earlier.domains) if name not in current.domains]
    same = [
        row
        for row in earlier.rows
        if _group(row) == (current.data, current.seed, (current.model_parameters, current.tokens))
        and current.data
        and not any(row.weights[place] for place in gone)
    ]
    if earlier.unit != current.unit or not set(current.sets) <= set(earlier.sets):
        same = []
    rest = [row for row in earlier.rows if row not in same]
    groups = Counter(map(_group, rest))
    # Of groups of one size the first in the table counts.
    most = max(groups, key=lambda group: groups[group]) if groups else None
    measured = tuple(_translated(row, earlier, current) for row in same)
    return UsableRuns(
        RunTable(current.domains, current.sets, current.unit, measured),
        replace(earlier, rows=tuple(row for row in rest if _group(row) == most)),
    )


def earlier_prediction(
    predictor: Outputs, table: RunTable, domains: Sequence[str], sets: Sequence[str]
) -> EarlierPrediction:
    """Return a predictor of the runs of an earlier table as something that can be asked about today's mixtures."""
    old_domains, old_sets = list(table.domains), list(table.sets)
    return EarlierPrediction(
        predictor,
        tuple(old_domains.index(name) if name in old_domains else -1 for name in domains),
        tuple(old_sets.index(name) if name in old_sets else -1 for name in sets),
        tuple(table.weights_RD().mean(axis=0).tolist()),
    )


def informed(
    selection: Selection, table: RunTable, current: CurrentSearch
) -> tuple[Selection, EarlierPrediction | None]:
    """Return the selection with `warm` among its predictors, and what it asks; both as they were for too few runs.

    A predictor is chosen for the runs of the earlier table as for any other, on the mean of the held-out sets that today's
    search has as well.
    """
    shared = [name in current.sets for name in table.sets]
    if len(table.rows) < MIN_RUNS or not any(shared):
        return selection, None
    objective_O = np.array(shared, dtype=np.float64) / sum(shared)
    predictor = choose(selection, Measured(table.weights_RD(), table.losses_RS(), objective_O)).predictor
    zoo = selection.zoo if any(isinstance(member, Warm) for member in selection.zoo) else (*selection.zoo, Warm())
    return selection.model_copy(update={"zoo": zoo}), earlier_prediction(
        predictor, table, current.domains, current.sets
    )


def best_before(prediction: EarlierPrediction, table: RunTable, current: CurrentSearch) -> Array:
    """Return the mixture of the earlier table that is predicted to be the best, in today's domains, shape [D].

    Its relative shares are what `reuse` freezes. Scored by the prediction, not by its own lucky result; what it had on
    domains that are gone goes to the others in proportion.
    """
    places = [table.domains.index(name) if name in table.domains else -1 for name in current.domains]
    rows_RD = np.where(np.array(places) >= 0, table.weights_RD()[:, places], 0.0)
    rows_RD = rows_RD[rows_RD.sum(axis=1) > 0]
    rows_RD = rows_RD / rows_RD.sum(axis=1, keepdims=True)
    return np.asarray(rows_RD[int(np.argmin(prediction.outputs(rows_RD) @ np.array(current.objective)))])


def _weights(row: ProxyRun, table: RunTable, current: CurrentSearch) -> tuple[float, ...]:
    weights = dict(zip(table.domains, row.weights, strict=True))
    return tuple(weights.get(name, 0.0) for name in current.domains)


def _group(row: ProxyRun) -> tuple[str, int, tuple[int, int]]:
    return row.data, row.seed, row.fidelity


def _translated(row: ProxyRun, earlier: RunTable, current: CurrentSearch) -> ProxyRun:
    """Return a run in today's domains and held-out sets; a new domain had no weight."""
    losses = dict(zip(earlier.sets, row.losses, strict=True))
    kept = tuple(losses[name] for name in current.sets)
    objective = sum(share * loss for share, loss in zip(current.objective, kept, strict=True))
    return replace(row, weights=_weights(row, earlier, current), losses=kept, objective=objective)
