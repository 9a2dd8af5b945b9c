"""The decision: every comparison, the forecast beside its outcome, and a table per domain."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tasks.core.errors import EvidenceError
from tasks.evaluation.compare import NATURAL, SEARCHED, compare, headline
from tasks.evaluation.forecast import forecast_beside_outcome, untested
from tasks.evaluation.judged import judged, judged_words
from tasks.evaluation.published import Comparison, Decision, ForecastOutcome, JudgedForecast, MeasuredModel
from tasks.mixture.published import BaselineName, MixtureName, Recipe
from tasks.mixture.published_forecast import Forecast
from tasks.training.published_updates import ForecastUpdates


def decision(
    models: Sequence[MeasuredModel],
    recipe: Recipe,
    forecast: Forecast,
    updates: ForecastUpdates | None = None,
    *,
    confidence: float,
    model_parameters: int,
    tokens: int,
) -> Decision:
    """Return what the measured models say.

    Raises:
        EvidenceError: there is no searched model or no baseline, or seeds are not paired.
    """
    found = {model.mixture for model in models}
    baselines = [name for name in recipe.baselines if name in found]
    if SEARCHED not in found or not baselines:
        raise EvidenceError(
            f"there are models of {', '.join(sorted(found)) or 'nothing'}; a comparison needs `{SEARCHED}` and a "
            "baseline. Name them in train.mixtures."
        )
    comparisons = {
        name: compare(models, name, confidence=confidence, same_weights=keeps(recipe, name), unit=recipe.unit)
        for name in baselines
    }
    claim, statement = headline(comparisons)
    outcome = _outcome(forecast, recipe, comparisons, model_parameters, tokens)
    compared: list[MixtureName] = [SEARCHED, *baselines]
    per_domain = means_of(models, compared, lambda model: model.bpb)
    per_task = means_of(models, compared, lambda model: model.task_losses)
    said: tuple[JudgedForecast, ...] = ()
    if (forecast.model_parameters, forecast.tokens) == (model_parameters, tokens):
        # Where natural was kept there is one model, of which natural's values tell, and no gain.
        kept = keeps(recipe, NATURAL)
        overall = _overall(models, [name for name in compared if not (kept and name == SEARCHED)])
        per_set = {**per_domain, **per_task}
        said = judged(forecast, updates, overall=overall, per_set=per_set, comparisons={} if kept else comparisons)
    return Decision(
        claim=claim,
        statement=statement,
        baseline=NATURAL if NATURAL in comparisons else baselines[0],
        confidence=confidence,
        num_seeds=len(next(iter(comparisons.values())).seeds),
        comparisons=comparisons,
        unit=recipe.unit,
        per_domain=per_domain,
        per_task=per_task,
        forecast=outcome,
        forecast_statement=untested(NATURAL in comparisons) if outcome is None else outcome.statement,
        forecasts=said,
        forecasts_statement=judged_words(said, forecast.confidence),
    )


def _overall(models: Sequence[MeasuredModel], names: Sequence[MixtureName]) -> dict[MixtureName, float]:
    """Return the objective of mixtures, the mean over their models."""
    return {name: float(np.mean([each.mean for each in models if each.mixture == name])) for name in names}


def keeps(recipe: Recipe, baseline: BaselineName) -> bool:
    """Return whether the recipe is the baseline itself, in every stage."""
    rows = [row for stage in recipe.stages for _, row in stage.named_weights]
    decided = any(stage.hook is not None for stage in recipe.stages)
    return not decided and all(row == recipe.baselines[baseline] for row in rows)


def means_of(
    models: Sequence[MeasuredModel],
    mixtures: Sequence[MixtureName],
    values: Callable[[MeasuredModel], Mapping[str, float]],
) -> dict[str, dict[MixtureName, float]]:
    """Return means over seeds of what models were measured to be, by its name and mixture."""
    means = {
        mixture: np.mean([list(values(model).values()) for model in models if model.mixture == mixture], axis=0)
        for mixture in mixtures
    }
    names = list(values(models[0]))
    return {name: {mixture: float(means[mixture][index]) for mixture in mixtures} for index, name in enumerate(names)}


def _outcome(
    forecast: Forecast,
    recipe: Recipe,
    comparisons: Mapping[BaselineName, Comparison],
    model_parameters: int,
    tokens: int,
) -> ForecastOutcome | None:
    """Return what became of the forecast; None where nothing tested it: natural was not trained, or is what was kept."""
    if NATURAL not in comparisons or keeps(recipe, NATURAL):
        return None
    return forecast_beside_outcome(
        forecast, comparisons[NATURAL], model_parameters=model_parameters, tokens=tokens, unit=recipe.unit
    )
