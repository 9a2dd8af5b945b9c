"""The form of a law: a function of a few parameters and of columns of a table, and what is known of the parameters before.

`values` is written with exp, log, products and powers alone, so that it takes complex parameters: its derivatives are
Im f(p + ih) / h, exact to the last digit (Squire and Trapp, SIAM Review 40, 1998), and no law writes them by hand.

Axes: R rows, P parameters, K coordinates.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.bool_]
Columns = Mapping[str, Array]
_STEP = 1e-30


@dataclass(frozen=True)
class Parameter:
    """One parameter as it is searched: its bounds, and the standard deviation of a normal prior that intervals use.

    The prior moves no estimate. It only keeps what the points say nothing about from being infinitely uncertain.
    """

    name: str
    lower: float
    upper: float
    spread: float


@dataclass(frozen=True)
class Curve:
    """A law over the columns of one table.

    `reported` turns the searched parameters into those of the paper. `coordinates` [K, R] say how far points lie apart, in
    e-folds; `effort` [R] orders points from what is cheap to what is not. Errors of a `relative` law are those of the
    logarithm. `noise` is what a run is taken to be off by before any residual is seen, `drift` what the law is off by one
    e-fold beyond the points before any was held out (both measured: benchmarks/results/laws.txt).
    """

    parameters: tuple[Parameter, ...]
    values: Callable[[Any, Columns], Any]
    reported: Callable[[Any], Mapping[str, Any]]
    coordinates: Callable[[Columns], Array]
    effort: Callable[[Columns], Array]
    relative: bool = True
    noise: float = 0.005
    drift: float = 0.015

    def link(self, values_R: Any) -> Any:
        """Return values in the unit that errors have: the logarithm of a relative law's."""
        return np.log(values_R) if self.relative else values_R

    def unlink(self, linked_R: Array) -> Array:
        """Return values from the unit that errors have."""
        return np.exp(linked_R) if self.relative else linked_R


def derivatives(function: Callable[[Any], Any], p_P: Array) -> Array:
    """Return the derivatives of a function of parameters, shape [R, P]."""
    steps_PP = _STEP * np.eye(len(p_P))
    return np.stack([np.asarray(function(p_P + 1j * step_P)).imag / _STEP for step_P in steps_PP], axis=-1)


def rows_of(columns: Columns, chosen_R: Rows) -> dict[str, Array]:
    """Return some rows of every column."""
    return {name: values_R[chosen_R] for name, values_R in columns.items()}


def size_coordinates(columns: Columns) -> Array:
    """Return the logarithms of parameters, tokens, their product (compute) and their ratio."""
    params_R, tokens_R = np.log(columns["params"]), np.log(columns["tokens"])
    return np.stack([params_R, tokens_R, params_R + tokens_R, tokens_R - params_R])


def compute_effort(columns: Columns) -> Array:
    """Return the logarithm of training compute, 6 x parameters x tokens."""
    return np.asarray(np.log(6 * columns["params"] * columns["tokens"]))


def centre(values_R: Array) -> float:
    """Return the geometric mean: parameters that speak of the middle of the points are nearly independent."""
    return float(np.exp(np.log(values_R).mean()))
