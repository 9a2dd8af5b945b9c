"""How many times the tokens, or the compute, a random twin needs to reach the loss of a run.

A random twin is trained with the same recipe on as many tokens drawn at random from the same pool. Its loss over its own
budgets follows L = E + A / x^a in tokens or compute x (three or more budgets). Where a run's loss lies on that curve between
the budgets measured, the multiplier is that x over the run's own. Elsewhere it is beyond range: the curve is not carried on,
as a multiplier read off an asymptote is whatever the asymptote is taken to be.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from tasks.core.errors import EvidenceError
from tasks.laws.curve import Array, Columns, Curve, Parameter, centre
from tasks.laws.intervals import fitted
from tasks.laws.law import LOSS, TOKENS
from tasks.laws.table import POSITIVE, Column, LawTable, require_points

By = Literal["tokens", "compute"]
Range = Literal["within", "beyond range: better than the twin", "beyond range: worse than the twin"]

_PARAMS = Column("params", "parameters of the model; needed for compute", POSITIVE, required=False)
COLUMNS = (_PARAMS, TOKENS, LOSS)
WRITTEN = ("multiplier", "lower", "upper", "range")
_GRID = 2001


@dataclass(frozen=True)
class Multiplier:
    """Of one run, with its interval. None: beyond what the twin measured, on the side that `range` says."""

    value: float | None
    lower: float | None
    upper: float | None
    range: Range

    def cells(self) -> tuple[str, ...]:
        """Return these as text; what is not known is empty."""
        numbers = ("" if value is None else repr(value) for value in (self.value, self.lower, self.upper))
        return (*numbers, self.range)


def multipliers(runs: LawTable, twin: LawTable, by: By, confidence: float) -> list[Multiplier]:
    """Return the multiplier of every run.

    Raises:
        EvidenceError: the twin has fewer than three budgets, by tokens the models differ in size, or by compute a table has
            no params.
    """
    budget_R, twin_R = _budgets(runs, by), _budgets(twin, by)
    if by == "tokens":
        _require_one_size(runs, twin)
    require_points(replace(twin, numbers={"budget": twin_R}), f"of the twin's loss in {by}", ("budget",), 3)
    law = fitted(
        _curve(twin_R, twin.numbers["loss"]), {"budget": twin_R}, twin.numbers["loss"], _starts(twin), "squares"
    )
    grid = np.geomspace(twin_R.min(), twin_R.max(), _GRID)
    found = law.predict({"budget": grid}, confidence)
    curves = (found.prediction_R, found.lower_R, found.upper_R)
    pairs = zip(runs.numbers["loss"].tolist(), budget_R.tolist(), strict=True)
    return [_multiplier(loss, budget, grid, curves) for loss, budget in pairs]


def _budgets(table: LawTable, by: By) -> Array:
    if by == "tokens":
        return table.numbers["tokens"]
    if "params" not in table.numbers:
        raise EvidenceError(
            f"{table.path}: without a column `params` its compute is not known. Add it, or ask --by tokens."
        )
    return 6 * table.numbers["params"] * table.numbers["tokens"]


def _require_one_size(runs: LawTable, twin: LawTable) -> None:
    sizes = {size for table in (runs, twin) if "params" in table.numbers for size in table.numbers["params"].tolist()}
    if len(sizes) > 1:
        told = ", ".join(f"{size:g}" for size in sorted(sizes))
        raise EvidenceError(
            f"{runs.path} and {twin.path} have models of {len(sizes)} sizes ({told} "
            "parameters), so tokens alone do not say which run cost more. Give one size at a time, or ask --by compute."
        )


def _curve(budget_R: Array, loss_R: Array) -> Curve:
    middle, least = centre(budget_R), float(loss_R.min())

    def values(p: Any, at: Columns) -> Any:
        return p[0] + np.exp(p[1] - p[2] * np.log(at["budget"] / middle))

    searched = (
        Parameter("E", 0.0, least, 0.3 * least),
        Parameter("log A at the centre", -30.0, 10.0, 1.5),
        Parameter("a", 1e-3, 3.0, 0.3),
    )
    return Curve(
        searched,
        values,
        lambda p: {"E": p[0], "A": np.exp(p[1] + p[2] * np.log(middle)), "a": p[2]},
        lambda at: np.log(at["budget"])[None],
        lambda at: at["budget"],
        noise=0.001,
    )


def _starts(twin: LawTable) -> Any:
    least, middle = float(twin.numbers["loss"].min()), float(twin.numbers["loss"].mean())
    starts = [
        np.array([floor * least, np.log(middle - floor * least), exponent])
        for floor in (0.3, 0.9)
        for exponent in (0.1, 0.3, 0.6)
    ]
    return lambda: starts


def _multiplier(loss: float, budget: float, grid_G: Array, curves: tuple[Array, Array, Array]) -> Multiplier:
    value = _crossing(loss, grid_G, curves[0])
    if value is None:
        better = loss < curves[0][-1]
        side: Range = "beyond range: better than the twin" if better else "beyond range: worse than the twin"
        return Multiplier(None, None, None, side)
    lower, upper = _crossing(loss, grid_G, curves[1]), _crossing(loss, grid_G, curves[2])
    low, high = (None if end is None else end / budget for end in (lower, upper))
    return Multiplier(value / budget, low, high, "within")


def _crossing(loss: float, grid_G: Array, curve_G: Array) -> float | None:
    """Return the budget at which a falling curve reaches a loss; None where it does not on the grid."""
    if not curve_G[-1] <= loss <= curve_G[0]:
        return None
    return float(np.exp(np.interp(-loss, -curve_G, np.log(grid_G))))
