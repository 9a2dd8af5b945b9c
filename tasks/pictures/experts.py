"""The picture of sparse experts: which of them the tokens of each domain are given to."""

from typing import TYPE_CHECKING

from tasks.pictures.canvas import MUTED, SEARCHED, drawn, marked
from tasks.pictures.marks import WIDTH, room, rows_of, short
from tasks.training.published_experts import ExpertsUsed, LayerUse

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Text in the page's ink can be read on the colour up to this opacity, on the light page and on the dark one.
_STRONGEST = 0.62
# Points that a cell needs for its number, and that it may take.
_NUMBER_WIDTH, _WIDEST, _ROW = 33.0, 72.0, 22.0
# More domains than this make a picture that nobody reads: those with the most tokens are shown.
_MOST_ROWS = 40


def most_telling(found: ExpertsUsed) -> int:
    """Return the layer whose experts tell most of a token's domain."""
    return max(range(len(found.layers)), key=lambda layer: found.layers[layer].information)


def experts_by_domain(found: ExpertsUsed) -> str:
    """Return the experts' shares of each domain's assignments, in the layer that tells most of domains."""
    layer = found.layers[most_telling(found)]
    kept = sorted(layer.domains, key=lambda name: -layer.domains[name].tokens)[:_MOST_ROWS]
    names = [name for name in layer.domains if name in kept]
    shown, count = [short(name) for name in names], found.num_experts
    largest = max(max(layer.domains[name].shares) for name in names)
    left = room(shown)
    width = min((WIDTH - left - 16) / count, _WIDEST)

    def draw(axes: "Axes") -> None:
        from matplotlib.patches import Rectangle

        for row, name in enumerate(names):
            for expert, share in enumerate(layer.domains[name].shares):
                alpha = _STRONGEST * share / largest
                cell = axes.add_patch(
                    Rectangle((expert - 0.5, row - 0.5), 1, 1, facecolor=SEARCHED, alpha=alpha, edgecolor="none")
                )
                marked(cell, f"{shown[row]}, expert {expert}: {share:.1%}")
                if width >= _NUMBER_WIDTH:
                    axes.text(expert, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=9.5)
        rows_of(axes, shown)
        axes.set_xticks(range(count) if width >= _NUMBER_WIDTH else [0, count - 1])
        axes.set_xlim(-0.5, (WIDTH - left - 16) / width - 0.5)
        axes.set_xlabel(f"expert; alike would be {1 / count:.1%} each", loc="left", color=MUTED)
        axes.spines["bottom"].set_visible(False)

    return drawn(
        "experts",
        f"Experts by domain: {_said(layer, names)}.",
        (WIDTH, 50 + _ROW * len(names)),
        (left, 16, 44, 6),
        draw,
    )


def _said(layer: LayerUse, names: list[str]) -> str:
    """Return in words the expert that each domain uses most."""
    told = []
    for name in names:
        shares = layer.domains[name].shares
        best = max(range(len(shares)), key=lambda expert: shares[expert])
        told.append(f"{name} goes most to expert {best} ({shares[best]:.1%})")
    return "; ".join(told)
