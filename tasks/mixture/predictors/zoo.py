"""All predictors: one config each, and the function that fits it."""

from collections.abc import Sequence
from typing import Annotated, assert_never

from pydantic import Field

from tasks.mixture.predictors.gp_sqrt import GpSqrt, fit_gp_sqrt
from tasks.mixture.predictors.law_gp import LawGp, fit_law_gp
from tasks.mixture.predictors.linear import Linear, fit_linear
from tasks.mixture.predictors.mixing_law import MixingLaw, fit_mixing_law
from tasks.mixture.predictors.olmix import Olmix, fit_olmix
from tasks.mixture.predictors.power_law import PowerLaw, fit_power_law
from tasks.mixture.predictors.predictor import NOWHERE, Measured, Near, Predictor
from tasks.mixture.predictors.ridge_sqrt import RidgeSqrt, fit_ridge_sqrt
from tasks.mixture.predictors.trees import Lightgbm, fit_lightgbm
from tasks.mixture.predictors.warm import Warm, fit_warm

PredictorParams = Annotated[
    GpSqrt | LawGp | Lightgbm | Linear | MixingLaw | Olmix | PowerLaw | RidgeSqrt | Warm, Field(discriminator="kind")
]


def fit(params: PredictorParams, measured: Measured, near: Near = NOWHERE) -> Predictor:
    """Fit one predictor; `near` is where its fit to nearly the same runs ended."""
    match params:
        case GpSqrt():
            predictor = fit_gp_sqrt(params, measured, near)
        case LawGp():
            predictor = fit_law_gp(params, measured, near)
        case Lightgbm():
            predictor = fit_lightgbm(params, measured)
        case Linear():
            predictor = fit_linear(params, measured)
        case MixingLaw():
            predictor = fit_mixing_law(params, measured)
        case Olmix():
            predictor = fit_olmix(params, measured)
        case PowerLaw():
            predictor = fit_power_law(params, measured, near)
        case RidgeSqrt():
            predictor = fit_ridge_sqrt(params, measured, near)
        case Warm():
            predictor = fit_warm(params, measured, near)
        case _:
            assert_never(params)
    return predictor


def names(zoo: Sequence[PredictorParams]) -> tuple[str, ...]:
    """Return what each is called in a zoo: its kind, with a number where the kind comes again.

    >>> names([RidgeSqrt(), Lightgbm(), Lightgbm(settings="climb")])
    ('ridge_sqrt', 'lightgbm', 'lightgbm 2')
    """
    kinds = [params.kind for params in zoo]
    counts = [kinds[: index + 1].count(kind) for index, kind in enumerate(kinds)]
    return tuple(kind if count == 1 else f"{kind} {count}" for kind, count in zip(kinds, counts, strict=True))
