"""The leaderboard as Markdown, for people."""

from collections.abc import Iterator, Mapping

from tasks.core.text_table import markdown_table
from tasks.core.words import percent, signed
from tasks.leaderboard.published import Kept, Leaderboard, ObjectiveGain, Ranked

_HEAD = ("selector", "keep", "target", "interval", "tokens of the twin", "held out", "interval", "tokens of the twin")
_KEPT = (
    "selector", "documents", "tokens", "epochs", "distinct words", "distinct pairs", "distance", "contaminated",
    "largest sources", "languages",
)  # fmt: skip


def markdown(found: Leaderboard) -> str:
    """Return statements, gains, what was kept, and overlaps."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Leaderboard) -> Iterator[str]:
    yield "# Selectors against documents drawn at random, at equal tokens"
    yield ""
    yield from (f"* {one}" for one in found.statements)
    yield from (f"* Warning: {one}" for one in found.warnings)
    yield ""
    yield from markdown_table(_HEAD, [_gains(row) for row in found.entrants])
    yield ""
    yield (
        f"Gains over as many tokens drawn at random, {len(found.seeds)} seeds, {found.tokens:,} tokens each; intervals of "
        f"{percent(found.confidence)} hold for all selectors together. `tokens of the twin`: how many times the tokens a "
        "model on documents drawn at random needs for the same."
    )
    yield ""
    yield from markdown_table(_KEPT, [_kept(name, one) for name, one in _all_kept(found).items()])
    yield ""
    yield "Overlap: tokens that both kept, of those that either kept."
    yield ""
    yield from markdown_table(
        ("selector", "with", "overlap"),
        [(row.name, other, f"{share:.3f}") for row in found.entrants for other, share in row.overlap.items()],
    )


def _all_kept(found: Leaderboard) -> dict[str, Kept]:
    return {**{row.name: row.kept for row in found.entrants}, **found.twins}


def _gains(row: Ranked) -> tuple[str, ...]:
    return (row.selector, f"{row.keep:.3g}", *_gain(row.gains["target"]), *_gain(row.gains["held_out"]))


def _gain(gain: ObjectiveGain) -> tuple[str, str, str]:
    ends = "none" if gain.ends is None else f"{signed(gain.ends[0])} to {signed(gain.ends[1])}"
    return signed(gain.gain), ends, gain.multiplier_words


def _kept(name: str, kept: Kept) -> tuple[str, ...]:
    of = kept.diversity
    return (
        name,
        f"{kept.documents:,}",
        f"{kept.tokens:,}",
        f"{kept.epochs:.2f}",
        f"{of['distinct_words']:.3f}",
        f"{of['distinct_pairs']:.3f}",
        f"{of['distance']:.3f}",
        "not asked" if kept.contaminated is None else f"{kept.contaminated:,}",
        largest(kept.sources),
        largest(kept.languages),
    )


def largest(shares: Mapping[str, float], most: int = 4) -> str:
    """Return the largest shares in words.

    >>> largest({"web": 0.25, "code": 0.75})
    'code 75%, web 25%'
    """
    ordered = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {share:.0%}" for name, share in ordered[:most])
