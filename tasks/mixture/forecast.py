"""The forecast: what the recipe will gain over natural, said before it is trained, with an interval."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from tasks.mixture.decide import Pick
from tasks.mixture.predictors.predictor import Predictor
from tasks.mixture.problem import Problem

Array = npt.NDArray[np.float64]

CONFIDENCE = 0.9
UNTRANSFERRED = "untransferred"


@dataclass(frozen=True)
class Forecast:
    """The predicted gain over natural in bits per byte, lower being better, at one model size and number of tokens.

    The interval comes from the joint posterior of both mixtures, widened by cross-validation. It speaks of the expected
    difference, not of one run: `noise_sd` is what one run differs from another with the same mixture.
    """

    objective: str
    gain: float
    lower: float
    upper: float
    predicted_searched: float
    predicted_natural: float
    per_domain: Mapping[str, tuple[float, float]]
    model_parameters: int
    tokens: int
    noise_sd: float
    status: str
    statement: str

    def to_json(self) -> dict[str, Any]:
        """Return the forecast as it stands in `forecast.json`."""
        return {
            "format": 1,
            "objective": self.objective,
            "gain_over_natural": self.gain,
            "lower": self.lower,
            "upper": self.upper,
            "confidence": CONFIDENCE,
            "predicted_searched": self.predicted_searched,
            "predicted_natural": self.predicted_natural,
            "per_domain": {
                name: {"natural": natural, "searched": searched}
                for name, (natural, searched) in self.per_domain.items()
            },
            "model_parameters": self.model_parameters,
            "tokens": self.tokens,
            "noise_sd": self.noise_sd,
            "status": self.status,
            "statement": self.statement,
        }


def forecast(
    problem: Problem, predictor: Predictor, pick: Pick, *, model_parameters: int, tokens: int, noise_sd: float | None
) -> Forecast:
    """Return what the pick is predicted to gain over natural, for the size the proxies had.

    From one size nothing can be said about another, so the status is "untransferred".
    """
    both_MD = np.array([problem.natural, pick.chosen.weights])
    natural_D, searched_D = predictor.outputs(both_MD)
    natural, searched = (float(value) for value in predictor.mean(both_MD))
    half_width = float(norm.ppf(0.5 + CONFIDENCE / 2)) * pick.chosen.gain_sd
    gain, lower, upper = pick.chosen.gain, pick.chosen.gain - half_width, pick.chosen.gain + half_width
    pairs = zip(natural_D.tolist(), searched_D.tolist(), strict=True)
    return Forecast(
        objective=_objective(problem),
        gain=gain,
        lower=lower,
        upper=upper,
        predicted_searched=searched,
        predicted_natural=natural,
        per_domain=dict(zip(problem.names, pairs, strict=True)),
        model_parameters=model_parameters,
        tokens=tokens,
        noise_sd=predictor.noise_sd if noise_sd is None else noise_sd,
        status=UNTRANSFERRED,
        statement=_statement(pick, gain, lower, upper, model_parameters, tokens),
    )


def _objective(problem: Problem) -> str:
    equal = max(problem.objective) - min(problem.objective) < 1e-12
    return "mean bits per byte over domains" if equal else "weighted mean bits per byte over domains"


def _statement(pick: Pick, gain: float, lower: float, upper: float, model_parameters: int, tokens: int) -> str:
    size = f"A model of {model_parameters:,} parameters trained on {tokens:,} tokens"
    if pick.chosen.name == "natural":
        return f"{size} is predicted to gain nothing over natural weights by any mixture found, so natural is kept."
    return (
        f"{size} with the searched mixture is predicted to need {gain:.4f} bits per byte less than with natural "
        f"weights, {CONFIDENCE:.0%} interval {lower:.4f} to {upper:.4f}; proxies had this one size, so it is "
        "untransferred to others."
    )
