"""The page of a comparison of search methods: which to search with, what each found, and where it came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from tasks.comparison.published import ComparedMixtures, ComparisonTable, MethodGain
from tasks.comparison.table import NATURAL
from tasks.core.manifest import Manifest
from tasks.core.words import counted, percent, signed
from tasks.evaluation.compare import MIN_SEEDS
from tasks.evaluation.families import detectable_effect
from tasks.mixture.runs import IN_WORDS
from tasks.pages.lineage import StageLineage
from tasks.pages.templating import page
from tasks.pictures.curves import Curve, curves
from tasks.pictures.gains import Gain, gains

TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class MethodsContent:
    """All that the page tells: the table, the mixtures, losses by method, curves by method, lineage.

    `losses` are bits per byte by domain, and the scores of the objective's `tasks`, turned so that less is better. `ours`
    is the method that the others stand against. `pool` is the manifest of the token pool, `own` the comparison's, before
    anything is published.
    """

    ours: str
    confidence: float
    training_seeds: int
    table: ComparisonTable
    mixtures: ComparedMixtures
    losses: Mapping[str, Sequence[Mapping[str, float]]]
    tasks: Sequence[str]
    curves: Mapping[str, Curve]
    pool: Manifest
    own: Manifest
    environment: Mapping[str, str]


def render(content: MethodsContent) -> str:
    """Return the whole page as HTML."""
    domains, methods = content.mixtures.domains, [row.method for row in content.table.table]
    told = {
        "content": content,
        "headline": headline(content.ours, content.table),
        "claim": (content.table.versus[NATURAL].lower or 0) > 0,
        "statements": [statement(content, other) for other in content.table.versus],
        "searches": len(content.table.versus[NATURAL].searches),
        "domain_rows": _set_rows(content, methods, domains),
        "task_rows": _set_rows(content, methods, content.tasks),
        "natural": NATURAL,
        "pool": StageLineage.of(content.pool),
        "own": StageLineage.of(content.own, content.environment),
    }
    pictures = {
        "decision": method_gains(content.table),
        "curves": curves([content.curves[name] for name in methods[:8]]),
    }
    return page("methods.html", TEMPLATES, "Methods of search compared", told, pictures)


def headline(ours: str, table: ComparisonTable) -> str:
    """Return what a reader should do, in one sentence."""
    found = table.versus[NATURAL]
    if found.lower is None or found.upper is None:
        return f"Nothing is shown: a single search says nothing about the next one of {_name(ours)}."
    if found.lower > 0:
        beaten = [other for other, one in table.versus.items() if one.lower is not None and one.lower > 0]
        return f"Search with {_name(ours)}: it beats {_all(beaten)}."
    if found.upper < 0:
        return f"Do not search with {_name(ours)}: {NATURAL} is better."
    return f"No difference shown between {_name(ours)} and {NATURAL}."


def statement(content: MethodsContent, other: str) -> str:
    """Return in a sentence what the first method gains over another, and which gain would have been found."""
    found = content.table.versus[other]
    told = f"{_name(content.ours)} over {_name(other)}: {signed(found.gain)} {IN_WORDS[content.table.unit]}"
    number = len(found.searches)
    if found.lower is None or found.upper is None:
        return f"{told}, from {counted(number, 'search')}: no interval."
    ends = f"{percent(content.confidence)} interval {signed(found.lower)} to {signed(found.upper)}"
    shown = found.lower > 0 or found.upper < 0
    return f"{told} ({ends}, {number} searches).{'' if shown else _detectable(found, content.confidence)}"


def method_gains(found: ComparisonTable) -> str:
    """Return the picture of what each method gains over natural: its mean, its interval, and its single searches."""
    rows = [
        Gain(
            _name(row.method),
            row.gain,
            None if row.lower is None or row.upper is None else (row.lower, row.upper),
            {f"search {number + 1}": gain for number, gain in enumerate(row.searches)} if len(row.searches) > 1 else {},
        )
        for row in found.table
        if row.method != NATURAL
    ]
    return gains("methods", rows, IN_WORDS[found.unit], f"Gain over {NATURAL}")


def _set_rows(content: MethodsContent, methods: Sequence[str], sets: Sequence[str]) -> dict[str, dict[str, float]]:
    return {name: {method: fmean(one[name] for one in content.losses[method]) for method in methods} for name in sets}


def _detectable(found: MethodGain, confidence: float) -> str:
    if len(found.searches) < MIN_SEEDS or not (spread := stdev(found.searches)):
        return " No difference shown."
    effect = detectable_effect(spread, len(found.searches), confidence=confidence)
    return f" No difference shown; a gain of {effect:.4f} would have been found in four of five such comparisons."


def _name(method: str) -> str:
    return method.replace("_", " ")


def _all(names: Sequence[str]) -> str:
    told = [_name(name) for name in names]
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"
