"""What a search shows of itself from its published folder alone: its pictures, and its best mixtures as a table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.report import evidence_plots, run_plots, search_plots
from tasks.report.canvas import standalone
from tasks.report.experiments import read_recipe
from tasks.report.run_plots import Range
from tasks.report.search_read import read_forecast, read_search
from tasks.report.search_types import Forecast, Proxy, Search, Supply
from tasks.report.types import Recipe

_BEST = 10


def search_pictures(folder: Path) -> dict[str, str]:
    """Return the pictures of a search by name, each an SVG file of its own, from what the search stage published.

    Raises:
        DataError: a file or field is missing.
    """
    recipe, search, forecast = read_recipe(folder), read_search(folder), read_forecast(folder)
    found = pictures_of(recipe, search, forecast)
    if (expected := expected_epochs(recipe, search.supply)) is not None:
        found["epochs"] = run_plots.epochs(recipe, expected, proxy_epochs(search))
    return {name: standalone(svg) for name, svg in found.items()}


def pictures_of(recipe: Recipe, search: Search, forecast: Forecast) -> dict[str, str]:
    """Return what a search has to show, in the order it is read; what it did not look at is left out."""
    caps = None if search.supply is None else recipe.caps(search.supply)
    found = {
        "mixture": search_plots.mixture(recipe, caps),
        "regret": search_plots.regret(search, forecast),
    }
    if any(proxy.predicted is not None for proxy in search.proxies):
        found["predicted"] = search_plots.predicted(search, forecast)
    if search.interactions is not None:
        found["interactions"] = evidence_plots.interactions(search.interactions)
    if search.pareto is not None:
        found["pareto"] = evidence_plots.pareto(search.pareto)
    if search.confirmation is not None:
        found["confirmation"] = evidence_plots.confirmation(search.confirmation)
    if search.transfer is not None:
        found["transfer"] = evidence_plots.transfer(search.transfer)
    return found


def expected_epochs(recipe: Recipe, supply: Supply | None) -> dict[str, tuple[float, ...]] | None:
    """Return how often each mixture goes through each domain in the run of the recipe; None where that is not known."""
    if supply is None:
        return None
    return {
        name: tuple(_epochs(recipe.tokens, recipe.weights(name), supply.target)) for name in recipe.mixtures
    }  # fmt: skip


def proxy_epochs(search: Search) -> Range | None:
    """Return the lowest and highest number of epochs per domain over the proxies; None where that is not known."""
    if search.supply is None:
        return None
    supply = search.supply.proxy
    columns = zip(*(_epochs(proxy.tokens, proxy.weights, supply) for proxy in search.shown), strict=True)
    return [(min(column), max(column)) for column in columns]


def _epochs(tokens: int, weights: Sequence[float], supply: Sequence[float]) -> list[float]:
    # A domain that is only measured on has no weight, and may have no text to train on.
    return [weight * tokens / own if weight else 0.0 for weight, own in zip(weights, supply, strict=True)]


def best_mixtures(folder: Path) -> list[dict[str, Any]]:
    """Return the recipe's mixture, natural, and the best measured runs, best first, as rows of a table.

    Raises:
        DataError: a file or field is missing.
    """
    recipe, search = read_recipe(folder), read_search(folder)
    ranked = sorted(search.compared, key=lambda proxy: proxy.objective)
    natural = [proxy for proxy in ranked if proxy.kind == "natural"]
    shares = {f"{name} %": f"{100 * weight:.1f}" for name, weight in zip(recipe.domains, recipe.searched, strict=True)}
    chosen = {"mixture": f"recipe: {search.chosen}", "kind": "", "measured": "", "predicted without it": "", **shares}
    return [chosen, *(_row(recipe, proxy) for proxy in [*natural, *ranked[:_BEST]])]


def _row(recipe: Recipe, proxy: Proxy) -> dict[str, Any]:
    shares = {f"{name} %": f"{100 * weight:.1f}" for name, weight in zip(recipe.domains, proxy.weights, strict=True)}
    said = "" if proxy.predicted is None else f"{proxy.predicted:.4f}"
    told = {"kind": proxy.kind, "measured": f"{proxy.objective:.4f}", "predicted without it": said}
    return {"mixture": f"run {proxy.run}", **told, **shares}
