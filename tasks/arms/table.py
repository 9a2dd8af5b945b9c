"""The table of a comparison of arms, for people."""

from collections.abc import Iterator

from tasks.arms.published import ArmComparison, ArmsComparison
from tasks.core.words import percent, signed

_HEAD = ("arm", "gain", "interval", "adjusted p", "detectable", "test")
_ADJUSTMENTS = {"holm": "Holm", "westfall_young": "Westfall and Young, by flipped signs"}


def markdown(found: ArmsComparison) -> str:
    """Return statements, the table of the primary score, and that of the scores that make no claim."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: ArmsComparison) -> Iterator[str]:
    yield f"# {found.primary}, against {found.baseline}"
    yield ""
    yield from (f"* {one.statement}" for one in found.comparisons)
    yield ""
    yield f"| {' | '.join(_HEAD)} |"
    yield f"|{'---|' * len(_HEAD)}"
    yield from (f"| {' | '.join(_row(one))} |" for one in found.comparisons)
    yield ""
    yield (
        f"Gains are how much better an arm is than {found.baseline}; intervals are of {percent(found.confidence)}, p-values "
        "are adjusted by Holm for the number of arms."
    )
    if any(one.secondary for one in found.comparisons):
        yield ""
        yield "## Scores that make no claim"
        yield ""
        yield (
            f"p-values adjusted by {_ADJUSTMENTS[found.adjustment]} for all of them together; `screening` (Benjamini and "
            "Hochberg) only says where to look."
        )
        yield ""
        yield "| arm | score | gain | p | adjusted | screening |"
        yield "|---|---|---|---|---|---|"
        for one in found.comparisons:
            for score, own in one.secondary.items():
                numbers = " | ".join(f"{value:.3g}" for value in (own.p, own.adjusted, own.screening))
                yield f"| {one.arm} | {score} | {signed(own.gain)} | {numbers} |"


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
