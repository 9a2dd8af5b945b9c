"""What search and train did: the recipe and its forecast, the proxies, the training curves."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from tasks.core.errors import DataError
from tasks.report.read import Fields, read_fields, read_rows
from tasks.report.types import (
    MIXTURES,
    Curve,
    Forecast,
    Phase,
    Predictor,
    Proxy,
    Recipe,
    Search,
    Training,
)

# A curve is drawn from at most so many points, each the mean of as many steps.
_POINTS = 120


def read_recipe(search: Path, domains: Sequence[str]) -> Recipe:
    """Return the recipe, its domains checked against the token pool's.

    Raises:
        DataError: a field is missing, or the recipe is for other domains.
    """
    recipe = read_fields(search / "recipe.json")
    names = recipe.texts("domains")
    if names != tuple(domains):
        raise DataError(f"{search}/recipe.json: its domains are {', '.join(names)}, the pool has {', '.join(domains)}.")
    baselines = recipe.fields("baselines")
    return Recipe(
        domains=names,
        phases=tuple(
            Phase(phase.whole("tokens"), _per_domain(phase, "weights", names)) for phase in recipe.each("phases")
        ),
        natural=_per_domain(baselines, "natural", names),
        uniform=_per_domain(baselines, "uniform", names),
        max_epochs=None if recipe.is_null("max_epochs") else recipe.number("max_epochs"),
        uniform_capped=recipe.texts("uniform_capped"),
    )


def read_forecast(search: Path) -> Forecast:
    """Return the forecast that was stored before training.

    Raises:
        DataError: a field is missing.
    """
    forecast = read_fields(search / "forecast.json")
    return Forecast(
        objective=forecast.text("objective"),
        gain=forecast.number("gain_over_natural"),
        lower=forecast.number("lower"),
        upper=forecast.number("upper"),
        confidence=forecast.number("confidence"),
        predicted_searched=forecast.number("predicted_searched"),
        predicted_natural=forecast.number("predicted_natural"),
        model_parameters=forecast.whole("model_parameters"),
        tokens=forecast.whole("tokens"),
        noise_sd=forecast.number("noise_sd"),
        status=forecast.text("status"),
        statement=forecast.text("statement"),
    )


def read_search(search: Path) -> Search:
    """Return the proxies in the order they were run, and how the mixture was chosen.

    Raises:
        DataError: a column or field is missing, or there is no run at all.
    """
    rows = list(read_rows(search / "runs.csv"))
    if not rows:
        raise DataError(f"{search}/runs.csv: it has no runs. Run search again.")
    candidates = read_fields(search / "candidates.json")
    told = {item.whole("run"): (item.number("predicted"), item.number("sd")) for item in candidates.each("held_out")}
    used = candidates.fields("predictor").text("chosen")
    decision = candidates.fields("decision")
    return Search(
        proxies=tuple(_proxy(row, told) for row in rows),
        model_parameters=rows[0].whole("model_parameters"),
        tokens=rows[0].whole("tokens"),
        predictors=tuple(_predictor(item, used) for item in candidates.each("tried")),
        chosen=decision.text("chosen"),
        reason=decision.text("reason"),
    )


def _proxy(row: Fields, told: Mapping[int, tuple[float, float]]) -> Proxy:
    run = row.whole("run")
    predicted, sd = told.get(run, (None, None))
    return Proxy(str(run), row.whole("round"), row.text("kind"), row.number("objective"), predicted, sd)


def _predictor(item: Fields, used: str) -> Predictor:
    kind = item.text("kind")
    return Predictor(kind, item.number("rmse"), item.number("spearman"), item.number("coverage"), kind == used)


def read_training(train: Path, domains: Sequence[str]) -> Training:
    """Return the training curves of each mixture, and what its runs consumed.

    Raises:
        DataError: a field is missing, there are no runs, or runs of one mixture have different steps.
    """
    losses: dict[str, list[list[float]]] = defaultdict(list)
    epochs: dict[str, tuple[float, ...]] = {}
    runs = read_fields(train / "runs.json").each("runs")
    if not runs:
        raise DataError(f"{train}/runs.json: it has no runs. Run train again.")
    for run in runs:
        steps = read_rows(train / "models" / run.text("name") / "losses.csv")
        losses[run.text("mixture")].append([row.number("loss") for row in steps])
        consumed = run.fields("consumed")
        epochs.setdefault(run.text("mixture"), tuple(consumed.fields(name).number("epochs") for name in domains))
    return Training(
        curves=tuple(curve_of(mixture, losses[mixture]) for mixture in MIXTURES if mixture in losses),
        epochs=epochs,
        model_parameters=runs[0].whole("parameters"),
        flops=sum(run.whole("flops") for run in runs),
    )


def curve_of(mixture: str, losses: Sequence[Sequence[float]]) -> Curve:
    """Return the curve of one mixture from the losses of its seeds, a list of steps each.

    Raises:
        DataError: the seeds have different numbers of steps, or none.
    """
    lengths = {len(steps) for steps in losses}
    if len(lengths) != 1 or 0 in lengths:
        raise DataError(f"{mixture}: its seeds have losses of {sorted(lengths)} steps. Run train again.")
    length = lengths.pop()
    width = -(-length // _POINTS)
    starts = range(0, length, width)
    binned = [[fmean(steps[start : start + width]) for start in starts] for steps in losses]
    columns = list(zip(*binned, strict=True))
    return Curve(
        mixture=mixture,
        seeds=len(losses),
        steps=tuple(min(start + width, length) for start in starts),
        mean=tuple(fmean(column) for column in columns),
        low=tuple(min(column) for column in columns),
        high=tuple(max(column) for column in columns),
    )


def _per_domain(fields: Fields, name: str, domains: Sequence[str]) -> tuple[float, ...]:
    weights = fields.numbers(name)
    if len(weights) != len(domains):
        raise DataError(f"{fields.where}: {len(weights)} {name} for {len(domains)} domains. Run search again.")
    return weights
