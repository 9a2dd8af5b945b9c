"""Loss of continual pre-training in parameters, tokens and ratio (Que et al., D-CPT Law, arXiv 2406.01375).

L = E + A / N^alpha + B r^eta / D^beta + C / (r + epsilon)^gamma, r the share of the training tokens that is of the corpus
whose loss L is: more of it lowers the last term and leaves less to learn from each token. For the general loss r is the
general share, for the domain's loss the domain's.
"""

import itertools
from typing import Any, Literal

import numpy as np

from tasks.core.params import Params
from tasks.laws.curve import Array, Columns, Curve, Parameter, centre, compute_effort, size_coordinates
from tasks.laws.fitting import Objective
from tasks.laws.intervals import fitted
from tasks.laws.law import LOSS, PARAMS, RATIO, TOKENS, FittedLaw, Reads, answered, ratio_coordinate
from tasks.laws.table import LawTable, require_points

READS = Reads(runs=(PARAMS, TOKENS, RATIO, LOSS), at=(PARAMS, TOKENS, RATIO))
# Stands for a ratio of 0 in r^eta, whose logarithm is taken.
_LEAST_RATIO = 1e-12


class DCpt(Params):
    """`objective` is what is minimised."""

    kind: Literal["d_cpt"] = "d_cpt"
    objective: Objective = "huber"


def fit_d_cpt(params: DCpt, runs: LawTable) -> FittedLaw:
    """Fit the law to a table of runs.

    Raises:
        EvidenceError: fewer points than parameters, one size, one number of tokens, or one ratio.
    """
    require_points(runs, params.kind, ("params", "tokens", "ratio"), 9)
    loss_R = runs.numbers["loss"]
    law = fitted(_curve(runs.numbers, loss_R), runs.numbers, loss_R, lambda: _starts(loss_R), params.objective)
    return FittedLaw(params.kind, {"loss": law}, lambda at, confidence: answered(law.predict(at.numbers, confidence)))


def _curve(columns: Columns, loss_R: Array) -> Curve:
    params, tokens = centre(columns["params"]), centre(columns["tokens"])
    ratio = float(columns["ratio"].mean())

    def values(p: Any, at: Columns) -> Any:
        share = np.log(np.maximum(at["ratio"], _LEAST_RATIO) / ratio)
        by_params = np.exp(p[1] - p[4] * np.log(at["params"] / params))
        by_tokens = np.exp(p[2] - p[5] * np.log(at["tokens"] / tokens) + p[6] * share)
        return p[0] + by_params + by_tokens + np.exp(p[3] - p[7] * (np.log(at["ratio"] + p[8]) - np.log(ratio + p[8])))

    def reported(p: Any) -> dict[str, Any]:
        log_b = p[2] + p[5] * np.log(tokens) - p[6] * np.log(ratio)
        logs = {"A": p[1] + p[4] * np.log(params), "B": log_b, "C": p[3] + p[7] * np.log(ratio + p[8])}
        exponents = {"alpha": p[4], "beta": p[5], "eta": p[6], "gamma": p[7], "epsilon": p[8]}
        return {"E": p[0], **{name: np.exp(log) for name, log in logs.items()}, **exponents}

    least = float(loss_R.min())
    searched = (
        Parameter("E", 0.0, least, 0.3 * least),
        *(Parameter(f"log {name} at the centre", -30.0, 10.0, 1.5) for name in ("A", "B", "C")),
        *(Parameter(name, 1e-3, 3.0, 0.3) for name in ("alpha", "beta")),
        Parameter("eta", 0.0, 3.0, 0.5),
        Parameter("gamma", 1e-3, 5.0, 0.5),
        Parameter("epsilon", 1e-3, 1.0, 0.2),
    )
    return Curve(searched, values, reported, _coordinates, compute_effort)


def _coordinates(columns: Columns) -> Array:
    return np.vstack([size_coordinates(columns), ratio_coordinate(columns)])


def _starts(loss_R: Array) -> list[Array]:
    least, middle = float(loss_R.min()), float(loss_R.mean())
    return [
        np.array([(1 - above) * least, *np.log([(middle - (1 - above) * least) / 3] * 3), a, b, 0.3, c, 0.1])
        for above, (a, b, c) in itertools.product((0.1, 0.5), itertools.product((0.2, 0.6), repeat=3))
    ]
