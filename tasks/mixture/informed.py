"""What a search makes of an earlier version's runs: a predictor more in its zoo, and the mixture that was the best then."""

import numpy as np
import numpy.typing as npt

from tasks.mixture.predictors.choose import MIN_RUNS, Selection, choose
from tasks.mixture.predictors.earlier import Earlier
from tasks.mixture.predictors.predictor import Measured
from tasks.mixture.predictors.warm import Warm
from tasks.mixture.runs import Runs
from tasks.mixture.warm_start import Wanted, earlier_of

Array = npt.NDArray[np.float64]


def informed(selection: Selection, table: Runs, wanted: Wanted) -> tuple[Selection, Earlier | None]:
    """Return the selection with `warm` among its predictors, and what it asks; both as they were for too few runs.

    A predictor is chosen for the runs of the earlier table as for any other, on the mean of the held-out sets that today's
    search has as well.
    """
    shared = [name in wanted.sets for name in table.sets]
    if len(table.rows) < MIN_RUNS or not any(shared):
        return selection, None
    objective_O = np.array(shared, dtype=np.float64) / sum(shared)
    told = choose(selection, Measured(table.weights_RD(), table.losses_RS(), objective_O)).predictor
    zoo = selection.zoo if any(isinstance(member, Warm) for member in selection.zoo) else (*selection.zoo, Warm())
    return selection.model_copy(update={"zoo": zoo}), earlier_of(told, table, wanted.domains, wanted.sets)


def best_before(asked: Earlier, table: Runs, wanted: Wanted) -> Array:
    """Return the mixture of the earlier table that is predicted to be the best, in today's domains, shape [D].

    Its relative shares are what `tasks.mixture.reuse` freezes. Scored by the prediction, not by its own lucky result; what
    it had on domains that are gone goes to the others in proportion.
    """
    places = [table.domains.index(name) if name in table.domains else -1 for name in wanted.domains]
    rows_RD = np.where(np.array(places) >= 0, table.weights_RD()[:, places], 0.0)
    rows_RD = rows_RD[rows_RD.sum(axis=1) > 0]
    rows_RD = rows_RD / rows_RD.sum(axis=1, keepdims=True)
    return np.asarray(rows_RD[int(np.argmin(asked.outputs(rows_RD) @ np.array(wanted.objective)))])
