"""What the fit of a law tells, for machines: what was fitted, to what, and how well."""

from typing import ClassVar, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from tasks.core.published import Model, Published
from tasks.laws.intervals import FittedCurve
from tasks.laws.kinds import LawParams, reads
from tasks.laws.law import FittedLaw
from tasks.laws.table import Column, LawTable


class LawColumn(Model):
    """A column that the law reads."""

    name: str
    about: str
    required: bool


class LawParameter(Model):
    """A parameter under the paper's name, with its interval."""

    name: str
    value: float
    lower: float
    upper: float


class LawCurve(Model):
    """One fitted curve.

    `rms` is that of its errors on the runs and `noise_sd` the standard deviation a run is taken to have about it, both
    relative but for `cmr`, errors and pass rates. Its variance grows by `drift_per_efold`^2 for every e-fold
    beyond the runs.
    """

    name: str
    parameters: tuple[LawParameter, ...]
    runs: PositiveInt
    rms: NonNegativeFloat
    noise_sd: NonNegativeFloat
    degrees_of_freedom: PositiveInt
    drift_per_efold: NonNegativeFloat


class LawFit(Published):
    """What `mixwright law fit --json` prints."""

    FILE: ClassVar[str] = "law.json"

    format: Literal[1] = 1
    law: LawParams
    runs: PositiveInt
    predicted: PositiveInt
    far_beyond: NonNegativeInt = Field(description="Predicted rows as far again beyond the runs as these span.")
    confidence: float = Field(gt=0, lt=1)
    curves: tuple[LawCurve, ...]
    notes: tuple[str, ...]
    runs_columns: tuple[LawColumn, ...] = Field(description="Of the table of runs.")
    predict_columns: tuple[LawColumn, ...] = Field(description="Of the table of rows to predict.")
    written_columns: tuple[str, ...] = Field(description="Beside those of the rows predicted.")


def law_fit(
    params: LawParams,
    law: FittedLaw,
    runs: LawTable,
    confidence: float,
    written: tuple[str, ...],
    predicted: int,
    far: int,
) -> LawFit:
    """Return what a fit tells."""
    columns = reads(params)
    return LawFit(
        law=params,
        runs=len(runs),
        predicted=predicted,
        far_beyond=far,
        confidence=confidence,
        curves=tuple(_curve(name, curve, confidence) for name, curve in law.curves.items()),
        notes=law.notes,
        runs_columns=tuple(map(_column, columns.runs)),
        predict_columns=tuple(map(_column, columns.at)),
        written_columns=written,
    )


def _curve(name: str, curve: FittedCurve, confidence: float) -> LawCurve:
    parameters = [
        LawParameter(name=parameter, value=value, lower=lower, upper=upper)
        for parameter, (value, lower, upper) in curve.reported(confidence).items()
    ]
    return LawCurve(
        name=name,
        parameters=tuple(parameters),
        runs=len(next(iter(curve.runs.values()))),
        rms=curve.rms,
        noise_sd=curve.residual_sd,
        degrees_of_freedom=curve.degrees_of_freedom,
        drift_per_efold=curve.drift,
    )


def _column(column: Column) -> LawColumn:
    return LawColumn(name=column.name, about=column.about, required=column.required)
