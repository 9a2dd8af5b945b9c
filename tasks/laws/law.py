"""What every law gives: the columns it reads, and once fitted its curves and its answer to every row of another table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tasks.laws.curve import Array, Columns
from tasks.laws.intervals import FittedCurve, Predictions
from tasks.laws.table import POSITIVE, SHARE, Column, LawTable

PARAMS = Column("params", "parameters of the model", POSITIVE)
TOKENS = Column("tokens", "tokens it was trained on", POSITIVE)
LOSS = Column("loss", "loss it reached", POSITIVE)
RATIO = Column("ratio", "share of the training tokens that is of the corpus whose loss is given", SHARE)


@dataclass(frozen=True)
class Reads:
    """The columns of the table of runs, and of the table of rows to predict."""

    runs: tuple[Column, ...]
    at: tuple[Column, ...]


@dataclass(frozen=True)
class Answer:
    """What is written beside the rows of a table: more columns, in order, and how many rows are far beyond the runs."""

    columns: Mapping[str, tuple[str, ...]]
    far: int


@dataclass(frozen=True)
class FittedLaw:
    """A fitted law: its curves by name, what to tell a reader, and the answer to a table at a confidence."""

    kind: str
    curves: Mapping[str, FittedCurve]
    answer: Callable[[LawTable, float], Answer]
    notes: tuple[str, ...] = ()


def written(found: Predictions, before: str = "") -> dict[str, tuple[str, ...]]:
    """Return prediction and interval as columns of text; `before` is put before their names."""
    values = (found.prediction_R, found.lower_R, found.upper_R)
    names = (before + "prediction", before + "lower", before + "upper")
    return {name: numbers(values_R) for name, values_R in zip(names, values, strict=True)}


def reach(found: Predictions) -> dict[str, tuple[str, ...]]:
    """Return how many times beyond the runs each row is (1: not beyond), and whether that is as far as they span."""
    return {
        "extrapolation": tuple(f"{factor:.4g}" for factor in np.exp(found.beyond_R).tolist()),
        "beyond_range": tuple(str(far).lower() for far in found.far_R.tolist()),
    }


def numbers(values_R: Array) -> tuple[str, ...]:
    """Return numbers as text that reads back as the same."""
    return tuple(map(repr, values_R.tolist()))


def answered(found: Predictions) -> Answer:
    """Return the answer of a law with one curve."""
    return Answer({**written(found), **reach(found)}, int(found.far_R.sum()))


def ratio_coordinate(columns: Columns) -> Array:
    """Return how far ratios lie apart, in what counts as e-folds: near 0 a little is much."""
    return np.asarray(np.log(columns["ratio"] + 0.05))
