"""Training curves: the loss of runs that differ only by their seed as one line with a band."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from tasks.core.errors import DataError
from tasks.core.words import counted
from tasks.pictures.canvas import MIXTURE_COLOURS, NATURAL, SEARCHED, SERIES, drawn, marked
from tasks.pictures.marks import LEGEND_COLUMNS, WIDTH, legend, legend_room, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A curve is drawn from at most so many points, each the mean of as many steps.
_POINTS = 120
# So many of the points tell their value.
_TOLD = 12
_LINES: Mapping[str, Any] = {
    "searched": "-",
    "natural": (0, (6, 2)),
    "uniform": (0, (1.5, 1.5)),
    "unimax": (0, (6, 2, 1.5, 2)),
}
_OTHERS = (SEARCHED, NATURAL, *SERIES)


@dataclass(frozen=True)
class Curve:
    """Training loss of runs over their seeds, nats per token, smoothed: mean, lowest and highest per step."""

    name: str
    seeds: int
    steps: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def curve_of(name: str, losses: Sequence[Sequence[float]]) -> Curve:
    """Return the curve of runs from the losses of their seeds, a list of steps each.

    Raises:
        DataError: the seeds have different numbers of steps, or none.
    """
    lengths = {len(steps) for steps in losses}
    if len(lengths) != 1 or 0 in lengths:
        raise DataError(f"{name}: its seeds have losses of {sorted(lengths)} steps. Run train again.")
    length = lengths.pop()
    width = -(-length // _POINTS)
    starts = range(0, length, width)
    binned = [[fmean(steps[start : start + width]) for start in starts] for steps in losses]
    columns = list(zip(*binned, strict=True))
    return Curve(
        name=name,
        seeds=len(losses),
        steps=tuple(min(start + width, length) for start in starts),
        mean=tuple(fmean(column) for column in columns),
        low=tuple(min(column) for column in columns),
        high=tuple(max(column) for column in columns),
    )


def curves(shown: Sequence[Curve]) -> str:
    """Return the training loss of each curve: the mean over seeds, and a band from the lowest to the highest.

    Mixtures have their own colours and lines; other names take the colours in turn, at most 8 of them.
    """

    def draw(axes: "Axes") -> None:
        for curve, other in zip(shown, _OTHERS, strict=False):
            colour = MIXTURE_COLOURS.get(curve.name, other)
            axes.fill_between(curve.steps, curve.low, curve.high, color=colour, alpha=0.16, linewidth=0)
            axes.plot(
                curve.steps,
                curve.mean,
                color=colour,
                label=short(curve.name, 20),
                linestyle=_LINES.get(curve.name, "-"),
            )
            every = max(1, len(curve.steps) // _TOLD)
            for step, value in list(zip(curve.steps, curve.mean, strict=True))[::-every]:
                (point,) = axes.plot([step], [value], marker="o", markersize=9, color=colour, alpha=0.01)
                marked(point, f"{curve.name}, step {step:,}: {value:.3f} (mean of {counted(curve.seeds, 'seed')})")
        axes.set_xlabel("optimizer step")
        axes.set_ylabel("training loss, nats per token")
        axes.margins(x=0.01)
        axes.grid(axis="y")
        legend(axes, columns=LEGEND_COLUMNS)

    told = ", ".join(f"{curve.name} {curve.mean[-1]:.3f}" for curve in shown)
    label = f"Training loss on the text of each run's own mixture, mean over seeds; at the end: {told}."
    top = legend_room(len(shown))
    return drawn("curves", label, (WIDTH, 296 + top), (62, 14, 46, top), draw)
