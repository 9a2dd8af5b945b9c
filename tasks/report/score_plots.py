"""The picture of a score: how many documents have it, and how many of them were selected."""

from typing import TYPE_CHECKING

from tasks.pictures.canvas import SEARCHED, UNIFORM, drawn, marked
from tasks.pictures.marks import LEGEND_COLUMNS, WIDTH, legend, legend_room, short
from tasks.report.selection import ScoreHistogram

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def histogram(shown: ScoreHistogram, number: int) -> str:
    """Return documents by a score, those selected in front of all; `number` tells pictures apart."""
    edges = shown.edges
    width = edges[1] - edges[0]

    def draw(axes: "Axes") -> None:
        for name, colour, counts in (
            ("passed all else", UNIFORM, shown.passed),
            ("selected", SEARCHED, shown.selected),
        ):
            bars = axes.bar(edges[:-1], counts, width=0.92 * width, align="edge", color=colour, label=name, linewidth=0)
            for place, (bar, count) in enumerate(zip(bars, counts, strict=True)):
                if count:
                    marked(bar, f"{shown.name} {_range(shown, place)}: {count:,} documents {name}")
        axes.set_xlabel(short(shown.name, 60))
        axes.set_ylabel("documents")
        axes.margins(x=0.01)
        axes.grid(axis="y")
        legend(axes, columns=LEGEND_COLUMNS)

    every, selected = sum(shown.passed), sum(shown.selected)
    label = f"{shown.name}: {selected:,} of {every:,} documents that have it were selected."
    top = legend_room(2)
    return drawn(f"score{number}", label, (WIDTH, 190 + top), (62, 14, 46, top), draw)


def _range(shown: ScoreHistogram, place: int) -> str:
    low, high = f"{shown.edges[place]:.4g}", f"{shown.edges[place + 1]:.4g}"
    if place == 0:
        return f"up to {high}"
    return f"from {low}" if place == len(shown.passed) - 1 else f"{low} to {high}"
