"""Loss of continual pre-training in the mixture ratio, and the critical ratio (Gu et al., CMR, arXiv 2407.17467).

At one budget L(R) = a R^s + c, a power law of the ratio; at one ratio the loss is a sum of powers of the tokens. With
several budgets both at once: L(R, T) = c + a T^t + b T^u (R^s - 1) / s, whose sections are of these forms (for s near 0 it
becomes log R, without a jump). Every size has a law of its own: the paper finds none that carries over sizes.

The critical ratio is the largest that keeps the loss within a tolerance of what it was before (the paper: general loss,
ratio of domain data, 0.05), which rows with 0 tokens give. One that all ratios keep is 1, one that none keeps is 0.
"""

import itertools
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import PositiveFloat

from tasks.core.errors import DataError
from tasks.core.params import Params
from tasks.laws.curve import Array, Columns, Curve, Parameter, centre
from tasks.laws.fitting import Objective
from tasks.laws.intervals import FittedCurve, Predictions, fitted
from tasks.laws.law import LOSS, PARAMS, Answer, FittedLaw, Reads, numbers, ratio_coordinate, reach, written
from tasks.laws.table import NOT_NEGATIVE, POSITIVE, SHARE, Column, LawTable, require_points

_RATIO = Column("ratio", "share of the training tokens that is of the domain", SHARE)
_TOKENS = Column("tokens", "tokens it was trained on; 0 for the loss before continual pre-training", NOT_NEGATIVE)
_AT_TOKENS = Column("tokens", "tokens it was trained on", POSITIVE)
READS = Reads(runs=(PARAMS, _TOKENS, _RATIO, LOSS), at=(PARAMS, _AT_TOKENS, _RATIO))
_LEAST_RATIO = 1e-6
_GRID = np.linspace(0.0, 1.0, 1001)


class Cmr(Params):
    """`tolerance` is what the loss may rise above that before continual pre-training, for the critical ratio."""

    kind: Literal["cmr"] = "cmr"
    objective: Objective = "squares"
    tolerance: PositiveFloat = 0.05


@dataclass(frozen=True)
class _OfSize:
    law: FittedCurve
    before: float | None


def fit_cmr(params: Cmr, runs: LawTable) -> FittedLaw:
    """Fit one law per size.

    Raises:
        DataError: the loss before continual pre-training is given for some sizes and not for others.
        EvidenceError: fewer points of a size than parameters (3 at one budget, 6 at several), or one ratio.
    """
    trained = runs.only(runs.numbers["tokens"] > 0)
    sizes = sorted({*runs.numbers["params"].tolist()})
    before = {size: _before(runs, size) for size in sizes}
    unknown = [size for size in sizes if before[size] is None]
    if 0 < len(unknown) < len(sizes):
        raise DataError(
            f"{runs.path}: a row with 0 tokens, the loss before continual pre-training, is there for some sizes and missing "
            f"for {len(unknown)} of {len(sizes)}; first: {unknown[0]:g} parameters. Add it, or leave all of them out."
        )
    fits = {
        size: _OfSize(_fit(params, trained.only(trained.numbers["params"] == size)), before[size]) for size in sizes
    }
    curves = {(f"loss, {size:g} parameters" if len(sizes) > 1 else "loss"): one.law for size, one in fits.items()}
    return FittedLaw(params.kind, curves, lambda at, confidence: _answer(params, fits, at, confidence))


def _before(runs: LawTable, size: float) -> float | None:
    losses = runs.numbers["loss"][(runs.numbers["params"] == size) & (runs.numbers["tokens"] == 0)]
    return float(losses.mean()) if len(losses) else None


def _fit(params: Cmr, runs: LawTable) -> FittedCurve:
    if not len(runs):
        raise DataError(f"{runs.path}: a size has no run with more than 0 tokens. Add runs of it, or leave it out.")
    loss_R, budgets = runs.numbers["loss"], len({*runs.numbers["tokens"].tolist()})
    if budgets == 1:
        require_points(runs, params.kind, ("ratio",), 3)
    else:
        require_points(runs, params.kind, ("ratio", "tokens"), 6)
    curve = _curve(runs.numbers, loss_R, several=budgets > 1)
    return fitted(curve, runs.numbers, loss_R, lambda: _starts(loss_R, several=budgets > 1), params.objective)


def _curve(columns: Columns, loss_R: Array, *, several: bool) -> Curve:
    tokens, spread = centre(columns["tokens"]), float(max(np.ptp(loss_R), 1e-6 * loss_R.mean()))

    def values(p: Any, at: Columns) -> Any:
        power = (np.exp(p[2] * np.log(np.maximum(at["ratio"], _LEAST_RATIO))) - 1) / p[2]
        if not several:
            return p[0] + p[1] * power
        log_tokens = np.log(at["tokens"] / tokens)
        by_tokens = p[3] * (np.exp(p[4] * log_tokens) - 1) / p[4]
        return p[0] + by_tokens + p[1] * np.exp(p[5] * log_tokens) * power

    def reported(p: Any) -> dict[str, Any]:
        if not several:
            return {"a": p[1] / p[2], "s": p[2], "c": p[0] - p[1] / p[2]}
        scales = {"a": p[3] / p[4] * tokens ** -p[4], "b": p[1] * tokens ** -p[5]}
        return {"c": p[0] - p[3] / p[4], **scales, "s": p[2], "t": p[4], "u": p[5]}

    of_ratio = (
        Parameter("loss at ratio 1", 0.0, np.inf, 2 * spread),
        Parameter("slope in the ratio", -np.inf, np.inf, 5 * spread),
        Parameter("s", _least_exponent(columns), 6.0, 1.0),
    )
    of_tokens = (
        Parameter("slope in log tokens", -np.inf, np.inf, 2 * spread),
        Parameter("t", -3.0, 3.0, 0.5),
        Parameter("u", -3.0, 3.0, 0.5),
    )
    coordinates = _both_coordinates if several else _ratio_coordinates
    level = float(loss_R.mean())
    # Nothing keeps this form above 0, so its errors are those of the loss itself.
    return Curve(
        (*of_ratio, *(of_tokens if several else ())),
        values,
        reported,
        coordinates,
        _effort,
        relative=False,
        noise=0.005 * level,
        drift=0.015 * level,
    )


def _least_exponent(columns: Columns) -> float:
    """Return the least exponent of the ratio: where a ratio of 0 was measured its loss is finite."""
    return 0.05 if columns["ratio"].min() < _LEAST_RATIO else -3.0


def _ratio_coordinates(columns: Columns) -> Array:
    return ratio_coordinate(columns)[None]


def _both_coordinates(columns: Columns) -> Array:
    return np.stack([ratio_coordinate(columns), np.log(columns["tokens"])])


def _effort(columns: Columns) -> Array:
    return np.asarray(columns["tokens"])


def _starts(loss_R: Array, *, several: bool) -> list[Array]:
    spread, middle = float(np.ptp(loss_R)), float(loss_R.mean())
    of_ratio = [np.array([middle, sign * spread, s]) for sign in (-1, 1) for s in (-0.3, 0.5, 2.0)]
    if not several:
        return of_ratio
    return [np.array([*one, -spread / 5, t, u]) for one, t, u in itertools.product(of_ratio, (-0.4,), (0.1, -0.3))]


def _answer(params: Cmr, fits: dict[float, _OfSize], at: LawTable, confidence: float) -> Answer:
    sizes = at.numbers["params"]
    strange = [row for row, size in enumerate(sizes.tolist()) if size not in fits]
    if strange:
        raise DataError(
            f"{at.path}: {len(strange)} rows have a size that was not fitted (this law carries over no sizes); first: "
            f"{at.place(strange[0])}: {sizes[strange[0]]:g} parameters, fitted {', '.join(f'{one:g}' for one in fits)}. "
            "Leave these rows out, or use d_cpt."
        )
    found = [fits[size].law.predict(_row(at.numbers, row), confidence) for row, size in enumerate(sizes.tolist())]
    joined = Predictions(
        *(np.concatenate([getattr(one, name) for one in found]) for name in Predictions.__annotations__)
    )
    columns = written(joined)
    if all(one.before is not None for one in fits.values()):
        columns |= _critical(params, fits, at, confidence)
    return Answer({**columns, **reach(joined)}, int(joined.far_R.sum()))


def _row(columns: Columns, row: int) -> dict[str, Array]:
    return {name: values_R[row : row + 1] for name, values_R in columns.items()}


def _critical(params: Cmr, fits: dict[float, _OfSize], at: LawTable, confidence: float) -> dict[str, tuple[str, ...]]:
    """Return the critical ratio at every row's size and tokens; its bounds are where the loss's own interval crosses."""
    rows = []
    for size, tokens in zip(at.numbers["params"].tolist(), at.numbers["tokens"].tolist(), strict=True):
        one = fits[size]
        assert one.before is not None
        grid = {"ratio": _GRID, "tokens": np.full(len(_GRID), tokens)}
        found, limit = one.law.predict(grid, confidence), one.before + params.tolerance
        rows.append([_largest(bound, limit) for bound in (found.prediction_R, found.upper_R, found.lower_R)])
    ratio_R, lower_R, upper_R = np.array(rows).T
    names = ("critical_ratio", "critical_lower", "critical_upper")
    return {name: numbers(values_R) for name, values_R in zip(names, (ratio_R, lower_R, upper_R), strict=True)}


def _largest(loss_G: Array, limit: float) -> float:
    """Return the largest ratio up to which the loss stays within the limit, from the grid."""
    over = np.flatnonzero(~(loss_G <= limit))
    return float(_GRID[max(over[0] - 1, 0)]) if len(over) else 1.0
