"""What if a threshold were another: the decisions over the statistics that were taken, without touching a text."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.core.account import Count
from tasks.core.errors import ConfigError
from tasks.core.params import validate
from tasks.core.text_table import text_table
from tasks.curate.audit.folder import Curated
from tasks.curate.fates import DECONTAMINATE, EXACT, NEAR, REPEATED, SELECTION
from tasks.curate.rules.decide import PASSES, decide
from tasks.curate.rules.profile import Profile, laid_over
from tasks.curate.rules.table import INDEX, RULES


@dataclass(frozen=True)
class Change:
    """One source: what is kept now and what would be kept, before duplicates are looked for anew."""

    source: str
    taken: Count
    kept: Count
    would_keep: Count


@dataclass(frozen=True)
class WhatIf:
    """The answer: per source what would change, and for which reasons documents would come back or go.

    `unseen` of those that come back were never compared for duplicates; a run of curate does that. `not_selected` were
    dropped by a selection and stay dropped here; a run selects anew among the documents that pass.
    """

    changes: tuple[str, ...]
    rows: tuple[Change, ...]
    comes_back: Mapping[str, int]
    goes: Mapping[str, int]
    unseen: int
    not_selected: int


def what_if(curated: Curated, changes: Sequence[str]) -> WhatIf:
    """Return what would be kept with other thresholds.

    A change is `RULE=VALUE` (in every profile in use), `PROFILE.RULE=VALUE`, or `RULE=off`. What was dropped as a
    duplicate, for a benchmark or by a selection stays dropped.

    Raises:
        ConfigError: a change names no rule, no profile in use, or a value that cannot be.
        DataError: a rule looks at a statistic that was not taken.
    """
    profiles = changed_profiles(curated.profiles, changes)
    names_N = curated.profiles_N()
    found = decide(curated.statistics, names_N.tolist(), profiles)
    before = decide(curated.statistics, names_N.tolist(), curated.profiles)
    gone = curated.dropped.filter(
        pc.is_in(curated.dropped["filter"], pa.array([EXACT, NEAR, REPEATED, DECONTAMINATE, SELECTION]))
    )
    stays_gone_N = np.isin(curated.annotations["id"].to_numpy(), gone["id"].to_numpy())
    kept_N = (before.failed_rule_N == PASSES) & ~stays_gone_N
    would_N = (found.failed_rule_N == PASSES) & ~stays_gone_N
    sources_N = curated.annotations["source"].to_numpy()
    rows = []
    for source in curated.funnel.counts.sources:
        own_N = sources_N == source
        rows.append(Change(source, *(_count(curated, own_N & chosen) for chosen in (True, kept_N, would_N))))
    comes_back_N, goes_N = would_N & ~kept_N, kept_N & ~would_N
    return WhatIf(
        tuple(changes),
        tuple(rows),
        _reasons(before.failed_rule_N[comes_back_N]),
        _reasons(found.failed_rule_N[goes_N]),
        int(comes_back_N.sum()),
        int(pc.sum(pc.equal(gone["filter"], SELECTION)).as_py() or 0),
    )


def changed_profiles(profiles: Mapping[str, Profile], changes: Sequence[str]) -> dict[str, Profile]:
    """Return profiles with thresholds changed; see `what_if`."""
    found = dict(profiles)
    for change in changes:
        place, equals, text = change.partition("=")
        *names, rule = place.strip().split(".")
        if not equals or len(names) > 1 or rule not in INDEX:
            raise ConfigError(
                f"--what-if {change}: expected RULE=VALUE or PROFILE.RULE=VALUE, such as min_words=30; {rule!r} is "
                f"{'no rule' if rule not in INDEX else 'a rule'}. `mixwright audit --rules` lists those in use."
            )
        if names and names[0] not in profiles:
            raise ConfigError(f"--what-if {change}: no document was judged by {names[0]}; by {', '.join(profiles)}.")
        for name in names or list(profiles):
            values = laid_over(found[name].model_dump(), {"rules": {rule: _threshold(change, rule, text.strip())}})
            values["filters"] = tuple(dict.fromkeys((*values["filters"], RULES[INDEX[rule]].filter)))
            found[name] = validate(Profile, values, f"--what-if {change}")
    return found


def what_if_table(found: WhatIf) -> str:
    """Return the answer as lines of text."""
    head = ("source", "documents", "kept", "would keep", "change", "MB ingested", "would be", "M tokens", "would be")
    every = Change("all", *(sum((getattr(row, name) for row in found.rows), Count()) for name in _COUNTS))
    lines = [f"what if {', '.join(found.changes)}", *text_table(head, [_cells(row) for row in (*found.rows, every)])]
    for direction, reasons in (("comes back", found.comes_back), ("goes", found.goes)):
        if reasons:
            lines.append(f"{direction}: " + ", ".join(f"{reason} {number:,}" for reason, number in reasons.items()))
    if found.unseen:
        lines.append(f"{found.unseen:,} of these were not compared for duplicates yet: `mixwright curate` will.")
    if found.not_selected:
        lines.append(
            f"{found.not_selected:,} stay dropped by selections, which `mixwright curate` does anew among what passes: its "
            "answer will differ."
        )
    return "\n".join(lines)


_COUNTS = ("taken", "kept", "would_keep")


def _threshold(change: str, rule: str, text: str) -> float | tuple[str, ...] | None:
    if text == "off":
        return None
    if RULES[INDEX[rule]].side == "one_of":
        return tuple(text.split(","))
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(f"--what-if {change}: {text!r} is no number, nor `off`.") from error


def _count(curated: Curated, chosen_N: NDArray[np.bool_]) -> Count:
    sizes = (int(curated.statistics[name][chosen_N].sum()) for name in ("bytes", "pretokens"))
    return Count(int(chosen_N.sum()), *sizes)


def _reasons(failed_rules: NDArray[np.int64]) -> dict[str, int]:
    counts = Counter(RULES[index].reason for index in failed_rules.tolist())
    return dict(counts.most_common())


def _cells(row: Change) -> tuple[str, ...]:
    kept, would = row.kept, row.would_keep
    return (
        *(row.source, f"{row.taken.documents:,}", f"{kept.documents:,}", f"{would.documents:,}"),
        *(f"{would.documents - kept.documents:+,}", f"{kept.bytes / 1e6:,.1f}", f"{would.bytes / 1e6:,.1f}"),
        *(f"{kept.tokens / 1e6:,.2f}", f"{would.tokens / 1e6:,.2f}"),
    )
