"""Why documents are dropped, of all that was found out about a shard but scores."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from tasks.core.handles import Handle
from tasks.core.tables import read_table
from tasks.curate.fates import CONTAMINATED, DECONTAMINATE
from tasks.curate.judge import Judgement, Judges
from tasks.curate.rules.decide import Verdict


def hits_of(contamination: Handle | None) -> dict[str, dict[str, Any]]:
    """Return what a table of contamination says, by the id of the document."""
    rows = read_table(contamination.local()).to_pylist() if contamination else []
    return {row["id"]: row for row in rows}


def verdicts_of(
    judged: Judgement, hits: Mapping[str, Mapping[str, Any]], duplicates: pa.Table | None, judges: Judges
) -> list[Verdict | None]:
    """Return why each document is dropped: by a rule, for a benchmark, as a duplicate; None for those that pass."""
    found = judged.verdicts(judges)
    if hits:
        for row, name in enumerate(judged.sizes["id"].to_pylist()):
            if found[row] is None and name in hits:
                found[row] = _contaminated(hits[name])
    if duplicates is not None:
        filters, details = duplicates["filter"].to_pylist(), duplicates["detail"].to_pylist()
        for row, filtered in enumerate(filters):
            if found[row] is None and filtered is not None:
                found[row] = Verdict(filtered, filtered, details[row])
    return found


def _contaminated(hit: Mapping[str, Any]) -> Verdict:
    detail = f"{hit['hits']:,} n-gram(s) of {hit['benchmark']}, such as {hit['ngram']!r}"
    return Verdict(DECONTAMINATE, CONTAMINATED, detail)


def languages_of(documents: pa.Table, judged: Judgement) -> list[str | None]:
    """Return the language each document came with; where it came with none, the one that was identified."""
    own = documents["lang"].to_pylist()
    found = judged.statistics.get("language")
    return own if found is None else [mine or str(other) or None for mine, other in zip(own, found, strict=True)]
