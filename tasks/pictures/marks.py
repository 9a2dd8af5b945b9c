"""What the pictures have in common: named rows, values beside bars, legends, and how names and sizes are told."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tasks.core import words
from tasks.pictures.canvas import MUTED, NATURAL, PAPER, SEARCHED, SERIES, UNIFORM, UNIMAX, marked

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# As wide as a column of text: on a phone that is shown at 0.6 of its size, and can still be read.
WIDTH = 600.0
# So many entries of a legend stand side by side.
LEGEND_COLUMNS = 4
# Points a character takes at size 11 in the widest common system font (measured); margins are made from it.
_CHARACTER = 6.3


# Marker and colour of mixtures, and of kinds of runs, which are told apart by both.
KINDS = {
    "searched": ("o", SEARCHED),
    "natural": ("D", NATURAL),
    "uniform": ("s", UNIFORM),
    "unimax": ("P", UNIMAX),
    "design": ("o", SERIES[3]),
    "imported": ("v", SERIES[4]),
    "proposal": ("o", SEARCHED),
    "repeat": ("^", SERIES[1]),
    "confirm": ("*", SERIES[0]),
    "transfer": ("X", SERIES[2]),
}


def size(number: int) -> str:
    """Return a number of bytes for people.

    >>> size(1_530_000), size(900)
    ('1.5 MB', '900 B')
    """
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number} B"


def amount(number: int) -> str:
    """Return a number of parameters or tokens for people.

    >>> amount(1_530_000), amount(35_936), amount(900)
    ('1.53M', '35.9k', '900')
    """
    for unit, factor, digits in (("B", 10**9, 2), ("M", 10**6, 2), ("k", 10**3, 1)):
        if number >= factor:
            return f"{number / factor:.{digits}f}{unit}"
    return str(number)


def rows_of(axes: "Axes", names: Sequence[str]) -> list[int]:
    """Name the rows from top to bottom and return their heights."""
    rows = list(range(len(names)))
    axes.set_yticks(rows, list(names))
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.spines["left"].set_visible(False)
    return rows


def beside(axes: "Axes", end: float, row: float, text: str, fontsize: float = 11) -> None:
    """Write a bar's value beside its end."""
    axes.annotate(text, (end, row), (5, 0), textcoords="offset points", va="center", color=MUTED, fontsize=fontsize)


def percent(axes: "Axes") -> None:
    """Show the horizontal axis in percent."""
    from matplotlib.ticker import PercentFormatter

    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.grid(axis="x")


def by_kind(
    axes: "Axes", kinds: Sequence[str], across: Sequence[float], up: Sequence[float], told: Sequence[str]
) -> None:
    """Draw a point per run, marked by its kind; `told` is what a reader sees of each who points at it."""
    for kind, (marker, colour) in KINDS.items():
        chosen = [index for index, own in enumerate(kinds) if own == kind]
        points(
            axes, [across[i] for i in chosen], [up[i] for i in chosen], [told[i] for i in chosen], label=kind,
            marker=marker, markersize=9 if marker in "*PX" else 6.5, color=colour, markeredgecolor=PAPER,
            markeredgewidth=0.8, zorder=3,
        )  # fmt: skip


def points(
    axes: "Axes", across: Sequence[float], up: Sequence[float], told: Sequence[str], *, label: str, **style: Any
) -> None:
    """Draw points that each tell their own words, as one entry of the legend."""
    for index, (x, y, words_of_it) in enumerate(zip(across, up, told, strict=True)):
        (point,) = axes.plot([x], [y], linestyle="none", label=None if index else label, **style)
        marked(point, words_of_it)


def signed(value: float, digits: int = 4) -> str:
    """Return a gain with its sign, and a minus that is as wide as the plus.

    >>> signed(-0.01)
    '−0.0100'
    """
    return words.signed(value, digits).replace("-", "−")


def legend(axes: "Axes", columns: int) -> None:
    """Put the legend above the axes, from the left edge of the picture."""
    from matplotlib.transforms import blended_transform_factory

    figure = axes.get_figure(root=True)
    assert figure is not None, "axes that are drawn have a figure"
    place = blended_transform_factory(figure.transFigure, axes.transAxes)
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), bbox_transform=place, ncols=columns, borderaxespad=0.3,
        borderpad=0.4, columnspacing=1.4,
    )  # fmt: skip


def legend_room(entries: int) -> float:
    """Return the top margin that a legend of so many entries needs in `LEGEND_COLUMNS` columns, in points.

    >>> legend_room(3), legend_room(5)
    (34.0, 50.0)
    """
    return 18.0 + 16.0 * max(1, -(-entries // LEGEND_COLUMNS))


def room(names: Sequence[str]) -> float:
    """Return the left margin that these names need, in points."""
    return 16 + _CHARACTER * max((len(name) for name in names), default=0)


def short(name: str, longest: int = 34) -> str:
    """Return a name cut to what a margin holds.

    >>> short("licence-copyright", 8)
    'licence…'
    """
    return name if len(name) <= longest else name[: longest - 1] + "…"


def share_in_words(part: int, whole: int) -> str:
    """Return a share in whole percent, or finer where that would say all or nothing and it is not.

    >>> share_in_words(1, 4), share_in_words(998, 1000), share_in_words(5, 5)
    ('25%', '99.8%', '100%')
    """
    value = share(part, whole)
    exact = value in {0.0, 1.0} or 0.005 <= value < 0.995
    return f"{value:.0%}" if exact else f"{value:.1%}"


def share(part: int, whole: int) -> float:
    """Return a part of a whole; of nothing, 0."""
    return part / whole if whole else 0.0
