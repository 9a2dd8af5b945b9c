"""The pictures of a search: the mixture it found, what every run brought, what was foreseen, and how methods compare."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Protocol

from tasks.report.canvas import INK, MIXTURE_COLOURS, MUTED, NATURAL, PAPER, RULE, SEARCHED, SERIES, drawn
from tasks.report.marks import KINDS, WIDTH, beside, by_kind, legend, percent, room, rows_of, short, signed
from tasks.report.search_types import Forecast, Proxy, Search
from tasks.report.types import Recipe

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# So many domains have a bar per mixture each; more have one line each, the largest first.
_BARS = 14
# Runs this many times above what a picture is about would flatten it: they are drawn at its upper edge.
_HEADROOM = 1.6


def mixture(recipe: Recipe, caps: Sequence[float] | None) -> str:
    """Return the weights of the searched mixture beside the baselines', per domain, with the caps."""
    many = len(recipe.domains) > _BARS
    order = sorted(range(len(recipe.domains)), key=lambda d: -recipe.searched[d] if many else 0.0)
    names = [short(recipe.domains[d]) for d in order]
    weights = {name: [recipe.weights(name)[d] for d in order] for name in recipe.mixtures}
    marked = None if caps is None else [caps[d] for d in order]
    largest = max(max(column) for column in weights.values())

    def draw(axes: "Axes") -> None:
        (_points if many else _bars)(axes, rows_of(axes, names), weights)
        if marked is not None:
            _caps(axes, [(row, cap) for row, cap in enumerate(marked) if cap <= largest])
        axes.set_xlim(0, (1.03 if many else 1.12) * largest)
        percent(axes)
        legend(axes, columns=5)

    pairs = zip(recipe.domains, recipe.searched, recipe.natural, strict=True)
    told = ", ".join(f"{name} {found:.0%} (natural {natural:.0%})" for name, found, natural in pairs)
    held = [] if caps is None else [d for d, cap in enumerate(caps) if cap < 1 and recipe.searched[d] >= 0.99 * cap]
    at_cap = f"; at the cap: {', '.join(recipe.domains[d] for d in held)}" if held else ""
    height = 21 if many else 16 + 10 * len(weights)
    label = f"Weights of the searched mixture: {told}{at_cap}."
    return drawn("mixture", label, (WIDTH, 74 + height * len(names)), (room(names), 30, 30, 34), draw)


def _bars(axes: "Axes", rows: Sequence[int], weights: dict[str, list[float]]) -> None:
    height = 0.8 / len(weights)
    for index, (name, column) in enumerate(weights.items()):
        place = (index - (len(weights) - 1) / 2) * height
        heights = [row + place for row in rows]
        axes.barh(heights, column, height=0.92 * height, color=MIXTURE_COLOURS[name], label=name)
        for at, weight in zip(heights, column, strict=True):
            beside(axes, weight, at, f"{weight:.1%}", fontsize=9.5)


def _points(axes: "Axes", rows: Sequence[int], weights: dict[str, list[float]]) -> None:
    axes.hlines(rows, weights["natural"], weights["searched"], color=SEARCHED, alpha=0.35, linewidth=3, zorder=1)
    for name, column in reversed(weights.items()):
        axes.plot(
            column, rows, linestyle="none", marker=KINDS[name][0], markersize=8 if name == "searched" else 6,
            color=MIXTURE_COLOURS[name], markeredgecolor=PAPER, markeredgewidth=0.8, label=name, zorder=3,
        )  # fmt: skip


def _caps(axes: "Axes", caps: Sequence[tuple[int, float]]) -> None:
    """Mark the largest weight that each domain's text allows, where that lies in the picture."""
    if caps:
        rows, ends = zip(*caps, strict=True)
        axes.vlines(
            ends, [row - 0.45 for row in rows], [row + 0.45 for row in rows], color=INK, linewidth=1.6, label="cap"
        )


def regret(search: Search, forecast: Forecast) -> str:
    """Return how far each run, and the best so far, lies above the best that the search measured."""
    runs = search.shown
    compared = set(search.compared)
    comparable = [proxy in compared for proxy in runs]
    best = min(proxy.objective for proxy in compared)
    values = [proxy.objective - best for proxy in runs]
    so_far = best_so_far(values, comparable)
    levels = {proxy.kind: proxy.objective - best for proxy in search.compared}
    baselines = {name: levels[name] for name in ("natural", "uniform", "unimax") if name in levels}
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
        by_kind(axes, [proxy.kind for proxy in runs], range(len(runs)), [min(value, top) for value in values])
        for index in beyond:
            axes.annotate("↑", (index, top), (0, 3), textcoords="offset points", ha="center", fontsize=10, color=MUTED)
        _ring(axes, search, runs, values)
        axes.set(xlim=(-0.7, len(runs) - 0.3), ylim=(low, 1.08 * min(top, max(values))))
        axes.set_xlabel("run")
        axes.set_ylabel("above the best measured")
        axes.grid(axis="y")
        legend(axes, columns=7)

    told = "".join(f"; {name} lies {level:.4f} above it" for name, level in baselines.items())
    more = f"; {len(beyond)} above the edge of the picture, up to {max(values):.4f}" if beyond else ""
    label = (
        f"Regret of {len(runs)} proxy runs in the order they were run: the best measured has {best:.4f}, first reached by "
        f"run {runs[values.index(0.0)].run}{told}{more}; the forecast for the recipe lies {signed(foreseen)} from it; "
        f"noise {forecast.noise_sd:.4f}."
    )
    return drawn("regret", label, (WIDTH, 360), (66, 14, 46, 54), draw)


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


def _ring(axes: "Axes", search: Search, runs: Sequence[Proxy], values: Sequence[float]) -> None:
    chosen = [index for index, proxy in enumerate(runs) if search.chosen == f"run {proxy.run}"]
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
class _Told:
    """A prediction beside what was measured; `z` only of confirmed candidates."""

    kind: str
    said: float
    sd: float
    measured: float
    name: str = ""
    z: float = 0.0


def predicted(search: Search, forecast: Forecast) -> str:
    """Return what the predictor says of each run it has not seen, and of confirmed candidates, against what came out."""
    known = [
        _Told(proxy.kind, proxy.predicted, proxy.predicted_sd, proxy.objective)
        for proxy in search.proxies
        if proxy.predicted is not None and proxy.predicted_sd is not None
    ]
    confirmed = _confirmed(search, forecast)
    ends = [
        value for each in (*known, *confirmed) for value in (each.said - each.sd, each.said + each.sd, each.measured)
    ]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    pad = 0.05 * (high - low) or 0.01
    span = (low - pad, high + pad)

    def draw(axes: "Axes") -> None:
        axes.plot(span, span, color=MUTED, linewidth=1, zorder=0)
        axes.hlines(
            [each.measured for each in known], [each.said - each.sd for each in known],
            [each.said + each.sd for each in known], color=MUTED, linewidth=1, alpha=0.6, zorder=1,
        )  # fmt: skip
        both = [*known, *confirmed]
        by_kind(axes, [e.kind for e in both], [e.said for e in both], [e.measured for e in both])
        for index, each in enumerate(confirmed):
            # Points lie along the diagonal: the upper left is free.
            axes.text(0.03, 0.95 - 0.05 * index, _told_z(each), transform=axes.transAxes, fontsize=11, va="center")
        axes.set(xlim=span, ylim=span)
        axes.set_xlabel("predicted by a fit without it")
        axes.set_ylabel("measured")
        axes.grid(True)
        axes.set_aspect("equal")
        legend(axes, columns=4)

    error = (sum((each.measured - each.said) ** 2 for each in known) / max(len(known), 1)) ** 0.5
    told = "".join(f"; with fresh seeds {_told_z(each)}" for each in confirmed)
    label = (
        f"Predicted against measured objective of {len(known)} proxy runs; root mean square error {error:.4f}{told}."
    )
    return drawn("predicted", label, (430, 450), (62, 10, 46, 54), draw)


def _confirmed(search: Search, forecast: Forecast) -> list[_Told]:
    """Return the confirmed candidates: their gains, below what natural is predicted to have and what it measured."""
    if search.confirmation is None or search.natural.kind != "natural":
        return []
    natural = search.natural.objective
    return [
        _Told(
            kind="confirm",
            said=forecast.predicted_natural - each.predicted,
            sd=0.0,
            measured=natural - each.over_natural.gain,
            name=each.name,
            z=each.z,
        )
        for each in search.confirmation.candidates
        if each.predicted is not None and each.z is not None
    ]


def _told_z(each: _Told) -> str:
    return f"{each.name}: z {signed(each.z, 1)}"


class Method(Protocol):
    """A method of search, or a baseline, in a comparison: gains over natural, an interval that is NaN if there is none."""

    @property
    def method(self) -> str:
        """Its name."""

    @property
    def objective(self) -> float:
        """Mean over searches and training seeds."""

    @property
    def gain(self) -> float:
        """Mean gain over natural."""

    @property
    def lower(self) -> float:
        """Lower end of the gain's interval."""

    @property
    def upper(self) -> float:
        """Upper end of the gain's interval."""

    @property
    def searches(self) -> tuple[float, ...]:
        """The gain of every single search; of a baseline, one."""


def methods(rows: Sequence[Method]) -> str:
    """Return the gain of every method over natural: its searches as dots, their mean, and its interval; best on top."""
    shown = sorted(rows, key=lambda row: -row.gain)
    names = [row.method.replace("_", " ") for row in shown]

    def draw(axes: "Axes") -> None:
        heights = rows_of(axes, names)
        axes.axvline(0, color=NATURAL, linewidth=1.4, linestyle=(0, (4, 3)), label="natural", zorder=1)
        for height, row in zip(heights, shown, strict=True):
            axes.hlines(height, row.lower, row.upper, color=SEARCHED, alpha=0.35, linewidth=7, zorder=2)
            if len(row.searches) > 1:
                axes.plot(
                    row.searches, [height + 0.24] * len(row.searches), linestyle="none", marker="o", markersize=6,
                    color=SERIES[0], markeredgecolor=PAPER, markeredgewidth=0.8, zorder=3,
                )  # fmt: skip
            axes.plot([row.gain], [height], marker="D", markersize=8, color=SEARCHED, zorder=4)
            axes.annotate(
                f"{row.objective:.4f}", (1, height), (8, 0), xycoords=("axes fraction", "data"),
                textcoords="offset points", va="center", color=MUTED, fontsize=11,
            )  # fmt: skip
        axes.annotate(
            "objective", (1, 1), (4, 6), xycoords="axes fraction", textcoords="offset points", color=MUTED, fontsize=11
        )
        axes.plot([], [], linestyle="none", marker="D", markersize=8, color=SEARCHED, label="mean")
        axes.plot([], [], linestyle="none", marker="o", markersize=6, color=SERIES[0], label="one search each")
        axes.plot([], [], color=SEARCHED, alpha=0.35, linewidth=7, label="interval")
        axes.margins(x=0.06)
        axes.grid(axis="x")
        axes.set_xlabel("← worse · gain over natural, bits per byte · better →")
        legend(axes, columns=4)

    told = "; ".join(f"{row.method} {signed(row.gain)}{_span(row)}" for row in shown)
    label = f"Gain over natural in bits per byte on the test split, mean over searches and training seeds: {told}."
    return drawn("methods", label, (WIDTH, 90 + 38 * len(names)), (room(names), 64, 48, 34), draw)


def _span(row: Method) -> str:
    return f" ({signed(row.lower)} to {signed(row.upper)})" if row.upper > row.lower else ""
