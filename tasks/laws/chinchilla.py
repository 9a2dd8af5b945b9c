"""Loss in parameters N and tokens D: L = E + A / N^alpha + B / D^beta (Hoffmann et al., arXiv 2203.15556, equation 2).

Three fits: `huber` as published (their appendix D.3: Huber's function of the log loss), `log_squares`, and `squares` of the
loss.
"""

import itertools
from typing import Any, Literal

import numpy as np

from tasks.core.params import Params
from tasks.laws.curve import Array, Columns, Curve, Parameter, centre, compute_effort, size_coordinates
from tasks.laws.fitting import Objective
from tasks.laws.intervals import fitted
from tasks.laws.law import LOSS, PARAMS, TOKENS, FittedLaw, Reads, answered
from tasks.laws.table import LawTable, require_points

READS = Reads(runs=(PARAMS, TOKENS, LOSS), at=(PARAMS, TOKENS))
# Where the search begins: exponents, and the share that the loss of the largest model is taken to be above E.
_EXPONENTS, _ABOVE = (0.2, 0.4, 0.8), (0.1, 0.5)


class Chinchilla(Params):
    """`objective` is what is minimised."""

    kind: Literal["chinchilla"] = "chinchilla"
    objective: Objective = "huber"


def fit_chinchilla(params: Chinchilla, runs: LawTable) -> FittedLaw:
    """Fit the law to a table of runs.

    Raises:
        EvidenceError: fewer points than parameters, one size, or one number of tokens.
    """
    require_points(runs, params.kind, ("params", "tokens"), 5)
    columns, loss_R = runs.numbers, runs.numbers["loss"]
    curve = chinchilla_curve(columns, loss_R)
    law = fitted(curve, columns, loss_R, lambda: chinchilla_starts(loss_R), params.objective)
    return FittedLaw(params.kind, {"loss": law}, lambda at, confidence: answered(law.predict(at.numbers, confidence)))


def chinchilla_curve(columns: Columns, loss_R: Array) -> Curve:
    """Return the law, searched as E, and the logarithms of both terms at the middle of the points with their exponents."""
    params, tokens = centre(columns["params"]), centre(columns["tokens"])

    def values(p: Any, at: Columns) -> Any:
        by_params = np.exp(p[1] - p[3] * np.log(at["params"] / params))
        return p[0] + by_params + np.exp(p[2] - p[4] * np.log(at["tokens"] / tokens))

    def reported(p: Any) -> dict[str, Any]:
        scale = np.exp(p[1] + p[3] * np.log(params)), np.exp(p[2] + p[4] * np.log(tokens))
        return {"E": p[0], "A": scale[0], "B": scale[1], "alpha": p[3], "beta": p[4]}

    least = float(loss_R.min())
    searched = (
        Parameter("E", 0.0, least, 0.3 * least),
        *(Parameter(f"log {name} at the centre", -30.0, 10.0, 1.5) for name in ("A", "B")),
        *(Parameter(name, 1e-3, 3.0, 0.3) for name in ("alpha", "beta")),
    )
    return Curve(searched, values, reported, size_coordinates, compute_effort)


def chinchilla_starts(loss_R: Array) -> list[Array]:
    """Return where the search begins."""
    least, middle = float(loss_R.min()), float(np.exp(np.log(loss_R).mean()))
    return [
        np.array([(1 - above) * least, *np.log([(middle - (1 - above) * least) / 2] * 2), *exponents])
        for above, exponents in itertools.product(_ABOVE, itertools.product(_EXPONENTS, repeat=2))
    ]
