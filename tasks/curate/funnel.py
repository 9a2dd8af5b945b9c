"""The funnel: what curation took, kept and dropped per source and language, and what a reader must be told first."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.core.account import Account, Count
from tasks.curate.rules.gopher import RULES

EXACT, NEAR = "exact_duplicate", "near_duplicate"
# Every reason, in the order of the decision, with the filter it belongs to.
FILTER_OF_REASON = {**{rule.reason: rule.filter for rule in RULES}, EXACT: EXACT, NEAR: NEAR}
UNKNOWN_LANGUAGE = "unknown"


@dataclass(frozen=True)
class Fate:
    """What became of one document; `reason` is None when it was kept."""

    source: str
    language: str
    bytes: int
    reason: str | None


@dataclass(frozen=True)
class Funnel:
    """Accounts per source and per language; per profile, how many documents it judged and how many fail each rule.

    `failures` counts a document under every rule it fails; the accounts only under the first, which dropped it.
    """

    sources: Mapping[str, Account] = field(default_factory=dict)
    languages: Mapping[str, Account] = field(default_factory=dict)
    judged: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def __add__(self, other: "Funnel") -> "Funnel":
        profiles = sorted({*self.failures, *other.failures})
        return Funnel(
            _accounts(self.sources, other.sources),
            _accounts(self.languages, other.languages),
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
            "judged": dict(self.judged),
            "failures": {name: dict(counts) for name, counts in self.failures.items()},
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "Funnel":
        """Return the funnel that `to_json` wrote."""
        return Funnel(
            {name: Account.from_json(account) for name, account in value["sources"].items()},
            {name: Account.from_json(account) for name, account in value["languages"].items()},
            value["judged"],
            value["failures"],
        )


def tally(fates: Iterable[Fate]) -> Funnel:
    """Return the accounts of documents by source and by language."""
    counts: dict[tuple[str, str, str | None], Count] = defaultdict(Count)
    for fate in fates:
        counts[fate.source, fate.language, fate.reason] += Count(1, fate.bytes)
    sources: dict[str, Account] = {}
    languages: dict[str, Account] = {}
    for (source, language, reason), count in counts.items():
        account = Account(count, count) if reason is None else Account(count, dropped={reason: count})
        sources = _accounts(sources, {source: account})
        languages = _accounts(languages, {language: account})
    return Funnel(sources, languages)


def warnings(funnel: Funnel) -> list[str]:
    """Return what the report must say in its first lines, the worst first; nothing to say gives an empty list."""
    lost = [_lost_source(name, account) for name, account in funnel.sources.items() if _all_dropped(account)]
    if gone := {name: account for name, account in funnel.languages.items() if _all_dropped(account)}:
        named = ", ".join(f"{name} ({account.taken.documents:,})" for name, account in gone.items())
        lost.append(f"{len(gone)} of {len(funnel.languages)} languages lost all their documents: {named}.")
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


def _all_dropped(account: Account) -> bool:
    return account.taken.documents > 0 and account.kept.documents == 0


def _lost_source(name: str, account: Account) -> str:
    reason, count = max(account.dropped.items(), key=lambda item: (item[1].documents, item[0]))
    todo = (
        "They stand in other sources."
        if reason in {EXACT, NEAR}
        else "If you want it, give it another profile (curate.profile_of_source)."
    )
    return (
        f"source {name}: all {account.taken.documents:,} documents were dropped, "
        f"{count.documents:,} of them as {reason}. {todo}"
    )


def _accounts(left: Mapping[str, Account], right: Mapping[str, Account]) -> dict[str, Account]:
    return {name: left.get(name, Account()) + right.get(name, Account()) for name in sorted({*left, *right})}


def _numbers(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return {name: left.get(name, 0) + right.get(name, 0) for name in sorted({*left, *right})}
