"""Counting: what curation took, kept and dropped per source and language, and what a reader must be told first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.core.account import Account, Count
from tasks.curate.published.funnel import FateCounts
from tasks.curate.rules.table import FILTERS

EXACT, NEAR, REPEATED = "exact_duplicate", "near_duplicate", "only_repeated_text"
DECONTAMINATE, CONTAMINATED = "decontaminate", "contaminated"
SELECTION = "selection"
# Everything that can drop a document, in the order of the decision.
DROPPERS: tuple[str, ...] = (*FILTERS, DECONTAMINATE, EXACT, NEAR, REPEATED, SELECTION)
# Languages that are named in a warning; the summary has all.
_NAMED = 12
UNKNOWN_LANGUAGE = "unknown"


@dataclass(frozen=True)
class Fates:
    """What became of N fates.

    `filters` and `reasons` are None for a kept one. `bytes_N` and `tokens_N` are of the ingested text, `kept_bytes_N` and
    `kept_tokens_N` those of the text that is kept (0 of a dropped one); per step that edits, what it took out.
    """

    sources: Sequence[str]
    languages: Sequence[str | None]
    filters: Sequence[str | None]
    reasons: Sequence[str | None]
    bytes_N: NDArray[np.int64]
    tokens_N: NDArray[np.int64]
    kept_bytes_N: NDArray[np.int64]
    kept_tokens_N: NDArray[np.int64]
    edited_bytes: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    edited_tokens: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)


def tally(fates: Fates) -> FateCounts:
    """Return the accounts of documents by source and by language."""
    sums = {"bytes": fates.bytes_N, "tokens": fates.tokens_N}
    sums |= {"kept_bytes": fates.kept_bytes_N, "kept_tokens": fates.kept_tokens_N}
    for step in fates.edited_bytes:
        sums |= {f"bytes of {step}": fates.edited_bytes[step], f"tokens of {step}": fates.edited_tokens[step]}
    keys = {
        "source": pa.array(fates.sources, pa.string()),
        "language": pa.array([language or UNKNOWN_LANGUAGE for language in fates.languages], pa.string()),
        "filter": pa.array([name or "" for name in fates.filters], pa.string()),
        "reason": pa.array([reason or "" for reason in fates.reasons], pa.string()),
    }
    table = pa.table({**keys, **sums}).append_column("documents", pa.array(np.ones(len(fates.sources), np.int64)))
    grouped = table.group_by(list(keys), use_threads=False).aggregate([(name, "sum") for name in ("documents", *sums)])
    sources: dict[str, Account] = {}
    languages: dict[str, Account] = {}
    filters: dict[str, dict[str, Count]] = {}
    for row in sorted(grouped.to_pylist(), key=lambda row: tuple(row[key] for key in keys)):
        account = _account(row, tuple(fates.edited_bytes))
        source, language, name = row["source"], row["language"], row["filter"]
        sources[source] = sources.get(source, Account()) + account
        languages[language] = languages.get(language, Account()) + account
        dropped = filters.setdefault(source, {})
        if name:
            dropped[name] = dropped.get(name, Count()) + account.taken
    return FateCounts(sources=sources, languages=dict(sorted(languages.items())), filters=filters)


def lost_sources(counts: FateCounts) -> tuple[str, ...]:
    """Return a sentence per source of which nothing was kept: how many documents, for what, and what to do."""
    return tuple(
        _lost_source(name, account, counts.filters.get(name, {}))
        for name, account in counts.sources.items()
        if _all_dropped(account)
    )


def warnings(counts: FateCounts) -> tuple[str, ...]:
    """Return what the report must say in its first lines, the worst first; there may be nothing to say."""
    lost = [*lost_sources(counts)]
    if gone := {name: account for name, account in counts.languages.items() if _all_dropped(account)}:
        largest = sorted(gone.items(), key=lambda item: (-item[1].taken.documents, item[0]))[:_NAMED]
        named = ", ".join(f"{name} ({account.taken.documents:,})" for name, account in largest)
        more = f" and {len(gone) - _NAMED} more" if len(gone) > _NAMED else ""
        lost.append(f"{len(gone)} of {len(counts.languages)} languages lost all their documents: {named}{more}.")
    everything, nothing = [], []
    for profile, failures in counts.failures.items():
        judged = counts.judged[profile]
        everything += [
            f"profile {profile}: the rule {reason} fails every one of its {judged:,} documents. Is its threshold right?"
            for reason, number in failures.items()
            if number == judged
        ]
        if idle := [reason for reason, number in failures.items() if number == 0]:
            nothing.append(
                f"profile {profile}: {len(idle)} of {len(failures)} rules fail none of its {judged:,} documents: "
                f"{', '.join(idle)}."
            )
    return (*lost, *everything, *nothing)


def _account(row: Mapping[str, Any], steps: Sequence[str]) -> Account:
    taken = Count(row["documents_sum"], row["bytes_sum"], row["tokens_sum"])
    if row["reason"]:
        return Account(taken, dropped={row["reason"]: taken})
    edited = {step: Count(0, row[f"bytes of {step}_sum"], row[f"tokens of {step}_sum"]) for step in steps}
    return Account(taken, Count(taken.documents, row["kept_bytes_sum"], row["kept_tokens_sum"]), edited=edited)


def _all_dropped(account: Account) -> bool:
    return account.taken.documents > 0 and account.kept.documents == 0


def _lost_source(name: str, account: Account, filters: Mapping[str, Count]) -> str:
    reason, count = max(account.dropped.items(), key=lambda item: (item[1].documents, item[0]))
    if SELECTION in filters:
        todo = (
            f"{filters[SELECTION].documents:,} passed all else and none was selected: select within each source "
            "(by: [source]), or keep more."
        )
    elif reason in {EXACT, NEAR, REPEATED}:
        todo = "They stand in other sources."
    else:
        todo = (
            "If you want it, give it another profile "
            "(curate.profile_of_source; any_language for text that is not English)."
        )
    return (
        f"source {name}: all {account.taken.documents:,} documents were dropped, "
        f"{count.documents:,} of them as {reason}. {todo}"
    )
