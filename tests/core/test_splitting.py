"""Documents into parts: every part knows its parent and why it is one, and the account closes."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.storage import FolderStore
from tasks.core.account import Count
from tasks.core.errors import DataError
from tasks.core.handles import Handle
from tasks.core.results import Here, UnitResult
from tasks.core.splitting import PART, Part, split_documents
from tasks.runtime.context import Workshop
from tasks.runtime.step import Step
from tests.in_process import InProcess

TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=6)


def paragraphs(text: str) -> list[Part]:
    """Cut at blank lines; a paragraph that begins like a heading says so."""
    cut = [part for part in text.split("\n\n") if part.strip()]
    return [Part(part, "heading" if part.startswith("#") else "paragraph") for part in cut]


@dataclass(frozen=True)
class Shard:
    documents: Handle


def split_shard(args: Shard, here: Here) -> UnitResult:
    """Split the documents of a shard."""
    table = pq.read_table(args.documents.local())
    parts, account = split_documents(table["id"].to_pylist(), table["text"].to_pylist(), paragraphs)
    pq.write_table(parts, here.folder / "parts.parquet")
    return UnitResult(account, {"parts": parts.num_rows})


SPLIT = Step("toy.split", "paragraphs", split_shard)


def test_a_step_gives_several_documents_for_one_with_parent_and_reason(tmp_path: Path) -> None:
    documents = pa.table({"id": ["a", "b", "c"], "text": ["# one\n\ntwo\n\nthree", "whole", " \n\n "]})
    pq.write_table(documents, tmp_path / "documents.parquet")
    shard = Handle(FolderStore(tmp_path), str(tmp_path), "documents.parquet", "d", 1)
    record = SPLIT.one(Workshop(InProcess(), FolderStore(tmp_path / "store")), Shard(shard))
    assert pq.read_table(record.file("parts.parquet").local()).to_pylist() == [
        {"id": "a#0", "parent_id": "a", "reason": "heading", "text": "# one"},
        {"id": "a#1", "parent_id": "a", "reason": "paragraph", "text": "two"},
        {"id": "a#2", "parent_id": "a", "reason": "paragraph", "text": "three"},
        {"id": "b", "parent_id": "b", "reason": "paragraph", "text": "whole"},
    ]
    assert record.account is not None
    assert record.account.taken == Count(3, 26)
    assert record.account.kept == Count(2, 18)
    assert record.account.dropped == {"no_part": Count(1, 4)}
    assert record.account.edited == {"split": Count(0, 4)}


@given(TEXTS)
def test_the_account_closes_whatever_is_split(texts: list[str]) -> None:
    names = [str(number) for number in range(len(texts))]
    table, account = split_documents(names, texts, paragraphs)
    assert table.schema == PART
    assert set(table["parent_id"].to_pylist()) <= {*names}
    assert account.taken.documents == len(texts)


def test_an_id_that_is_that_of_a_part_is_refused() -> None:
    with pytest.raises(DataError, match="1 parts share an id; first: 'a#0'"):
        split_documents(["a", "a#0"], ["one\n\ntwo", "three"], paragraphs)
