"""The table of a comparison of arms, for people."""

from collections.abc import Iterator

from tasks.arms.cells import table_of
from tasks.arms.published import ArmComparison, ArmsComparison
from tasks.core.text_table import markdown_table
from tasks.core.words import percent, signed

_HEAD = ("arm", "gain", "interval", "adjusted p", "detectable", "test")
_SECONDARY_HEAD = ("arm", "score", "gain", "p", "adjusted", "screening")
_ADJUSTMENTS = {"holm": "Holm", "westfall_young": "Westfall and Young, by flipped signs"}


def markdown(found: ArmsComparison) -> str:
    """Return statements, the table of the primary score, and that of the scores that make no claim."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: ArmsComparison) -> Iterator[str]:
    yield f"# {found.primary}, against {found.baseline}"
    yield ""
    yield from (f"* {one}" for one in found.statements)
    yield ""
    yield from markdown_table(_HEAD, map(_row, found.comparisons))
    yield ""
    yield (
        f"Gains are how much better an arm is than {found.baseline}; intervals are of {percent(found.confidence)}, p-values "
        "are adjusted by Holm for the number of arms."
    )
    for remark in found.remarks:
        yield ""
        yield remark
    for grid in found.grids:
        yield ""
        yield f"## {grid.grid}, {found.primary}: means over seeds"
        yield ""
        yield from markdown_table(*table_of(grid))
    if any(one.secondary for one in found.comparisons):
        yield ""
        yield "## Scores that make no claim"
        yield ""
        yield (
            f"p-values adjusted by {_ADJUSTMENTS[found.adjustment]} for all of them together; `screening` (Benjamini and "
            "Hochberg) only says where to look."
        )
        yield ""
        yield from markdown_table(_SECONDARY_HEAD, [row for one in found.comparisons for row in _secondary_rows(one)])


def _secondary_rows(one: ArmComparison) -> Iterator[tuple[str, ...]]:
    for score, own in one.secondary.items():
        yield (one.arm, score, signed(own.gain), *(f"{value:.3g}" for value in (own.p, own.adjusted, own.screening)))


def _row(one: ArmComparison) -> tuple[str, ...]:
    ends = one.ends
    return (
        one.arm,
        signed(one.gain),
        "none" if ends is None else f"{signed(ends[0])} to {signed(ends[1])}",
        "none" if one.adjusted is None else f"{one.adjusted:.3g}",
        "unknown" if one.detectable is None else f"{one.detectable:.4f}",
        one.test,
    )
