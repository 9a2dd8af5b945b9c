"""Did the forecast come true? What search said before training, beside what was measured after it."""

from typing import Literal

from tasks.core.words import counted, percent, signed
from tasks.evaluation.published import Comparison, ForecastOutcome
from tasks.mixture.published_forecast import Forecast, TransferVerdict
from tasks.mixture.runs import IN_WORDS, LossUnit


def forecast_beside_outcome(
    forecast: Forecast, natural: Comparison, *, model_parameters: int, tokens: int, unit: LossUnit = "bits per byte"
) -> ForecastOutcome:
    """Return prediction and outcome of the gain over natural, whether the outcome lies in the interval, and a sentence.

    A forecast of another model size or number of tokens is compared all the same, with a warning that says what search
    knew of other sizes (`status`).
    """
    predicted, lower, upper = forecast.gain_over_natural, forecast.lower, forecast.upper
    inside = lower <= natural.gain <= upper
    of = (forecast.model_parameters, forecast.tokens)
    measured = (model_parameters, tokens)
    warning = None if of == measured else _warning(of, measured, forecast.status)
    alone = f" ({counted(len(natural.seeds), 'seed')}, so noise and all)" if natural.lower is None else ""
    statement = (
        f"Forecast {signed(predicted)} ({percent(forecast.confidence)} interval {signed(lower)} to {signed(upper)}), "
        f"measured {signed(natural.gain)} {IN_WORDS[unit]} over natural{alone}: {'inside' if inside else 'outside'} the "
        "interval."
    )
    return ForecastOutcome(
        predicted_gain=predicted,
        lower=lower,
        upper=upper,
        confidence=forecast.confidence,
        measured_gain=natural.gain,
        measured_lower=natural.lower,
        measured_upper=natural.upper,
        inside=inside,
        status=forecast.status,
        model_parameters=of[0],
        tokens=of[1],
        measured_model_parameters=model_parameters,
        measured_tokens=tokens,
        same_size=of == measured,
        warning=warning,
        statement=statement if warning is None else f"{statement} {warning}",
    )


def untested(natural_trained: bool) -> str:
    """Return why a forecast of the gain over natural has no outcome beside it."""
    why = "the search kept natural" if natural_trained else "natural was not trained"
    return f"No forecast was tested: {why}."


def _warning(
    forecast: tuple[int, int], measured: tuple[int, int], status: TransferVerdict | Literal["one size"]
) -> str:
    """Say that the sizes (parameters, tokens) differ."""
    return (
        f"The forecast is of {forecast[0]:,} parameters and {forecast[1]:,} tokens, measured were {measured[0]:,} and "
        f"{measured[1]:,}: {_known(status)}."
    )


def _known(status: TransferVerdict | Literal["one size"]) -> str:
    match status:
        case "transfers":
            return "mixtures kept their order between two other sizes, so a miss says how far that carries"
        case "does not transfer":
            return "mixtures did not keep their order at a second size, so no forecast was made of this one"
        case "cannot tell":
            return "whether mixtures keep their order at a second size could not be told, so this one was not forecast"
        case "one size":
            return "proxies had one size, it is untransferred to others, so a miss says little about the predictor"
