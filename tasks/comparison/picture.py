"""The picture of a comparison, from its own table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tasks.comparison.published import MethodRow
from tasks.pictures.canvas import MUTED, NATURAL, PAPER, SEARCHED, SERIES, drawn
from tasks.pictures.marks import WIDTH, legend, room, rows_of, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def methods(rows: Sequence[MethodRow]) -> str:
    """Return the gain of every method over natural: its searches as dots, their mean, and its interval; best on top."""
    shown = sorted(rows, key=lambda row: -row.gain)
    names = [row.method.replace("_", " ") for row in shown]

    def draw(axes: "Axes") -> None:
        heights = rows_of(axes, names)
        axes.axvline(0, color=NATURAL, linewidth=1.4, linestyle=(0, (4, 3)), label="natural", zorder=1)
        for height, row in zip(heights, shown, strict=True):
            if row.lower is not None and row.upper is not None:
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

    text = "; ".join(f"{row.method} {signed(row.gain)}{_span(row)}" for row in shown)
    label = f"Gain over natural in bits per byte on the test split, mean over searches and training seeds: {text}."
    return drawn("methods", label, (WIDTH, 90 + 38 * len(names)), (room(names), 64, 48, 34), draw)


def _span(row: MethodRow) -> str:
    if row.lower is None or row.upper is None or not row.upper > row.lower:
        return ""
    return f" ({signed(row.lower)} to {signed(row.upper)})"
