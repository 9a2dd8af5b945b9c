"""The pictures of a search: the mixture it found and its epochs, what every run brought, and what was foreseen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from tasks.mixture.pictures.evidence import PredictedRun, SearchEvidence
from tasks.mixture.published import BASELINES, Recipe
from tasks.mixture.published_forecast import Forecast
from tasks.pictures.canvas import INK, MIXTURE_COLOURS, MUTED, PAPER, RULE, SEARCHED, drawn, marked
from tasks.pictures.marks import KINDS, WIDTH, beside, by_kind, legend, percent, points, room, rows_of, short, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# So many domains have a bar per mixture each; more have one line each, the largest first.
_BARS = 14
# Runs this many times above what a picture is about would flatten it: they are drawn at its upper edge.
_HEADROOM = 1.6
_BEYOND = 1.5
# The range (lowest, highest) of each domain's epochs over the proxies.
Range = Sequence[tuple[float, float]]


def mixture(recipe: Recipe, caps: Sequence[float]) -> str:
    """Return the weights of the searched mixture beside the baselines', per domain, with the caps."""
    many = len(recipe.domains) > _BARS
    order = sorted(range(len(recipe.domains)), key=lambda d: -recipe.searched[d] if many else 0.0)
    names = [short(recipe.domains[d]) for d in order]
    weights: dict[str, list[float]] = {name: [recipe.weights(name)[d] for d in order] for name in recipe.mixtures}
    marked = [caps[d] for d in order]
    largest = max(max(column) for column in weights.values())

    def draw(axes: "Axes") -> None:
        (_points if many else _bars)(axes, rows_of(axes, names), weights)
        _caps(axes, [(row, cap) for row, cap in enumerate(marked) if cap <= largest])
        axes.set_xlim(0, (1.03 if many else 1.12) * largest)
        percent(axes)
        legend(axes, columns=5)

    pairs = zip(recipe.domains, recipe.searched, recipe.weights("natural"), strict=True)
    text = ", ".join(f"{name} {found:.0%} (natural {natural:.0%})" for name, found, natural in pairs)
    held = [d for d, cap in enumerate(caps) if cap < 1 and recipe.searched[d] >= 0.99 * cap]
    at_cap = f"; at the cap: {', '.join(recipe.domains[d] for d in held)}" if held else ""
    height = 21 if many else 16 + 10 * len(weights)
    label = f"Weights of the searched mixture: {text}{at_cap}."
    return drawn("mixture", label, (WIDTH, 74 + height * len(names)), (room(names), 30, 30, 34), draw)


def _bars(axes: "Axes", rows: Sequence[int], weights: dict[str, list[float]]) -> None:
    height = 0.8 / len(weights)
    for index, (name, column) in enumerate(weights.items()):
        place = (index - (len(weights) - 1) / 2) * height
        heights = [row + place for row in rows]
        bars = axes.barh(heights, column, height=0.92 * height, color=MIXTURE_COLOURS[name], label=name)
        for bar, at, weight, domain in zip(bars, heights, column, axes.get_yticklabels(), strict=True):
            marked(bar, f"{domain.get_text()}, {name}: {weight:.1%}")
            beside(axes, weight, at, f"{weight:.1%}", fontsize=9.5)


def _points(axes: "Axes", rows: Sequence[int], weights: dict[str, list[float]]) -> None:
    axes.hlines(rows, weights["natural"], weights["searched"], color=SEARCHED, alpha=0.35, linewidth=3, zorder=1)
    for name, column in reversed(weights.items()):
        domains = [tick.get_text() for tick in axes.get_yticklabels()]
        told = [f"{domain}, {name}: {weight:.1%}" for domain, weight in zip(domains, column, strict=True)]
        points(
            axes, column, rows, told, label=name, marker=KINDS[name][0], markersize=8 if name == "searched" else 6,
            color=MIXTURE_COLOURS[name], markeredgecolor=PAPER, markeredgewidth=0.8, zorder=3,
        )  # fmt: skip


def _caps(axes: "Axes", caps: Sequence[tuple[int, float]]) -> None:
    """Mark the largest weight that each domain's text allows, where that lies in the picture."""
    if caps:
        rows, ends = zip(*caps, strict=True)
        axes.vlines(
            ends, [row - 0.45 for row in rows], [row + 0.45 for row in rows], color=INK, linewidth=1.6, label="cap"
        )


def regret(search: SearchEvidence, forecast: Forecast) -> str:
    """Return how far each run, and the best so far, lies above the best that the search measured."""
    runs = search.shown
    compared = {proxy.run for proxy in search.compared}
    comparable = [proxy.run in compared for proxy in runs]
    best = min(proxy.objective for proxy in search.compared)
    values = [proxy.objective - best for proxy in runs]
    so_far = best_so_far(values, comparable)
    levels: dict[str, float] = {proxy.kind: proxy.objective - best for proxy in search.compared}
    baselines = {name: levels[name] for name in BASELINES if name in levels}
    foreseen = forecast.predicted_searched - best
    top = _HEADROOM * max(median(values), so_far[0], *baselines.values(), forecast.noise_sd)
    beyond = [index for index, value in enumerate(values) if value > top]
    low = min(0.0, foreseen, *values) - 0.06 * min(top, max(values))

    def draw(axes: "Axes") -> None:
        _rounds(axes, [proxy.round for proxy in runs])
        axes.axhspan(-forecast.noise_sd, forecast.noise_sd, color=INK, alpha=0.09, linewidth=0, label="± noise (1 sd)")
        for name, level in baselines.items():
            axes.axhline(level, color=MIXTURE_COLOURS[name], linewidth=1.1, linestyle=(0, (4, 3)), zorder=1)
        axes.axhline(foreseen, color=SEARCHED, linewidth=1.3, linestyle=(0, (1.2, 1.8)), label="forecast")
        axes.step(range(len(so_far)), so_far, where="post", color=INK, linewidth=1.4, label="best so far", zorder=2)
        told = [f"run {proxy.run}, {proxy.kind}: {value:.4f} above" for proxy, value in zip(runs, values, strict=True)]
        heights = [min(value, top) for value in values]
        by_kind(axes, [proxy.kind for proxy in runs], range(len(runs)), heights, told)
        for index in beyond:
            axes.annotate("↑", (index, top), (0, 3), textcoords="offset points", ha="center", fontsize=10, color=MUTED)
        _ring(axes, search, runs, values)
        axes.set(xlim=(-0.7, len(runs) - 0.3), ylim=(low, 1.08 * min(top, max(values))))
        axes.locator_params(axis="x", integer=True)
        axes.set_xlabel("run")
        axes.set_ylabel("above the best measured")
        axes.grid(axis="y")
        legend(axes, columns=5)

    text = "".join(f"; {name} lies {level:.4f} above it" for name, level in baselines.items())
    more = f"; {len(beyond)} above the edge of the picture, up to {max(values):.4f}" if beyond else ""
    label = (
        f"Regret of {len(runs)} proxy runs in the order they were run: the best measured has {best:.4f}, first reached by "
        f"run {runs[values.index(0.0)].run}{text}{more}; the forecast for the recipe lies {signed(foreseen)} from it; "
        f"noise {forecast.noise_sd:.4f}."
    )
    return drawn("regret", label, (WIDTH, 376), (66, 14, 46, 70), draw)


def best_so_far(values: Sequence[float], comparable: Sequence[bool]) -> list[float]:
    """Return the lowest comparable value up to each run; before the first one, that one.

    >>> best_so_far([3.0, 2.0, 1.0, 1.5], [True, True, False, True])
    [3.0, 2.0, 2.0, 1.5]
    """
    best = next(value for value, yes in zip(values, comparable, strict=True) if yes)
    found = []
    for value, yes in zip(values, comparable, strict=True):
        best = min(best, value) if yes else best
        found.append(best)
    return found


def _ring(axes: "Axes", search: SearchEvidence, runs: Sequence[PredictedRun], values: Sequence[float]) -> None:
    chosen = [index for index, proxy in enumerate(runs) if proxy.run == search.candidates.decision.run]
    if chosen:
        axes.plot(
            chosen, [values[index] for index in chosen], linestyle="none", marker="o", markersize=13,
            markerfacecolor="none", color=INK, label="chosen",
        )  # fmt: skip


def _rounds(axes: "Axes", rounds: Sequence[int]) -> None:
    """Shade every second round."""
    start = 0
    for index in range(1, len(rounds) + 1):
        if index == len(rounds) or rounds[index] != rounds[start]:
            if rounds[start] % 2:
                axes.axvspan(start - 0.5, index - 0.5, color=RULE, alpha=0.35, linewidth=0)
            start = index


@dataclass(frozen=True)
class _Prediction:
    """A prediction beside what was measured; `z` only of confirmed candidates."""

    kind: str
    predicted: float
    sd: float
    measured: float
    name: str
    z: float = 0.0


def predicted(search: SearchEvidence, forecast: Forecast) -> str:
    """Return what the predictor says of each run it has not seen, and of confirmed candidates, against what came out."""
    known = [
        _Prediction(proxy.kind, proxy.predicted, proxy.predicted_sd, proxy.objective, f"run {proxy.run}, {proxy.kind}")
        for proxy in search.runs
        if proxy.predicted is not None and proxy.predicted_sd is not None
    ]
    confirmed = _confirmed(search, forecast)
    ends = [
        value
        for each in (*known, *confirmed)
        for value in (each.predicted - each.sd, each.predicted + each.sd, each.measured)
    ]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    pad = 0.05 * (high - low) or 0.01
    span = (low - pad, high + pad)

    def draw(axes: "Axes") -> None:
        axes.plot(span, span, color=MUTED, linewidth=1, zorder=0)
        axes.hlines(
            [each.measured for each in known], [each.predicted - each.sd for each in known],
            [each.predicted + each.sd for each in known], color=MUTED, linewidth=1, alpha=0.6, zorder=1,
        )  # fmt: skip
        both = [*known, *confirmed]
        told = [f"{each.name}: predicted {each.predicted:.4f}, measured {each.measured:.4f}" for each in both]
        by_kind(axes, [e.kind for e in both], [e.predicted for e in both], [e.measured for e in both], told)
        for index, each in enumerate(confirmed):
            # Points lie along the diagonal: the upper left is free.
            axes.text(0.03, 0.95 - 0.05 * index, _with_z(each), transform=axes.transAxes, fontsize=11, va="center")
        axes.set(xlim=span, ylim=span)
        axes.set_xlabel("predicted by a fit without it")
        axes.set_ylabel("measured")
        axes.grid(True)
        axes.set_aspect("equal")
        legend(axes, columns=4)

    error = (sum((each.measured - each.predicted) ** 2 for each in known) / max(len(known), 1)) ** 0.5
    text = "".join(f"; with fresh seeds {_with_z(each)}" for each in confirmed)
    label = (
        f"Predicted against measured objective of {len(known)} proxy runs; root mean square error {error:.4f}{text}."
    )
    return drawn("predicted", label, (430, 450), (62, 10, 46, 54), draw)


def _confirmed(search: SearchEvidence, forecast: Forecast) -> list[_Prediction]:
    """Return the confirmed candidates: their gains, below what natural is predicted to have and what it measured."""
    confirmation = search.candidates.confirmation
    if confirmation is None or search.natural.kind != "natural":
        return []
    return [
        _Prediction(
            kind="confirm",
            predicted=forecast.predicted_natural - row.contender.gain,
            sd=0.0,
            measured=search.natural.objective - row.over_natural.mean,
            name=row.contender.name,
            z=row.z,
        )
        for row in confirmation.rows
        if row.over_natural is not None and row.z is not None
    ]


def _with_z(each: _Prediction) -> str:
    return f"{each.name}: z {each.z:+.1f}".replace("-", "−")


def epochs(recipe: Recipe, by_mixture: Mapping[str, Sequence[float]], proxies: Range | None) -> str:
    """Return how often each domain's training text is gone through in the full runs and in proxies, against the cap."""
    names = [short(name) for name in recipe.domains]
    shown = [name for name in ("searched", *BASELINES) if name in by_mixture]
    largest = max(*(value for name in shown for value in by_mixture[name]), recipe.max_epochs, 1e-9)
    # Proxies may go through a small domain many times: what they reach beyond this is told in words.
    reach = min(max((high for _, high in proxies or ()), default=0.0), _BEYOND * largest)

    def draw(axes: "Axes") -> None:
        rows = rows_of(axes, names)
        axes.hlines(rows, 0, [max(by_mixture[name][row] for name in shown) for row in rows], color=RULE, zorder=1)
        if proxies is not None:
            lows, highs = zip(*proxies, strict=True)
            axes.hlines(rows, lows, highs, color=MUTED, alpha=0.3, linewidth=7, zorder=2, label="proxies, all of them")
        for name in shown:
            own = [
                f"{domain}, {name}: {value:.2f} epochs" for domain, value in zip(names, by_mixture[name], strict=True)
            ]
            points(
                axes, by_mixture[name], rows, own, label=name, marker=KINDS[name][0], markersize=8, alpha=0.9,
                color=MIXTURE_COLOURS[name], zorder=3,
            )  # fmt: skip
        axes.axvline(recipe.max_epochs, color=INK, linestyle=(0, (4, 3)), linewidth=1.2, label="cap")
        axes.set_xlim(0, 1.06 * max(largest, reach))
        axes.set_xlabel("epochs over the domain's training text")
        axes.grid(axis="x")
        legend(axes, columns=6)

    pairs = zip(recipe.domains, by_mixture[shown[0]], strict=True)
    text = ", ".join(f"{name} {value:.2f}" for name, value in pairs)
    cap = f"the cap is {recipe.max_epochs:g}"
    most = "" if proxies is None else f"; proxies reach {max(high for _, high in proxies):.2f}"
    label = f"Epochs per domain under the {shown[0]} mixture: {text}; {cap}{most}."
    height = 30 if len(names) <= 14 else 21
    return drawn("epochs", label, (WIDTH, 84 + height * len(names)), (room(names), 24, 48, 34), draw)
