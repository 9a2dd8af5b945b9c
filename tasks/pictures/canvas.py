"""From a matplotlib figure to an inline SVG that takes its colours and its font from the page.

Colours are drawn as fixed values and replaced by CSS variables, so that one picture serves the light and the dark page.
Nothing in the SVG depends on a clock or on a random number: the same figure gives the same bytes.
"""

import io
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

Draw = Callable[["Axes"], None]
Margins = tuple[float, float, float, float]

INK, MUTED, RULE, PAPER = "#1c2128", "#5d6570", "#d8d7d1", "#fdfcfa"
SEARCHED, NATURAL, UNIFORM, UNIMAX = "#0072b2", "#d55e00", "#868d96", "#8a63b8"
MIXTURE_COLOURS = {"searched": SEARCHED, "natural": NATURAL, "uniform": UNIFORM, "unimax": UNIMAX}
# Okabe and Ito's palette for colour-blind readers, without the colours that already mean a mixture.
SERIES = ("#e69f00", "#cc79a7", "#009e73", "#56b4e9", "#b8a900", "#8c564b")

VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    PAPER: "--paper",
    SEARCHED: "--searched",
    NATURAL: "--natural",
    UNIFORM: "--uniform",
    UNIMAX: "--unimax",
} | {colour: f"--series-{index}" for index, colour in enumerate(SERIES)}

_FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", sans-serif'
# How the name of a mark begins in matplotlib's SVG; what follows is told of the mark.
_MARK = "mark: "
# Inches at 72 points; the page scales the picture to its column.
_POINTS = 72
# So many numbers of six digits stand side by side on a horizontal axis.
_MOST_TICKS = 6
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mixwright",
    "text.parse_math": False,
    "axes.unicode_minus": True,
    "font.size": 12,
    "axes.titlesize": 12,
    "axes.labelsize": 12,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": RULE,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.linewidth": 1.0,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.linewidth": 1.8,
    "hatch.linewidth": 0.6,
}


def drawn(name: str, label: str, size: tuple[float, float], margins: Margins, draw: Draw) -> str:
    """Return the SVG of one pair of axes.

    `name` makes ids unique on the page; `label` is read aloud instead of the picture; `size` is width and height and
    `margins` left, right, bottom and top, in points. Margins are fixed, so that no layout depends on a machine's fonts.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import AutoLocator

    width, height = size
    left, right, bottom, top = margins
    stream = io.StringIO()
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **_STYLE}), warnings.catch_warnings():
        # The page's own fonts draw the text; a glyph that matplotlib's font lacks is not missing there.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        figure = Figure(figsize=(width / _POINTS, height / _POINTS), dpi=_POINTS)
        FigureCanvasSVG(figure)
        axes = figure.add_axes((left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height))
        draw(axes)
        if isinstance(axes.xaxis.get_major_locator(), AutoLocator):
            axes.locator_params(axis="x", nbins=_MOST_TICKS)
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(stream, format="svg", metadata=nothing)
    return inlined(stream.getvalue(), name, label)


def marked(artist: "Artist", told: str) -> None:
    """Have a mark tell what it stands for, in the words of a line, when a reader points at it."""
    artist.set_gid(_MARK + told)


def inlined(svg: str, name: str, label: str) -> str:
    """Return an SVG document as an element of the page: named, described, coloured by variables, ids made unique."""
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font: ([0-9.]+px)[^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    svg = re.sub(rf"<g id=([\"']){_MARK}(.*?)\1>", r'<g class="mark"><title>\2</title>', svg)
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", svg))
    svg = re.sub(r' id="([^"]+)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", svg)
    svg = re.sub(r"(url\(#|href=\"#)", rf"\g<1>{name}-", svg)
    opening = re.match(r"<svg[^>]*>", svg)
    assert opening is not None, "a saved SVG starts with its root element"
    box = re.search(r'viewBox="([^"]+)"', opening[0])
    assert box is not None, "a saved SVG has a viewBox"
    root = (
        f'<svg viewBox="{box[1]}" role="img" aria-label={quoteattr(label)} xmlns="http://www.w3.org/2000/svg" '
        'xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return re.sub(r"\n\s*", "\n", root + svg[opening.end() :])


def palette() -> str:
    """Return the style sheet that gives the colour variables their values, in the light and in the dark mode."""
    return Path(__file__).with_name("palette.css").read_text(encoding="utf-8")


def standalone(svg: str) -> str:
    """Return a picture of a page as a file of its own: with its size, its font, and the colours of both modes."""
    box = re.search(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"', svg)
    assert box is not None, "a picture of the page has a viewBox"
    style = f"{palette()}svg {{ background: var(--paper); font-family: {_FONT}; }}\nsvg * {{ stroke-linejoin: round; }}"
    opening = svg.index(">") + 1
    root = svg[: opening - 1] + f' width="{box[1]}" height="{box[2]}">'
    return f"{root}<style>\n{style}\n</style>{svg[opening:]}\n"
