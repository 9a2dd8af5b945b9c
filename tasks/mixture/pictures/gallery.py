"""What a search shows of itself from its published folder alone: its pictures, and its best mixtures as a table."""

from pathlib import Path
from typing import Any

from tasks.mixture.pictures import evidence_plots, search_plots
from tasks.mixture.pictures.evidence import PredictedRun, SearchEvidence, expected_epochs, read_evidence, weight_caps
from tasks.mixture.published import Recipe
from tasks.mixture.published_forecast import Forecast
from tasks.mixture.runs import IN_WORDS
from tasks.pictures.canvas import standalone

_BEST = 10


def search_pictures(folder: Path) -> dict[str, str]:
    """Return the pictures of a search by name, each an SVG file of its own, from what the search stage published.

    Raises:
        DataError: a file is missing or is not as agreed.
    """
    recipe, found, forecast = Recipe.read(folder), read_evidence(folder), Forecast.read(folder)
    expected = expected_epochs(recipe, found.candidates.supply.target)
    drawn = pictures_of(recipe, found, forecast)
    drawn["epochs"] = search_plots.epochs(recipe, expected, found.proxy_epochs)
    return {name: standalone(svg) for name, svg in drawn.items()}


def pictures_of(recipe: Recipe, found: SearchEvidence, forecast: Forecast) -> dict[str, str]:
    """Return what a search has to show, in the order it is read; what it did not look at is left out."""
    candidates = found.candidates
    drawn = {
        "mixture": search_plots.mixture(recipe, weight_caps(recipe, candidates.supply.target)),
        "regret": search_plots.regret(found, forecast),
    }
    if candidates.held_out:
        drawn["predicted"] = search_plots.predicted(found, forecast)
    drawn["interactions"] = evidence_plots.interactions(candidates.interactions)
    if candidates.pareto is not None:
        drawn["pareto"] = evidence_plots.pareto(candidates.pareto)
    if candidates.confirmation is not None:
        drawn["confirmation"] = evidence_plots.confirmation(candidates.confirmation, IN_WORDS[recipe.unit])
    if candidates.transfer is not None and candidates.transfer.overall is not None:
        drawn["transfer"] = evidence_plots.transfer(candidates.transfer, candidates.transfer.overall)
    return drawn


def best_mixtures(folder: Path) -> list[dict[str, Any]]:
    """Return the recipe's mixture, natural, and the best measured runs, best first, as rows of a table.

    Raises:
        DataError: a file is missing or is not as agreed.
    """
    recipe, found = Recipe.read(folder), read_evidence(folder)
    ranked = sorted(found.compared, key=lambda run: run.objective)
    natural = [run for run in ranked if run.kind == "natural"]
    chosen = {"mixture": f"recipe: {found.candidates.decision.name}", "kind": "", "measured": ""}
    return [
        {**chosen, "predicted without it": "", **_percent(recipe, recipe.searched)},
        *(_row(recipe, run) for run in [*natural, *ranked[:_BEST]]),
    ]


def _row(recipe: Recipe, run: PredictedRun) -> dict[str, Any]:
    predicted = "" if run.predicted is None else f"{run.predicted:.4f}"
    return {
        "mixture": f"run {run.run}",
        "kind": run.kind,
        "measured": f"{run.objective:.4f}",
        "predicted without it": predicted,
        **_percent(recipe, run.weights),
    }


def _percent(recipe: Recipe, weights: tuple[float, ...]) -> dict[str, str]:
    return {f"{name} %": f"{100 * weight:.1f}" for name, weight in zip(recipe.domains, weights, strict=True)}
