"""The beginnings of documents as the page shows them: short, and with nothing invisible in them."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tasks.core.errors import DataError
from tasks.core.tables import table_batches
from tasks.ingest.published.documents import DOCUMENTS

# Directions that reorder what follows: shown as a mark, so that an excerpt cannot rearrange the page.
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True)
class Example:
    """A document shown on the page. Its text is untrusted: the invisible is made visible, HTML is escaped later."""

    id: str
    source: str
    detail: str
    excerpt: str


def excerpts(ingest: Path, ids: Iterable[str], characters: int) -> dict[str, str]:
    """Return the beginning of the documents with these ids, as `excerpt` makes it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(sorted(set(ids)), pa.string())
    found: dict[str, str] = {}
    for path in sorted((ingest / DOCUMENTS).glob("*.parquet")) if len(wanted) else ():
        for batch in table_batches(path, ("id", "text"), stage="ingest"):
            rows = batch.filter(pc.is_in(batch["id"], value_set=wanted))
            # Cut before the text leaves Arrow: one document may have 200 MB.
            texts = pc.utf8_slice_codeunits(rows["text"], 0, 4 * characters).to_pylist()
            found |= {key: excerpt(text, characters) for key, text in zip(rows["id"].to_pylist(), texts, strict=True)}
    if missing := sorted(set(wanted.to_pylist()) - set(found)):
        raise DataError(
            f"{ingest}: {len(missing)} dropped documents are not in it; first: {missing[0]}. Run curate again."
        )
    return found


def excerpt(text: str, characters: int) -> str:
    r"""Return the beginning of a text: blank lines joined, invisible characters made visible, cut at a word.

    >>> excerpt("one   two\n\n\nthree\x1b[0m", 40)
    'one   two\nthree␛[0m'
    """
    lines = (line.rstrip() for line in text.replace("\r\n", "\n").replace("\t", "    ").split("\n"))
    visible = "".join(_visible(character) for character in "\n".join(line for line in lines if line))
    if len(visible) <= characters:
        return visible
    head, blank, _ = visible[:characters].rpartition(" ")
    return (head if blank and len(head) > characters // 2 else visible[:characters]) + " …"


def _visible(character: str) -> str:
    if character == "\n":
        return character
    if ord(character) < 32:
        return chr(0x2400 + ord(character))
    if character in _BIDI or unicodedata.category(character) in {"Cc", "Cs", "Co", "Cn"}:
        return "\ufffd"
    return character
