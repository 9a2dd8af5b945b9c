"""The pictures of the runs: the mixture, the search for it, the training on it, and what came of the forecast."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tasks.report.canvas import INK, MIXTURE_COLOURS, MUTED, NATURAL, PAPER, RULE, SEARCHED, SERIES, UNIFORM, drawn
from tasks.report.marks import WIDTH, beside, legend, percent, room, rows_of, short
from tasks.report.types import (
    MIXTURES,
    OVERALL,
    Curve,
    Evaluation,
    Forecast,
    Outcome,
    Proxy,
    Recipe,
    Search,
    Training,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def mixture(recipe: Recipe) -> str:
    """Return the weights of the searched mixture beside natural and uniform, per domain."""
    names = [short(name) for name in recipe.domains]

    def draw(axes: "Axes") -> None:
        rows = rows_of(axes, names)
        for place, name in zip((-0.27, 0.0, 0.27), MIXTURES, strict=True):
            weights = recipe.weights(name)
            axes.barh([row + place for row in rows], weights, height=0.25, color=MIXTURE_COLOURS[name], label=name)
            for row, weight in zip(rows, weights, strict=True):
                beside(axes, weight, row + place, f"{weight:.1%}", fontsize=9.5)
        axes.set_xlim(0, 1.12 * max(max(recipe.weights(name)) for name in MIXTURES))
        percent(axes)
        legend(axes, columns=3)

    pairs = zip(recipe.domains, recipe.searched, recipe.natural, strict=True)
    told = ", ".join(f"{name} {found:.0%} (natural {natural:.0%})" for name, found, natural in pairs)
    label = f"Weights of the searched mixture: {told}."
    return drawn("mixture", label, (WIDTH, 74 + 46 * len(names)), (room(names), 30, 30, 34), draw)


def epochs(recipe: Recipe, training: Training) -> str:
    """Return how often each domain's training text was gone through, against the cap."""
    names = [short(name) for name in recipe.domains]
    shown = [name for name in MIXTURES if name in training.epochs]

    def draw(axes: "Axes") -> None:
        rows = rows_of(axes, names)
        for name in shown:
            axes.plot(
                training.epochs[name], rows, linestyle="none", marker=_KINDS[name][0], markersize=8, alpha=0.9,
                color=MIXTURE_COLOURS[name], label=name, zorder=3,
            )  # fmt: skip
        if recipe.max_epochs is not None:
            axes.axvline(recipe.max_epochs, color=INK, linestyle=(0, (4, 3)), linewidth=1.2, label="cap")
        axes.hlines(rows, 0, [max(training.epochs[name][row] for name in shown) for row in rows], color=RULE, zorder=1)
        seen = [value for name in shown for value in training.epochs[name]]
        axes.set_xlim(0, 1.06 * max(*seen, recipe.max_epochs or 0.0, 1e-9))
        axes.set_xlabel("epochs over the domain's training text")
        axes.grid(axis="x")
        legend(axes, columns=4)

    pairs = zip(recipe.domains, training.epochs[shown[0]], strict=True)
    told = ", ".join(f"{name} {value:.2f}" for name, value in pairs)
    cap = "no cap" if recipe.max_epochs is None else f"the cap is {recipe.max_epochs:g}"
    label = f"Epochs per domain under the {shown[0]} mixture: {told}; {cap}."
    return drawn("epochs", label, (WIDTH, 84 + 30 * len(names)), (room(names), 24, 48, 34), draw)


_KINDS = {
    "searched": ("o", SEARCHED),
    "natural": ("D", NATURAL),
    "uniform": ("s", UNIFORM),
    "design": ("o", SERIES[3]),
    "proposal": ("o", SEARCHED),
    "repeat": ("^", SERIES[1]),
}


def objective(search: Search, forecast: Forecast) -> str:
    """Return what each proxy measured, in the order of the search, and the best so far."""
    values = [proxy.objective for proxy in search.proxies]
    best = [min(values[: index + 1]) for index in range(len(values))]
    positions = list(range(len(values)))
    chosen = [index for index, proxy in enumerate(search.proxies) if search.chosen == f"run {proxy.run}"]

    def draw(axes: "Axes") -> None:
        _rounds(axes, [proxy.round for proxy in search.proxies])
        for name in ("natural", "uniform"):
            level = [proxy.objective for proxy in search.proxies if proxy.kind == name]
            if level:
                axes.axhline(level[0], color=MIXTURE_COLOURS[name], linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.step(positions, best, where="post", color=INK, linewidth=1.2, label="best so far")
        axes.fill_between(
            positions, [b - forecast.noise_sd for b in best], [b + forecast.noise_sd for b in best],
            step="post", color=INK, alpha=0.10, linewidth=0, label="± noise (1 sd)",
        )  # fmt: skip
        _by_kind(axes, search.proxies, positions, values)
        if chosen:
            axes.plot(
                chosen, [values[index] for index in chosen], linestyle="none", marker="o", markersize=13,
                markerfacecolor="none", color=INK, label="chosen",
            )  # fmt: skip
        axes.set_xlim(-0.7, len(values) - 0.3)
        axes.set_xlabel("run")
        axes.set_ylabel(forecast.objective)
        axes.grid(axis="y")
        legend(axes, columns=8)

    label = (
        f"Objective of {len(values)} proxy runs in the order they were run: from {max(values):.4f} to "
        f"{min(values):.4f}; noise {forecast.noise_sd:.4f}."
    )
    return drawn("objective", label, (WIDTH, 330), (62, 14, 46, 34), draw)


def predicted(search: Search) -> str:
    """Return what the predictor says of each run it has not seen, against what was measured."""
    known = [
        (proxy, proxy.predicted, proxy.predicted_sd)
        for proxy in search.proxies
        if proxy.predicted is not None and proxy.predicted_sd is not None
    ]
    ends = [value for proxy, said, sd in known for value in (said - sd, said + sd, proxy.objective)]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    pad = 0.05 * (high - low) or 0.01
    span = (low - pad, high + pad)

    def draw(axes: "Axes") -> None:
        axes.plot(span, span, color=MUTED, linewidth=1, zorder=0)
        axes.hlines(
            [proxy.objective for proxy, _, _ in known], [said - sd for _, said, sd in known],
            [said + sd for _, said, sd in known], color=MUTED, linewidth=1, alpha=0.6, zorder=1,
        )  # fmt: skip
        proxies = [proxy for proxy, _, _ in known]
        _by_kind(axes, proxies, [said for _, said, _ in known], [proxy.objective for proxy in proxies])
        axes.set(xlim=span, ylim=span)
        axes.set_xlabel("predicted by a fit without it")
        axes.set_ylabel("measured")
        axes.grid(True)
        axes.set_aspect("equal")
        legend(axes, columns=5)

    error = (sum((proxy.objective - said) ** 2 for proxy, said, _ in known) / max(len(known), 1)) ** 0.5
    label = f"Predicted against measured objective of {len(known)} proxy runs; root mean square error {error:.4f}."
    return drawn("predicted", label, (430, 430), (62, 10, 46, 34), draw)


def curves(shown: Sequence[Curve]) -> str:
    """Return the training loss of each mixture: the mean over seeds, and a band from the lowest to the highest."""

    def draw(axes: "Axes") -> None:
        for curve in shown:
            colour = MIXTURE_COLOURS[curve.mixture]
            axes.fill_between(curve.steps, curve.low, curve.high, color=colour, alpha=0.16, linewidth=0)
            axes.plot(curve.steps, curve.mean, color=colour, label=curve.mixture, linestyle=_LINES[curve.mixture])
        axes.set_xlabel("optimizer step")
        axes.set_ylabel("training loss, nats per token")
        axes.margins(x=0.01)
        axes.grid(axis="y")
        legend(axes, columns=3)

    told = ", ".join(f"{curve.mixture} {curve.mean[-1]:.3f}" for curve in shown)
    label = f"Training loss of each mixture on its own text, mean over seeds; at the end: {told}."
    return drawn("curves", label, (WIDTH, 330), (62, 14, 46, 34), draw)


_LINES: dict[str, Any] = {"searched": "-", "natural": (0, (6, 2)), "uniform": (0, (1.5, 1.5))}


def differences(evaluation: Evaluation) -> str:
    """Return, per domain and over all, how much better the searched mixture is, with intervals."""
    names = [*(short(name) for name in evaluation.domains), OVERALL]
    comparisons = list(evaluation.comparisons.values())

    def draw(axes: "Axes") -> None:
        rows = rows_of(axes, names)
        axes.axvline(0, color=INK, linewidth=1)
        axes.axhspan(len(names) - 1.5, len(names) - 0.5, color=RULE, alpha=0.35, linewidth=0)
        for place, comparison in zip((-0.16, 0.16), comparisons, strict=False):
            shown = [*comparison.per_domain, comparison.overall]
            heights, colour = [row + place for row in rows], MIXTURE_COLOURS[comparison.baseline]
            axes.hlines(heights, [d.lower for d in shown], [d.upper for d in shown], color=colour)
            axes.plot(
                [d.gain for d in shown], heights, linestyle="none", marker=_KINDS[comparison.baseline][0], markersize=6,
                color=colour, label=f"against {comparison.baseline}",
            )  # fmt: skip
        axes.grid(axis="x")
        axes.set_xlabel("← worse · gain of the searched mixture, bits per byte · better →")
        legend(axes, columns=2)

    pairs = zip(names, (*comparisons[0].per_domain, comparisons[0].overall), strict=True)
    told = ", ".join(f"{name} {d.gain:+.4f} ({d.lower:+.4f} to {d.upper:+.4f})" for name, d in pairs)
    label = f"Gain of the searched mixture over {comparisons[0].baseline} in bits per byte: {told}."
    return drawn("differences", label, (WIDTH, 84 + 32 * len(names)), (room(names), 18, 46, 34), draw)


def forecast_beside_outcome(forecast: Forecast, outcome: Outcome) -> str:
    """Return the interval that was forecast above the interval that came out."""
    measured = outcome.measured
    names = [_size_of("forecast", forecast), _size_of("outcome", outcome)]
    shown = ((forecast.lower, forecast.gain, forecast.upper), (measured.lower, measured.gain, measured.upper))

    def draw(axes: "Axes") -> None:
        rows = rows_of(axes, names)
        axes.axvline(0, color=INK, linewidth=1)
        for row, colour, (lower, middle, upper) in zip(rows, (UNIFORM, SEARCHED), shown, strict=True):
            axes.hlines(row, lower, upper, color=colour, linewidth=7, alpha=0.45)
            axes.plot([middle], [row], marker="o", markersize=10, color=colour)
            axes.text(middle, row - 0.32, _signed(middle), ha="center", fontsize=12, fontweight="bold")
        axes.margins(x=0.08)
        axes.set_ylim(1.5, -0.75)
        axes.grid(axis="x")
        axes.set_xlabel("gain over natural, bits per byte")

    label = (
        f"Forecast gain {forecast.gain:+.4f} ({forecast.lower:+.4f} to {forecast.upper:+.4f}); outcome "
        f"{measured.gain:+.4f} ({measured.lower:+.4f} to {measured.upper:+.4f})."
    )
    return drawn("forecast", label, (WIDTH, 170), (room(["0.25M parameters, 0.15M tokens"]), 24, 46, 4), draw)


def _size_of(name: str, of: Forecast | Outcome) -> str:
    return f"{name}\n{of.model_parameters / 1e6:.2f}M parameters, {of.tokens / 1e6:.2f}M tokens"


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−")


def _rounds(axes: "Axes", rounds: Sequence[int]) -> None:
    """Shade every second round."""
    start = 0
    for index in range(1, len(rounds) + 1):
        if index == len(rounds) or rounds[index] != rounds[start]:
            if rounds[start] % 2:
                axes.axvspan(start - 0.5, index - 0.5, color=RULE, alpha=0.35, linewidth=0)
            start = index


def _by_kind(axes: "Axes", proxies: Sequence[Proxy], across: Sequence[float], up: Sequence[float]) -> None:
    for kind, (marker, colour) in _KINDS.items():
        chosen = [index for index, proxy in enumerate(proxies) if proxy.kind == kind]
        if chosen:
            axes.plot(
                [across[i] for i in chosen], [up[i] for i in chosen], linestyle="none", marker=marker, markersize=6.5,
                color=colour, markeredgecolor=PAPER, markeredgewidth=0.8, label=kind,
            )  # fmt: skip
