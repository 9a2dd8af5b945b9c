"""The funnel: what curation took, kept and dropped per source and language, and what a reader must be told first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.core.account import Account, Count
from tasks.curate.rules.table import FILTERS

EXACT, NEAR, REPEATED = "exact_duplicate", "near_duplicate", "only_repeated_text"
DECONTAMINATE, CONTAMINATED = "decontaminate", "contaminated"
# Everything that can drop a document, in the order of the decision.
DROPPERS: tuple[str, ...] = (*FILTERS, DECONTAMINATE, EXACT, NEAR, REPEATED)
# Languages that are named in a warning; the summary has all.
_NAMED = 12
UNKNOWN_LANGUAGE = "unknown"


@dataclass(frozen=True)
class Fates:
    """What became of N documents.

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


@dataclass(frozen=True)
class Funnel:
    """Accounts per source and per language, and per source what each filter dropped.

    Per profile, `judged` says how many documents it judged and `failures` how many fail each rule: a document counts
    under every rule it fails there; in the accounts and filters only under the first, which dropped it.
    """

    sources: Mapping[str, Account] = field(default_factory=dict)
    languages: Mapping[str, Account] = field(default_factory=dict)
    filters: Mapping[str, Mapping[str, Count]] = field(default_factory=dict)
    judged: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def __add__(self, other: "Funnel") -> "Funnel":
        profiles = sorted({*self.failures, *other.failures})
        return Funnel(
            _accounts(self.sources, other.sources),
            _accounts(self.languages, other.languages),
            _filters(self.filters, other.filters),
            _numbers(self.judged, other.judged),
            {name: _numbers(self.failures.get(name, {}), other.failures.get(name, {})) for name in profiles},
        )

    @property
    def account(self) -> Account:
        """The account of all sources together."""
        return sum(self.sources.values(), Account())

    def to_json(self) -> dict[str, Any]:
        """Return the funnel as a JSON value."""
        return {
            "sources": {name: account.to_json() for name, account in self.sources.items()},
            "languages": {name: account.to_json() for name, account in self.languages.items()},
            "filters": {
                name: {one: vars(count) for one, count in found.items()} for name, found in self.filters.items()
            },
            "judged": dict(self.judged),
            "failures": {name: dict(counts) for name, counts in self.failures.items()},
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "Funnel":
        """Return the funnel that `to_json` wrote."""
        return Funnel(
            {name: Account.from_json(account) for name, account in value["sources"].items()},
            {name: Account.from_json(account) for name, account in value["languages"].items()},
            {name: {one: Count(**count) for one, count in found.items()} for name, found in value["filters"].items()},
            value["judged"],
            value["failures"],
        )


def tally(fates: Fates) -> Funnel:
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
    return Funnel(sources, dict(sorted(languages.items())), filters)


def lost_sources(funnel: Funnel) -> list[str]:
    """Return a sentence per source of which nothing was kept: how many documents, for what, and what to do."""
    return [_lost_source(name, account) for name, account in funnel.sources.items() if _all_dropped(account)]


def warnings(funnel: Funnel) -> list[str]:
    """Return what the report must say in its first lines, the worst first; nothing to say gives an empty list."""
    lost = lost_sources(funnel)
    if gone := {name: account for name, account in funnel.languages.items() if _all_dropped(account)}:
        largest = sorted(gone.items(), key=lambda item: (-item[1].taken.documents, item[0]))[:_NAMED]
        named = ", ".join(f"{name} ({account.taken.documents:,})" for name, account in largest)
        more = f" and {len(gone) - _NAMED} more" if len(gone) > _NAMED else ""
        lost.append(f"{len(gone)} of {len(funnel.languages)} languages lost all their documents: {named}{more}.")
    everything, nothing = [], []
    for profile, failures in funnel.failures.items():
        judged = funnel.judged[profile]
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
    return lost + everything + nothing


def _account(row: Mapping[str, Any], steps: Sequence[str]) -> Account:
    taken = Count(row["documents_sum"], row["bytes_sum"], row["tokens_sum"])
    if row["reason"]:
        return Account(taken, dropped={row["reason"]: taken})
    edited = {step: Count(0, row[f"bytes of {step}_sum"], row[f"tokens of {step}_sum"]) for step in steps}
    return Account(taken, Count(taken.documents, row["kept_bytes_sum"], row["kept_tokens_sum"]), edited=edited)


def _all_dropped(account: Account) -> bool:
    return account.taken.documents > 0 and account.kept.documents == 0


def _lost_source(name: str, account: Account) -> str:
    reason, count = max(account.dropped.items(), key=lambda item: (item[1].documents, item[0]))
    todo = (
        "They stand in other sources."
        if reason in {EXACT, NEAR, REPEATED}
        else "If you want it, give it another profile (curate.profile_of_source; any_language for text that is not English)."
    )
    return (
        f"source {name}: all {account.taken.documents:,} documents were dropped, "
        f"{count.documents:,} of them as {reason}. {todo}"
    )


def _accounts(left: Mapping[str, Account], right: Mapping[str, Account]) -> dict[str, Account]:
    return {name: left.get(name, Account()) + right.get(name, Account()) for name in sorted({*left, *right})}


def _filters(
    left: Mapping[str, Mapping[str, Count]], right: Mapping[str, Mapping[str, Count]]
) -> dict[str, dict[str, Count]]:
    found: dict[str, dict[str, Count]] = {}
    for name in sorted({*left, *right}):
        one, other = left.get(name, {}), right.get(name, {})
        found[name] = {key: one.get(key, Count()) + other.get(key, Count()) for key in sorted({*one, *other})}
    return found


def _numbers(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return {name: left.get(name, 0) + right.get(name, 0) for name in sorted({*left, *right})}
