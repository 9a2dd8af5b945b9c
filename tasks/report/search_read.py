"""What a search published, read strictly: the forecast, the proxies, and the evidence it stored about them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from tasks.core.errors import DataError
from tasks.report.read import Fields, read_fields, read_rows
from tasks.report.search_types import (
    Confirmation,
    Confirmed,
    Forecast,
    Interactions,
    Interval,
    Pareto,
    Point,
    Predictor,
    Proxy,
    Search,
    Supply,
    Transfer,
)

_WEIGHT = "w:"

T = TypeVar("T")


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
    """Return the proxies in the order they were run, how the mixture was chosen, and what else was looked at.

    Raises:
        DataError: a column or field is missing, or there is no run at all.
    """
    rows = list(read_rows(search / "runs.csv"))
    if not rows:
        raise DataError(f"{search}/runs.csv: it has no runs. Run search again.")
    domains = [name.removeprefix(_WEIGHT) for name in rows[0].value if name.startswith(_WEIGHT)]
    candidates = read_fields(search / "candidates.json")
    told = {item.whole("run"): (item.number("predicted"), item.number("sd")) for item in candidates.each("held_out")}
    used = candidates.fields("predictor")
    decision = candidates.fields("decision")
    return Search(
        proxies=tuple(_proxy(row, domains, told) for row in rows),
        predictors=tuple(_predictor(item, used) for item in candidates.each("tried")),
        chosen=decision.text("chosen"),
        reason=decision.text("reason"),
        supply=_supply(candidates.fields_if_any("supply"), len(domains)),
        interactions=_interactions(candidates.fields_if_any("interactions")),
        pareto=_pareto(candidates.fields_if_any("pareto")),
        confirmation=_confirmation(candidates.fields_if_any("confirmation")),
        transfer=_transfer(candidates.fields_if_any("transfer")),
    )


def _proxy(row: Fields, domains: Sequence[str], told: Mapping[int, tuple[float, float]]) -> Proxy:
    run = row.whole("run")
    predicted, sd = told.get(run, (None, None))
    return Proxy(
        run=str(run),
        round=row.whole("round"),
        kind=row.text("kind"),
        seed=row.whole("seed"),
        model_parameters=row.whole("model_parameters"),
        tokens=row.whole("tokens"),
        objective=row.number("objective"),
        weights=tuple(row.number(_WEIGHT + name) for name in domains),
        predicted=predicted,
        predicted_sd=sd,
    )


def _predictor(item: Fields, used: Fields) -> Predictor:
    kind, members = item.text("kind"), used.each("members")
    shares = [member.number("share") for member in members if member.fields("params").text("kind") == kind]
    return Predictor(
        kind=kind,
        rmse=item.number("rmse"),
        spearman=item.number("spearman"),
        coverage=item.number("coverage"),
        chosen=kind == used.text("chosen"),
        share=sum(shares) if shares and len(members) > 1 else None,
    )


def _supply(found: Fields | None, num_domains: int) -> Supply | None:
    if found is None:
        return None
    return Supply(*(_sized(found, found.numbers(name), name, num_domains) for name in ("target", "proxy")))


def _interactions(found: Fields | None) -> Interactions | None:
    if found is None:
        return None
    sets, domains = found.texts("sets"), found.texts("domains")
    rows = _sized(found, found.lists("values"), "values", len(sets))
    values = tuple(_sized(found, row, "values", len(domains)) for row in rows)
    return Interactions(sets, domains, values, found.text("unit"))


def _pareto(found: Fields | None) -> Pareto | None:
    if found is None:
        return None
    names = found.texts("objectives")

    def per_objective(fields: Fields, name: str) -> tuple[float, ...]:
        return _sized(fields, fields.numbers(name), name, len(names))

    points = tuple(
        Point(item.whole("run"), item.text("kind"), per_objective(item, "values"), item.truth("front"))
        for item in found.each("points")
    )
    return Pareto(names, points, per_objective(found, "chosen"), per_objective(found, "natural"))


def _confirmation(found: Fields | None) -> Confirmation | None:
    if found is None:
        return None
    return Confirmation(tuple(_confirmed(item) for item in found.each("candidates")), found.text("verdict"))


def _confirmed(item: Fields) -> Confirmed:
    natural = Interval(item.number("gain_over_natural"), item.number("lower"), item.number("upper"))
    best = None
    if not item.is_null("gain_over_best"):
        best = Interval(item.number("gain_over_best"), item.number("lower_best"), item.number("upper_best"))
    return Confirmed(item.text("name"), natural, best, item.number_if_any("predicted"), item.number_if_any("z"))


def _transfer(found: Fields | None) -> Transfer | None:
    if found is None:
        return None
    sizes = [(size.whole("model_parameters"), size.whole("tokens")) for size in found.each("sizes")]
    if len(sizes) != 2:
        raise DataError(f"{found.where}: {len(sizes)} sizes, expected 2. Run search again.")
    points = found.each("points")
    return Transfer(
        sizes=(sizes[0], sizes[1]),
        runs=tuple(point.whole("run") for point in points),
        first=tuple(point.number("first") for point in points),
        second=tuple(point.number("second") for point in points),
        top=tuple(point.truth("top") for point in points),
        spearman=found.number("spearman"),
        lower=found.number("lower"),
        upper=found.number("upper"),
        top_quartile=found.number_if_any("top_quartile"),
        verdict=found.text("verdict"),
    )


def _sized(found: Fields, values: tuple[T, ...], name: str, length: int) -> tuple[T, ...]:
    if len(values) != length:
        raise DataError(f"{found.where}: {name!r} has {len(values)} values, expected {length}. Run search again.")
    return values
