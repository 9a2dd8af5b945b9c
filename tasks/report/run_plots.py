"""The pictures of the full runs: how often text is gone through, their training, and what came of the forecast."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tasks.core import words
from tasks.evaluation.published import Comparison, ForecastOutcome, Interval
from tasks.report.canvas import INK, MIXTURE_COLOURS, MUTED, RULE, SEARCHED, UNIFORM, drawn
from tasks.report.experiments import Curve
from tasks.report.marks import KINDS, WIDTH, legend, room, rows_of, short, signed
from tasks.report.outcome import Evaluation
from tasks.report.search_types import Forecast
from tasks.report.types import MIXTURES, OVERALL, Recipe

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The range (lowest, highest) of each domain's epochs over the proxies.
Range = Sequence[tuple[float, float]]
_BEYOND = 1.5


def epochs(recipe: Recipe, by_mixture: Mapping[str, Sequence[float]], proxies: Range | None) -> str:
    """Return how often each domain's training text is gone through in the full runs and in proxies, against the cap."""
    names = [short(name) for name in recipe.domains]
    shown = [name for name in MIXTURES if name in by_mixture]
    largest = max(*(value for name in shown for value in by_mixture[name]), recipe.max_epochs or 0.0, 1e-9)
    # Proxies may go through a small domain many times: what they reach beyond this is told in words.
    reach = min(max((high for _, high in proxies or ()), default=0.0), _BEYOND * largest)

    def draw(axes: "Axes") -> None:
        rows = rows_of(axes, names)
        axes.hlines(rows, 0, [max(by_mixture[name][row] for name in shown) for row in rows], color=RULE, zorder=1)
        if proxies is not None:
            lows, highs = zip(*proxies, strict=True)
            axes.hlines(rows, lows, highs, color=MUTED, alpha=0.3, linewidth=7, zorder=2, label="proxies, all of them")
        for name in shown:
            axes.plot(
                by_mixture[name], rows, linestyle="none", marker=KINDS[name][0], markersize=8, alpha=0.9,
                color=MIXTURE_COLOURS[name], label=name, zorder=3,
            )  # fmt: skip
        if recipe.max_epochs is not None:
            axes.axvline(recipe.max_epochs, color=INK, linestyle=(0, (4, 3)), linewidth=1.2, label="cap")
        axes.set_xlim(0, 1.06 * max(largest, reach))
        axes.set_xlabel("epochs over the domain's training text")
        axes.grid(axis="x")
        legend(axes, columns=6)

    pairs = zip(recipe.domains, by_mixture[shown[0]], strict=True)
    told = ", ".join(f"{name} {value:.2f}" for name, value in pairs)
    cap = "no cap" if recipe.max_epochs is None else f"the cap is {recipe.max_epochs:g}"
    most = "" if proxies is None else f"; proxies reach {max(high for _, high in proxies):.2f}"
    label = f"Epochs per domain under the {shown[0]} mixture: {told}; {cap}{most}."
    height = 30 if len(names) <= 14 else 21
    return drawn("epochs", label, (WIDTH, 84 + height * len(names)), (room(names), 24, 48, 34), draw)


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
        legend(axes, columns=4)

    told = ", ".join(f"{curve.mixture} {curve.mean[-1]:.3f}" for curve in shown)
    label = f"Training loss of each mixture on its own text, mean over seeds; at the end: {told}."
    return drawn("curves", label, (WIDTH, 330), (62, 14, 46, 34), draw)


_LINES: dict[str, Any] = {
    "searched": "-",
    "natural": (0, (6, 2)),
    "uniform": (0, (1.5, 1.5)),
    "unimax": (0, (6, 2, 1.5, 2)),
}


def differences(evaluation: Evaluation) -> str:
    """Return, per domain and over all, how much better the searched mixture is, with intervals."""
    names = [*(short(name) for name in evaluation.domains), OVERALL]
    comparisons = list(evaluation.comparisons.values())

    def draw(axes: "Axes") -> None:
        rows = rows_of(axes, names)
        axes.axvline(0, color=INK, linewidth=1)
        axes.axhspan(len(names) - 1.5, len(names) - 0.5, color=RULE, alpha=0.35, linewidth=0)
        for index, comparison in enumerate(comparisons):
            place = (index - (len(comparisons) - 1) / 2) * 0.32
            shown = _rows(evaluation, comparison)
            heights, colour = [row + place for row in rows], MIXTURE_COLOURS[comparison.baseline]
            for height, ends in zip(heights, (d.ends for d in shown), strict=True):
                if ends is not None:
                    axes.hlines(height, *ends, color=colour)
            axes.plot(
                [d.gain for d in shown], heights, linestyle="none", marker=KINDS[comparison.baseline][0], markersize=6,
                color=colour, label=f"against {comparison.baseline}",
            )  # fmt: skip
        axes.grid(axis="x")
        axes.set_xlabel("← worse · gain of the searched mixture, bits per byte · better →")
        legend(axes, columns=3)

    pairs = zip(names, _rows(evaluation, comparisons[0]), strict=True)
    told = ", ".join(f"{name} {_gain_of(d)}" for name, d in pairs)
    label = f"Gain of the searched mixture over {comparisons[0].baseline} in bits per byte: {told}."
    return drawn(
        "differences", label, (WIDTH, 84 + (16 + 8 * len(comparisons)) * len(names)), (room(names), 18, 46, 34), draw
    )


def forecast_beside_outcome(forecast: Forecast, outcome: ForecastOutcome) -> str:
    """Return the interval that was forecast above the interval that came out."""
    names = [
        _size_of("forecast", forecast.model_parameters, forecast.tokens),
        _size_of("outcome", outcome.measured_model_parameters, outcome.measured_tokens),
    ]
    shown = (Interval(gain=forecast.gain, lower=forecast.lower, upper=forecast.upper), outcome.measured)

    def draw(axes: "Axes") -> None:
        rows = rows_of(axes, names)
        axes.axvline(0, color=INK, linewidth=1)
        for row, colour, found in zip(rows, (UNIFORM, SEARCHED), shown, strict=True):
            if found.ends is not None:
                axes.hlines(row, *found.ends, color=colour, linewidth=7, alpha=0.45)
            axes.plot([found.gain], [row], marker="o", markersize=10, color=colour)
            axes.text(found.gain, row - 0.32, signed(found.gain), ha="center", fontsize=12, fontweight="bold")
        axes.margins(x=0.08)
        axes.set_ylim(1.5, -0.75)
        axes.grid(axis="x")
        axes.set_xlabel("gain over natural, bits per byte")

    label = "Forecast gain {}; outcome {}.".format(*map(_gain_of, shown))
    return drawn("forecast", label, (WIDTH, 170), (room(["0.25M parameters, 0.15M tokens"]), 24, 46, 4), draw)


def _rows(evaluation: Evaluation, comparison: Comparison) -> list[Interval]:
    """Return a comparison domain by domain, and at last over all."""
    return [*(comparison.per_domain[name] for name in evaluation.domains), comparison]


def _gain_of(found: Interval) -> str:
    ends = "" if found.ends is None else " ({} to {})".format(*map(words.signed, found.ends))
    return f"{words.signed(found.gain)}{ends}"


def _size_of(name: str, parameters: int, tokens: int) -> str:
    return f"{name}\n{parameters / 1e6:.2f}M parameters, {tokens / 1e6:.2f}M tokens"
