"""What each rule does: how many documents it drops first, how many fail it, how many fail no other; which go together.

Axes: R active rules of a profile, N documents it judged.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.core.text_table import text_table
from tasks.curate.audit.folder import Curated
from tasks.curate.rules.decide import failing_rules
from tasks.curate.rules.rule import Threshold

_PAIRS = 5


@dataclass(frozen=True)
class RuleRow:
    """One rule of one profile. Documents, bytes and pre-tokens that fail it and no other rule are its marginal drops."""

    profile: str
    rule: str
    threshold: Threshold
    reason: str
    first: int
    fails: int
    marginal: int
    marginal_bytes: int
    marginal_tokens: int


@dataclass(frozen=True)
class Overlap:
    """Two rules of a profile, how many documents fail both, and that number / those that fail at least one."""

    profile: str
    reasons: tuple[str, str]
    documents: int
    jaccard: float


@dataclass(frozen=True)
class RuleAudit:
    """Every active rule, the pairs that overlap most, and per reason some of the documents it dropped."""

    rows: tuple[RuleRow, ...]
    overlaps: tuple[Overlap, ...]
    examples: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...]


def rule_audit(curated: Curated, num_examples: int = 2) -> RuleAudit:
    """Return what each rule does, alone and together with the others."""
    rows: list[RuleRow] = []
    overlaps: list[Overlap] = []
    profiles_N = curated.profiles_N()
    for name, profile in curated.profiles.items():
        members = np.flatnonzero(profiles_N == name)
        failing = failing_rules(curated.statistics, members, profile)
        fails_RN = np.array([failed for _, failed in failing], np.bool_).reshape(len(failing), len(members))
        first_N = np.where(fails_RN.any(0), fails_RN.argmax(0), -1) if len(failing) else np.zeros(0, np.int64)
        alone_N = fails_RN.sum(0) == 1
        sizes = [curated.statistics[kind][members] for kind in ("bytes", "pretokens")]
        for index, ((rule, failed), (_, _, threshold)) in enumerate(zip(failing, profile.active, strict=True)):
            marginal = failed & alone_N
            totals = (int(size[marginal].sum()) for size in sizes)
            counts = (int((first_N == index).sum()), int(failed.sum()), int(marginal.sum()))
            rows.append(RuleRow(name, rule.threshold, threshold, rule.reason, *counts, *totals))
        overlaps += _overlaps(name, [rule.reason for rule, _ in failing], fails_RN)
    return RuleAudit(tuple(rows), tuple(overlaps), _examples(curated, num_examples))


def rule_table(found: RuleAudit) -> str:
    """Return what each rule does as lines of text, then the overlaps, then examples."""
    head = ("profile", "rule", "threshold", "drops first", "fail it", "fail no other", "MB", "M tokens")
    lines = text_table(head, [_cells(row) for row in found.rows if row.fails], left=2)
    if idle := [f"{row.profile}.{row.rule}" for row in found.rows if not row.fails]:
        lines.append(f"fail nothing: {', '.join(idle)}")
    if found.overlaps:
        pairs = [
            (o.profile, f"{o.reasons[0]} and {o.reasons[1]}", f"{o.documents:,}", f"{o.jaccard:.0%}")
            for o in found.overlaps
        ]
        lines += ["", *text_table(("profile", "fail both", "documents", "of those that fail one"), pairs, left=2)]
    for reason, documents in found.examples:
        lines += ["", f"{reason}:", *(f"  {name}: {detail}\n    {excerpt}" for name, detail, excerpt in documents)]
    return "\n".join(lines)


def _cells(row: RuleRow) -> tuple[str, ...]:
    threshold = ",".join(row.threshold) if isinstance(row.threshold, tuple) else f"{row.threshold:g}"
    numbers = (f"{number:,}" for number in (row.first, row.fails, row.marginal))
    sizes = (f"{row.marginal_bytes / 1e6:,.1f}", f"{row.marginal_tokens / 1e6:,.2f}")
    return (row.profile, row.rule, threshold, *numbers, *sizes)


def _overlaps(profile: str, reasons: list[str], fails_RN: NDArray[np.bool_]) -> list[Overlap]:
    both_RR = fails_RN.astype(np.float64) @ fails_RN.T.astype(np.float64)
    pairs = []
    for one, other in zip(*np.triu_indices(len(reasons), 1), strict=True):
        if both := int(both_RR[one, other]):
            either = both_RR[one, one] + both_RR[other, other] - both
            pairs.append(Overlap(profile, (reasons[one], reasons[other]), both, both / either))
    return sorted(pairs, key=lambda pair: (-pair.documents, pair.reasons))[:_PAIRS]


def _examples(curated: Curated, number: int) -> tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...]:
    """Return, per reason, the documents with the smallest ids: the same ones every time."""
    dropped, found = curated.dropped, []
    for reason in sorted(pc.unique(dropped["reason"]).to_pylist()) if number else []:
        rows = dropped.filter(pc.equal(dropped["reason"], reason)).sort_by("id").slice(0, number).to_pylist()
        found.append((reason, tuple((row["id"], row["detail"], _one_line(row["excerpt"])) for row in rows)))
    return tuple(found)


def _one_line(text: str) -> str:
    return " ".join(text.split())
