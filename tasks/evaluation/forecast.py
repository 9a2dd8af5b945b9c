"""Did the forecast come true? What search said before training, beside what was measured after it."""

from collections.abc import Mapping
from typing import Any

from tasks.core.words import counted, percent, signed
from tasks.evaluation.compare import Comparison


def forecast_beside_outcome(
    forecast: Mapping[str, Any], natural: Comparison, *, model_parameters: int, tokens: int
) -> dict[str, Any]:
    """Return prediction and outcome of the gain over natural, whether the outcome lies in the interval, and a sentence.

    A forecast of another model size or number of tokens is compared all the same, with a warning that says what search
    knew of other sizes (`status`).
    """
    predicted, lower, upper = (float(forecast[name]) for name in ("gain_over_natural", "lower", "upper"))
    measured = natural.overall.gain
    inside = lower <= measured <= upper
    sizes = {
        "model_parameters": int(forecast["model_parameters"]),
        "tokens": int(forecast["tokens"]),
        "measured_model_parameters": model_parameters,
        "measured_tokens": tokens,
    }
    same = (sizes["model_parameters"], sizes["tokens"]) == (model_parameters, tokens)
    warning = None if same else _warning(sizes, str(forecast["status"]))
    seeds = len(natural.seeds)
    alone = f" ({counted(seeds, 'seed')}, so noise and all)" if natural.overall.lower is None else ""
    statement = (
        f"Forecast {signed(predicted)} ({percent(forecast['confidence'])} interval {signed(lower)} to {signed(upper)}), "
        f"measured {signed(measured)} bits per byte over natural{alone}: {'inside' if inside else 'outside'} the interval."
    )
    return {
        "predicted_gain": predicted,
        "lower": lower,
        "upper": upper,
        "confidence": float(forecast["confidence"]),
        "measured_gain": measured,
        "measured_lower": natural.overall.lower,
        "measured_upper": natural.overall.upper,
        "inside": inside,
        "status": str(forecast["status"]),
        **sizes,
        "same_size": same,
        "warning": warning,
        "statement": statement if warning is None else f"{statement} {warning}",
    }


def untested(natural_trained: bool) -> str:
    """Return why a forecast of the gain over natural has no outcome beside it."""
    why = "the search kept natural" if natural_trained else "natural was not trained"
    return f"No forecast was tested: {why}."


def _warning(sizes: Mapping[str, int], status: str) -> str:
    return (
        f"The forecast is of {sizes['model_parameters']:,} parameters and {sizes['tokens']:,} tokens, measured were "
        f"{sizes['measured_model_parameters']:,} and {sizes['measured_tokens']:,}: {_known(status)}."
    )


def _known(status: str) -> str:
    match status:
        case "transfers":
            return "mixtures kept their order between two other sizes, so a miss says how far that carries"
        case "does not transfer":
            return "mixtures did not keep their order at a second size, so no forecast was made of this one"
        case "cannot tell":
            return "whether mixtures keep their order at a second size could not be told, so this one was not forecast"
        case _:
            return "proxies had one size, it is untransferred to others, so a miss says little about the predictor"
