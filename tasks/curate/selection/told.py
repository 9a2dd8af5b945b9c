"""What is told of selections: what each kept of which group, and what a reader must know of them."""

from collections.abc import Sequence
from itertools import groupby

from tasks.curate.published.scored import SelectionTold, Size
from tasks.curate.selection.choosing import Cut

# Groups that are named in a warning; `scored.json` has all.
_NAMED = 6
# Of more groups than these only the sum is told in lines.
_SHOWN = 12


def selection_told(cut: Cut) -> SelectionTold:
    """Return what is published of a cut."""
    return SelectionTold(
        profile=cut.profile,
        score=cut.name,
        keeps=cut.keeps,
        group=cut.group,
        considered=Size(documents=cut.documents, tokens=cut.tokens),
        kept=Size(documents=cut.kept_documents, tokens=cut.kept_tokens),
        allowed_tokens=cut.allowed_tokens,
        weighted_tokens=cut.weighted_tokens,
        outside=cut.outside,
    )


def selection_lines(told: Sequence[SelectionTold]) -> list[str]:
    """Return what selections kept as lines of text: of each group, or of all together where there are many."""
    lines: list[str] = []
    for _, some in groupby(told, key=lambda one: (one.profile, one.score, one.keeps.removesuffix(f", of {one.group}"))):
        own = list(some)
        lines += map(_line, own if len(own) <= _SHOWN else [_together(own)])
    return lines


def _together(own: Sequence[SelectionTold]) -> SelectionTold:
    """Return what was kept of many groups as if it were of one."""
    allowed = [one.allowed_tokens for one in own if one.allowed_tokens is not None]
    weighted = [one.weighted_tokens for one in own if one.weighted_tokens is not None]
    first = own[0]
    return SelectionTold(
        profile=first.profile,
        score=first.score,
        keeps=f"{first.keeps.removesuffix(f', of {first.group}')}, of {len(own)} groups together",
        considered=_sum([one.considered for one in own]),
        kept=_sum([one.kept for one in own]),
        allowed_tokens=sum(allowed) if len(allowed) == len(own) else None,
        weighted_tokens=sum(weighted) if weighted else None,
        outside=sum(one.outside for one in own),
    )


def _sum(sizes: Sequence[Size]) -> Size:
    return Size(documents=sum(one.documents for one in sizes), tokens=sum(one.tokens for one in sizes))


def _line(told: SelectionTold) -> str:
    kept, of = told.kept, told.considered
    line = (
        f"{told.profile} keeps {told.keeps}: {kept.documents:,} of {of.documents:,} documents, "
        f"{kept.tokens:,} of {of.tokens:,} tokens"
    )
    if told.allowed_tokens is not None:
        line += f"; its quota is {told.allowed_tokens:,}, {told.allowed_tokens - kept.tokens:,} not filled"
    return line if told.weighted_tokens is None else f"{line}; {told.weighted_tokens:,.0f} as they weigh"


def selection_warnings(cuts: Sequence[Cut]) -> list[str]:
    """Return a sentence for each selection that leaves nothing of a group, fills no quota, or has no probabilities."""
    found = []
    for (profile, name), some in groupby(cuts, key=lambda cut: (cut.profile, cut.name)):
        own = list(some)
        empty = [cut for cut in own if cut.documents and not cut.kept_documents]
        if empty and (groups := [cut.group for cut in empty if cut.group]):
            documents = sum(cut.documents for cut in empty)
            found.append(
                f"profile {profile}: selecting by {name} leaves nothing of {_named(groups)}, {documents:,} documents that "
                "passed all before it."
            )
        elif empty:
            found.append(f"profile {profile}: selecting by {name} leaves none of {empty[0].documents:,} documents.")
        short = [cut for cut in own if cut.allowed_tokens is not None and cut.tokens < cut.allowed_tokens]
        if short:
            missing = sum((cut.allowed_tokens or 0) - cut.tokens for cut in short)
            found.append(
                f"profile {profile}: {name}: {len(short)} of {len(own)} groups have less than their quota, together "
                f"{missing:,} tokens: {_named([cut.group for cut in short])}. Nothing is repeated to fill it."
            )
        if outside := sum(cut.outside for cut in own):
            every = sum(cut.documents for cut in own)
            found.append(
                f"profile {profile}: {name} is taken as a probability, and {outside:,} of {every:,} documents have one "
                "below 0 (never kept) or above 1 (always kept)."
            )
    return found


def _named(groups: Sequence[str]) -> str:
    more = f" and {len(groups) - _NAMED} more" if len(groups) > _NAMED else ""
    return f"{'; '.join(groups[:_NAMED])}{more}"
