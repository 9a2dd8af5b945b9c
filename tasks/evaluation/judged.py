"""Everything that was forecast, before training and on the way, beside what came out."""

from collections.abc import Mapping, Sequence

from tasks.core.words import percent
from tasks.evaluation.published import Comparison, JudgedForecast, JudgedSaying
from tasks.mixture.published import BaselineName, MixtureName
from tasks.mixture.published_forecast import FORECAST_MIXTURES, Forecast, ForecastMixture, Said
from tasks.training.published_updates import ForecastUpdate, ForecastUpdates

BEFORE = 0.0


def judged(
    forecast: Forecast,
    updates: ForecastUpdates | None,
    *,
    overall: Mapping[MixtureName, float],
    per_set: Mapping[str, Mapping[MixtureName, float]],
    comparisons: Mapping[BaselineName, Comparison],
) -> tuple[JudgedForecast, ...]:
    """Return each value and gain with all that was said of it, the objective's first.

    `overall` is the objective by mixture, `per_set` what every held-out set came to; what nobody measured is left out.
    """
    if not forecast.values:
        return ()
    later = () if updates is None else updates.updates
    found = [*_gains(forecast, later, comparisons)]
    for name in FORECAST_MIXTURES:
        if name not in overall:
            continue
        said = [(BEFORE, forecast.values[name]), *((update.share, update.values[name]) for update in later)]
        found.append(_judged(None, name, overall[name], [(share, value.objective) for share, value in said]))
        found += [
            _judged(one, name, row[name], [(share, value.sets[one]) for share, value in said])
            for one, row in per_set.items()
            if one in forecast.values[name].sets
        ]
    return tuple(found)


def judged_words(found: Sequence[JudgedForecast], confidence: float) -> str:
    """Return how many of all that was said at each time came out inside, in a sentence; nothing where nothing was said."""
    hits: dict[float, list[bool]] = {}
    for each in found:
        for said in each.said:
            hits.setdefault(said.share, []).append(said.inside)
    told = [
        f"{sum(inside)} of {len(inside)} {'before training' if share == BEFORE else f'at {percent(share)} of the run'}"
        for share, inside in sorted(hits.items())
    ]
    return f"Inside their {percent(confidence)} intervals were {', '.join(told)}." if told else ""


def _gains(
    forecast: Forecast, later: Sequence[ForecastUpdate], comparisons: Mapping[BaselineName, Comparison]
) -> list[JudgedForecast]:
    natural = comparisons.get("natural")
    if natural is None:
        return []
    before = Said(value=forecast.gain_over_natural, lower=forecast.lower, upper=forecast.upper)
    measured = {name: found.gain for name, found in {**natural.per_domain, **natural.per_task}.items()}
    return [
        _judged(None, None, natural.gain, [(BEFORE, before), *((update.share, update.gain) for update in later)]),
        *(
            _judged(name, None, measured[name], [(BEFORE, said)])
            for name, said in forecast.gains.items()
            if name in measured
        ),
    ]


def _judged(
    name: str | None, mixture: ForecastMixture | None, outcome: float, said: Sequence[tuple[float, Said]]
) -> JudgedForecast:
    return JudgedForecast(
        set=name,
        mixture=mixture,
        outcome=outcome,
        said=tuple(
            JudgedSaying(
                share=share,
                value=each.value,
                lower=each.lower,
                upper=each.upper,
                inside=each.lower <= outcome <= each.upper,
            )
            for share, each in said
        ),
    )
