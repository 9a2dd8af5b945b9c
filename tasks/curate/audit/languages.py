"""What came of each identified language: documents and words, taken and kept, and why others went."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from tasks.core.errors import DataError
from tasks.core.text_table import text_table
from tasks.curate.judge import statistics_of
from tasks.curate.published.documents import ANNOTATIONS, DROPPED, read_shard
from tasks.curate.published.languages import LearnedLanguages

# Reasons that a line of the table names; the answer as JSON has all.
_NAMED = 3


@dataclass(frozen=True)
class LanguageRow:
    """A language: its documents, the words in them (0: they were not counted), how many are kept, and why others went.

    `thresholds` are those that were learned of it. `reference_documents` is how many its reference has.
    """

    language: str
    documents: int
    words: int
    kept_documents: int
    kept_words: int
    reasons: Mapping[str, int]
    reference_documents: int
    thresholds: Mapping[str, float]


@dataclass(frozen=True)
class LanguageAudit:
    """The languages, those with the most documents first."""

    rows: tuple[LanguageRow, ...]


def language_audit(folder: Path) -> LanguageAudit:
    """Return what came of the documents of each language that was identified, from a curated folder.

    Raises:
        DataError: no language was identified, or a file is damaged.
    """
    annotations = _tables(folder / ANNOTATIONS)
    if "language" not in annotations.column_names:
        raise DataError(f"{folder}: no language was identified. Take it (curate.annotate: [language]), and curate.")
    found = statistics_of(annotations)
    languages_N = found["language"]
    words_N = np.nan_to_num(np.asarray(found.get("words", np.zeros(len(languages_N))), np.float64)).astype(np.int64)
    dropped = _tables(folder / DROPPED)
    reasons = dict(zip(dropped["id"].to_pylist(), dropped["reason"].to_pylist(), strict=True))
    reasons_N = np.array([reasons.get(name) for name in annotations["id"].to_pylist()], dtype=object)
    learned = LearnedLanguages.read(folder).languages if (folder / LearnedLanguages.FILE).is_file() else {}
    rows = []
    for language, number in Counter(languages_N.tolist()).items():
        own_N = languages_N == language
        kept_N = own_N & (reasons_N == None)  # noqa: E711  an array is compared element by element
        told = learned.get(language)
        rows.append(
            LanguageRow(
                language or "not asked",
                number,
                int(words_N[own_N].sum()),
                int(kept_N.sum()),
                int(words_N[kept_N].sum()),
                dict(Counter(reasons_N[own_N & ~kept_N].tolist()).most_common()),
                told.reference_documents if told else 0,
                told.thresholds if told else {},
            )
        )
    return LanguageAudit(tuple(sorted(rows, key=lambda row: (-row.documents, row.language))))


def language_table(found: LanguageAudit) -> str:
    """Return the languages as lines of text."""
    head = ("language", "most dropped for", "documents", "kept", "words", "kept", "reference", "confidence")
    return "\n".join(text_table(head, [_cells(row) for row in found.rows], left=2))


def _tables(folder: Path) -> pa.Table:
    return pa.concat_tables([read_shard(path) for path in sorted(folder.glob("*.parquet"))])


def _cells(row: LanguageRow) -> tuple[str, ...]:
    reasons = ", ".join(f"{reason} {number:,}" for reason, number in list(row.reasons.items())[:_NAMED])
    numbers = (row.documents, row.kept_documents, row.words, row.kept_words, row.reference_documents)
    confidence = row.thresholds.get("min_language_score")
    return (
        row.language,
        reasons,
        *(f"{number:,}" for number in numbers),
        "" if confidence is None else f"{confidence:g}",
    )
