"""Measured models, a recipe and a forecast, made by hand."""

from collections.abc import Sequence
from typing import Any

from tasks.evaluation.published import MeasuredModel
from tasks.mixture.published import MixtureName, Recipe
from tasks.mixture.published_forecast import DomainForecast, Forecast


def measured(
    mixture: MixtureName,
    seed: int,
    bpb: Sequence[float],
    instruction_set: str = "AVX2",
    domains: Sequence[str] | None = None,
) -> MeasuredModel:
    """Return a model with these bits per byte; the objective is their mean."""
    names = domains or [f"d{number}" for number in range(len(bpb))]
    values = dict(zip(names, bpb, strict=True))
    mean = sum(bpb) / len(bpb)
    return MeasuredModel(
        mixture=mixture, seed=seed, bpb=values, mean=mean, device="cpu", instruction_set=instruction_set
    )


def recipe(searched: Sequence[float], natural: Sequence[float], tokens: int = 4096, **changes: Any) -> Recipe:
    """Return a recipe of one phase for the domains d0, d1, ...; uniform weighs them alike."""
    domains = [f"d{number}" for number in range(len(searched))]
    uniform = [1 / len(domains)] * len(domains)
    values = {
        "domains": domains,
        "stages": [{"tokens": tokens, "weights": list(searched)}],
        "max_epochs": 4.0,
        "baselines": {"natural": list(natural), "uniform": uniform, "unimax": uniform},
        "objective": uniform,
    }
    return Recipe.model_validate(values | changes)


def forecast(gain: float, lower: float, upper: float, **changes: Any) -> Forecast:
    """Return a forecast of the gain over natural by a model of 1,000 parameters on 2,048 tokens."""
    values = {
        "objective": "mean bits per byte over domains",
        "gain_over_natural": gain,
        "lower": lower,
        "upper": upper,
        "confidence": 0.9,
        "predicted_searched": 2.0,
        "predicted_natural": 2.0 + gain,
        "per_domain": {"d0": DomainForecast(natural=2.1, searched=2.0)},
        "model_parameters": 1000,
        "tokens": 2048,
        "noise_sd": 0.01,
        "status": "one size",
        "statement": "",
    }
    return Forecast.model_validate(values | changes)
