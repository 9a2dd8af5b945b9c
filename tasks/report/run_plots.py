"""The pictures of the full runs: their training, what they gained, and what came of the forecast."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tasks.core import words
from tasks.evaluation.published import Comparison, ForecastOutcome, Interval
from tasks.mixture.published import Forecast
from tasks.pictures.canvas import INK, MIXTURE_COLOURS, NATURAL, PAPER, RULE, SEARCHED, UNIFORM, drawn, marked
from tasks.pictures.marks import KINDS, WIDTH, amount, legend, room, rows_of, short, signed
from tasks.report.experiments import Curve
from tasks.report.outcome import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def decision(evaluation: Evaluation) -> str:
    """Return the gain over each baseline with its interval, drawn narrow enough to be read on a phone."""
    comparisons = list(evaluation.comparisons.values())
    widest = max(abs(value) for one in comparisons for value in (one.gain, *(one.ends or ())))
    edge = 1.4 * widest or 0.01

    def draw(axes: "Axes") -> None:
        rows = rows_of(axes, [f"over {one.baseline}" for one in comparisons])
        axes.axvspan(0, edge, color=SEARCHED, alpha=0.07, linewidth=0)
        axes.axvline(0, color=INK, linewidth=1.2)
        for row, one in zip(rows, comparisons, strict=True):
            colour = SEARCHED if one.above_zero else NATURAL if one.below_zero else UNIFORM
            if one.ends is not None:
                axes.hlines(row, *one.ends, color=colour, linewidth=9, alpha=0.45)
            face = colour if one.ends is not None else PAPER
            (point,) = axes.plot([one.gain], [row], marker="o", markersize=10, color=colour, markerfacecolor=face)
            marked(point, f"gain over {one.baseline}: {_gain_of(one)} bits per byte")
            axes.text(one.gain, row - 0.3, signed(one.gain), ha="center", fontsize=14, fontweight="bold")
        axes.set(xlim=(-edge, edge), ylim=(len(comparisons) - 0.5, -0.75))
        axes.locator_params(axis="x", nbins=5)
        axes.tick_params(labelsize=14)
        axes.set_xlabel(f"← worse · {evaluation.unit} · better →", fontsize=14)

    told = "; ".join(f"over {one.baseline} {_gain_of(one)}" for one in comparisons)
    label = f"Gain of the searched mixture, {evaluation.unit}: {told}."
    return drawn("decision", label, (520, 66 + 58 * len(comparisons)), (112, 14, 50, 6), draw)


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
    names = [short(name) for name in (*evaluation.domains, *evaluation.decision.per_task)]
    names.append(evaluation.overall_name)
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
            against = f"against {comparison.baseline}"
            for name, height, found in zip(names, heights, shown, strict=True):
                (point,) = axes.plot(
                    [found.gain], [height], linestyle="none", marker=KINDS[comparison.baseline][0], markersize=6,
                    color=colour, label=against if name == names[0] else None,
                )  # fmt: skip
                marked(point, f"{name}, {against}: {_gain_of(found)} bits per byte")
        axes.grid(axis="x")
        axes.set_xlabel(f"← worse · gain of the searched mixture, {evaluation.unit} · better →")
        legend(axes, columns=3)

    pairs = zip(names, _rows(evaluation, comparisons[0]), strict=True)
    told = ", ".join(f"{name} {_gain_of(d)}" for name, d in pairs)
    label = f"Gain of the searched mixture over {comparisons[0].baseline}, {evaluation.unit}: {told}."
    return drawn(
        "differences", label, (WIDTH, 84 + (16 + 8 * len(comparisons)) * len(names)), (room(names), 18, 46, 34), draw
    )


def forecast_beside_outcome(forecast: Forecast, outcome: ForecastOutcome, unit: str) -> str:
    """Return the interval that was forecast above the interval that came out, drawn as narrow as the decision."""
    names = [
        _size_of("forecast", forecast.model_parameters, forecast.tokens),
        _size_of("outcome", outcome.measured_model_parameters, outcome.measured_tokens),
    ]
    shown = (Interval(gain=forecast.gain_over_natural, lower=forecast.lower, upper=forecast.upper), outcome.measured)

    def draw(axes: "Axes") -> None:
        rows = rows_of(axes, names)
        axes.axvline(0, color=INK, linewidth=1.2)
        kinds = (("forecast", UNIFORM), ("outcome", SEARCHED))
        for row, (word, colour), found in zip(rows, kinds, shown, strict=True):
            if found.ends is not None:
                axes.hlines(row, *found.ends, color=colour, linewidth=9, alpha=0.45)
            (point,) = axes.plot([found.gain], [row], marker="o", markersize=10, color=colour)
            marked(point, f"{word}: {_gain_of(found)} bits per byte")
            axes.text(found.gain, row - 0.3, signed(found.gain), ha="center", fontsize=14, fontweight="bold")
        axes.margins(x=0.12)
        axes.set_ylim(1.5, -0.75)
        axes.locator_params(axis="x", nbins=5)
        axes.tick_params(labelsize=13)
        axes.set_xlabel(f"gain over natural, {unit}", fontsize=14)

    label = "Forecast gain {}; outcome {}.".format(*map(_gain_of, shown))
    return drawn("forecast", label, (520, 200), (132, 14, 50, 4), draw)


def _rows(evaluation: Evaluation, comparison: Comparison) -> list[Interval]:
    """Return a comparison domain by domain, and at last over all."""
    domains, tasks = evaluation.domains, evaluation.decision.per_task
    own = [comparison.per_domain[name] for name in domains] + [comparison.per_task[name] for name in tasks]
    return [*own, comparison]


def _gain_of(found: Interval) -> str:
    ends = "" if found.ends is None else " ({} to {})".format(*map(words.signed, found.ends))
    return f"{words.signed(found.gain)}{ends}"


def _size_of(name: str, parameters: int, tokens: int) -> str:
    return f"{name}\n{amount(parameters)} parameters\n{amount(tokens)} tokens"
