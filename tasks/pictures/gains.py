"""The picture of a decision: what each row gains, with its interval and the single results that it is the mean of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tasks.core import words
from tasks.pictures.canvas import INK, MUTED, NATURAL, PAPER, SEARCHED, UNIFORM, drawn, marked
from tasks.pictures.marks import rows_of, short, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Narrow enough to be read on a phone.
_WIDTH, _LONGEST = 520.0, 24
# Points a character of a row's name takes at its size.
_CHARACTER = 7.8
# More rows than this stand closer, and their values are told in the table alone.
_ROOMY = 8


@dataclass(frozen=True)
class Gain:
    """A row: its name, the mean, the interval (None where there is none), and single results by what they are of.

    Where an interval beside zero is not enough to say so (of many rows some are), `shown` is false.
    """

    name: str
    gain: float
    ends: tuple[float, float] | None
    single: Mapping[str, float] = field(default_factory=dict)
    shown: bool = True

    @property
    def colour(self) -> str:
        """The colour of what the interval says: better, worse, or neither."""
        if self.ends is None or not self.shown:
            return UNIFORM
        return SEARCHED if self.ends[0] > 0 else NATURAL if self.ends[1] < 0 else UNIFORM


def gains(name: str, rows: Sequence[Gain], unit: str, whose: str) -> str:
    """Return the rows from top to bottom around the line of no difference; `whose` says what is read aloud first."""
    values = [value for row in rows for value in (row.gain, *(row.ends or ()), *row.single.values())]
    edge = 1.35 * max(map(abs, values)) or 0.01
    roomy = len(rows) <= _ROOMY
    size, step = (14, 58) if roomy else (12, 26)

    def draw(axes: "Axes") -> None:
        axes.axvspan(0, edge, color=SEARCHED, alpha=0.07, linewidth=0)
        axes.axvline(0, color=INK, linewidth=1.2)
        for height, row in zip(rows_of(axes, [short(row.name, _LONGEST) for row in rows]), rows, strict=True):
            _row(axes, height, row, unit, roomy=roomy)
        axes.set(xlim=(-edge, edge), ylim=(len(rows) - 0.45, -0.75 if roomy else -0.6))
        axes.locator_params(axis="x", nbins=5)
        axes.tick_params(labelsize=size)
        axes.set_xlabel(f"← worse · {unit} · better →", fontsize=size)

    label = f"{whose}, {unit}: {'; '.join(f'{row.name} {gain_words(row.gain, row.ends)}' for row in rows)}."
    left = 16 + _CHARACTER * size / 14 * max(len(short(row.name, _LONGEST)) for row in rows)
    return drawn(name, label, (_WIDTH, 66 + step * len(rows)), (left, 14, 50, 6), draw)


def gain_words(gain: float, ends: tuple[float, float] | None) -> str:
    """Return a gain with its interval.

    >>> gain_words(0.1, (0.05, 0.15)), gain_words(-0.1, None)
    ('+0.1000 (+0.0500 to +0.1500)', '-0.1000')
    """
    return words.signed(gain) + ("" if ends is None else " ({} to {})".format(*map(words.signed, ends)))


def _row(axes: "Axes", height: float, row: Gain, unit: str, *, roomy: bool) -> None:
    colour, larger = row.colour, 1.0 if roomy else 0.7
    if row.ends is not None:
        axes.hlines(height, *row.ends, color=colour, linewidth=9 * larger, alpha=0.45)
    for told, value in row.single.items():
        (point,) = axes.plot(
            [value], [height + 0.27], linestyle="none", marker="o", markersize=5.5 * larger, color=MUTED,
            markeredgecolor=PAPER, markeredgewidth=0.8,
        )  # fmt: skip
        marked(point, f"{row.name}, {told}: {words.signed(value)}")
    face = colour if row.ends is not None else PAPER
    (point,) = axes.plot(
        [row.gain], [height], marker="o", markersize=10 * larger, color=colour, markerfacecolor=face, zorder=4
    )
    marked(point, f"{row.name}: {gain_words(row.gain, row.ends)}, {unit}")
    if roomy:
        axes.text(row.gain, height - 0.3, signed(row.gain), ha="center", fontsize=14, fontweight="bold")
