"""The pictures of the full runs: their training, what they gained, and what came of the forecast."""

from typing import TYPE_CHECKING

from tasks.evaluation.published import Comparison, ForecastOutcome, Interval
from tasks.mixture.published_forecast import Forecast
from tasks.pictures.canvas import INK, MIXTURE_COLOURS, RULE, SEARCHED, UNIFORM, drawn, marked
from tasks.pictures.gains import Gain, gain_words, gains
from tasks.pictures.marks import KINDS, WIDTH, amount, legend, room, rows_of, short, signed
from tasks.report.outcome import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def decision(evaluation: Evaluation) -> str:
    """Return the gain over each baseline with its interval, and that of every seed."""
    rows = [Gain(f"over {one.baseline}", one.gain, one.ends, _by_seed(one)) for one in evaluation.comparisons.values()]
    return gains("decision", rows, evaluation.unit, "Gain of the searched mixture")


def _by_seed(comparison: Comparison) -> dict[str, float]:
    pairs = zip(comparison.seeds, comparison.differences, strict=True)
    return {f"seed {seed}": gain for seed, gain in pairs}


def differences(evaluation: Evaluation) -> str:
    """Return, per domain and over all, how much better the searched mixture is, with intervals."""
    names = [short(name) for name in (*evaluation.domains, *evaluation.decision.per_task)]
    names.append(evaluation.overall_name)
    in_tasks = ["in the score"] * len(evaluation.decision.per_task)
    units = ["bits per byte"] * len(evaluation.domains) + in_tasks + [evaluation.unit]
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
            for name, height, found, unit in zip(names, heights, shown, units, strict=True):
                (point,) = axes.plot(
                    [found.gain], [height], linestyle="none", marker=KINDS[comparison.baseline][0], markersize=6,
                    color=colour, label=against if name == names[0] else None,
                )  # fmt: skip
                marked(point, f"{name}, {against}: {_gain_of(found)} {unit}")
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
            marked(point, f"{word}: {_gain_of(found)} {unit}")
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
    return gain_words(found.gain, found.ends)


def _size_of(name: str, parameters: int, tokens: int) -> str:
    return f"{name}\n{amount(parameters)} parameters\n{amount(tokens)} tokens"
