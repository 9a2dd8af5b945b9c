"""One document into several, or none: parts with their parent and the reason, and an account that closes.

For whatever cuts documents (a splitter of conversations, a rewriter, a chunker): its function says what the parts are, and
this module that nothing is lost on the way.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from tasks.core.account import Account, Count
from tasks.core.errors import DataError

PART = pa.schema(
    [("id", pa.string()), ("parent_id", pa.string()), ("reason", pa.string()), ("text", pa.large_string())]
)


@dataclass(frozen=True)
class Part:
    """A piece of a document, and why it is one; parts are called `<id of the document>#<number>`."""

    text: str
    reason: str


Split = Callable[[str], Sequence[Part]]


def split_documents(ids: Sequence[str], texts: Sequence[str], split: Split) -> tuple[pa.Table, Account]:
    """Return the parts of documents (see `PART`) and the account: documents are what came in, and those with a part.

    A document of one part that is its whole text keeps its id. A document without a part is dropped as `no_part`; what the
    parts leave out of a text, or say more than it, is `edited` as `split`.

    Raises:
        DataError: an id is no id of one document any more; names it.
    """
    rows = [row for name, text in zip(ids, texts, strict=True) for row in _rows(name, text, split)]
    names = [row[0] for row in rows]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(
            f"{len(names) - len(set(names))} parts share an id; first: {twice!r}. Give documents other ids."
        )
    table = pa.table([list(column) for column in zip(*rows, strict=True)] or [[]] * len(PART), schema=PART)
    return table, _account(ids, texts, rows)


def _rows(name: str, text: str, split: Split) -> Iterator[tuple[str, str, str, str]]:
    parts = split(text)
    whole = len(parts) == 1 and parts[0].text == text
    for number, part in enumerate(parts):
        yield name if whole else f"{name}#{number}", name, part.reason, part.text


def _account(ids: Sequence[str], texts: Sequence[str], rows: Sequence[tuple[str, str, str, str]]) -> Account:
    parents = {parent for _, parent, _, _ in rows}
    sizes = [len(text.encode()) for text in texts]
    lost = Count(
        len(ids) - len(parents), sum(size for name, size in zip(ids, sizes, strict=True) if name not in parents)
    )
    kept = Count(len(parents), sum(len(text.encode()) for _, _, _, text in rows))
    taken = Count(len(ids), sum(sizes))
    edited = Count(0, taken.bytes - lost.bytes - kept.bytes)
    return Account(
        taken,
        kept,
        dropped={"no_part": lost} if lost.documents else {},
        edited={"split": edited} if edited.bytes else {},
    ).closed("split")
