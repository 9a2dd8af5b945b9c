"""The readers: every format gives the same documents; what is no document is refused at its place, for its reason."""

import gzip
import json
import tempfile
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.errors import DataError
from tasks.ingest.config import IngestParams
from tasks.ingest.read import read_records
from tasks.ingest.readers.lines import lines
from tasks.ingest.readers.stream import decompressed
from tasks.ingest.records import Page, Record, Refusal
from tasks.ingest.unit import UnitArgs
from tests.ingest.workshop import CONTAINERS, documents, json_lines, read_files, source_file, write_records

TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=8)


def read(path: Path, params: IngestParams | None = None) -> list[Record | Refusal]:
    found = list(read_records(source_file(path), params or IngestParams()))
    assert not any(isinstance(one, Page) for one in found)
    return [one for one in found if not isinstance(one, Page)]


def fine(text: str) -> bool:
    return bool(text) and not text.isspace() and "\0" not in text


def refusals(path: Path, params: IngestParams | None = None) -> list[tuple[int, int, str]]:
    """Read a file as a unit; return offset, bytes and reason of what was set aside."""
    with tempfile.TemporaryDirectory() as folder:
        read_files(UnitArgs((source_file(path),), params or IngestParams()), Path(folder))
        found = pq.read_table(Path(folder) / "quarantined-00000.parquet").to_pylist()
    return [(row["offset"], row["bytes"], row["reason"]) for row in found]


@settings(max_examples=60)
@given(
    texts=TEXTS,
    container=st.sampled_from([*CONTAINERS, "text"]),
    limit=st.sampled_from([4, 1000]),
    shard=st.integers(1, 40),
)
def test_any_texts_in_any_format_come_out_in_order_and_the_account_closes(
    texts: list[str], container: str, limit: int, shard: int
) -> None:
    params = IngestParams(max_document_bytes=limit if container == "parquet" else 100_000, target_shard_bytes=shard)
    if container == "text":
        # A file with a null byte is no text.
        texts = [text.replace("\0", "") for text in texts]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if container == "text":
            files = []
            for number, text in enumerate(texts):
                files.append(folder / f"{number}.txt")
                files[-1].write_bytes(text.encode())
        else:
            records = [{"id": f"{number}.txt", "text": text} for number, text in enumerate(texts)]
            files = [write_records(folder / f"all.{container}", records)]
        (folder / "out").mkdir()
        account, _ = read_files(UnitArgs(tuple(map(source_file, files)), params), folder / "out")
        made = [row for path in sorted((folder / "out").glob("d*")) for row in pq.read_table(path).to_pylist()]
    fits = [len(text.encode()) <= params.max_document_bytes for text in texts]
    empty = texts.count("") if container == "text" else 0
    if container == "text":
        # A byte order mark is no text.
        texts = [text.removeprefix("\ufeff") for text in texts]
    expected = [(f"{n}.txt", text) for n, text in enumerate(texts) if fits[n] and fine(text)]
    assert [(row["id"], row["text"]) for row in made] == expected
    # An empty file is no record.
    assert account.taken.documents == len(texts) - empty
    assert account.kept.documents == len(expected)
    assert sum(count.documents for count in account.quarantined.values()) == len(texts) - len(expected) - empty


@settings(max_examples=100)
@given(data=st.binary(max_size=60), cut=st.integers(1, 7), limit=st.integers(1, 20))
def test_lines_are_those_of_the_stream_however_it_is_cut_into_blocks(data: bytes, cut: int, limit: int) -> None:
    data = data.replace(b"\x00", b"\n")
    found = list(lines([data[start : start + cut] for start in range(0, len(data), cut)], limit))
    expected = data.split(b"\n")
    expected = expected if expected[-1] else expected[:-1]
    assert [line.bytes for line in found] == [len(line) for line in expected]
    assert [line.data for line in found] == [line if len(line) <= limit else None for line in expected]
    assert all(data[line.offset : line.offset + line.bytes] == line.data for line in found if line.data is not None)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"id": "x"}', "no_text"),
        (b'{"text": 7}', "no_text"),
        (b'{"text": null}', "no_text"),
        (b'{"text": ""}', "empty_text"),
        (b'{"text": " \\n\\t"}', "empty_text"),
        (b'{"text": "a\xff"}', "invalid_utf8"),
        (b'{"text": "a\\u0000b"}', "null_byte"),
        (b'{"text": "a", "url": "\\u0000"}', "null_byte"),
        (b'{"text": "half a pair: \\ud83d"}', "invalid_utf8"),
        (b'{"text": "a", "url": "\\udc00"}', "invalid_utf8"),
        (b'{"text": "a"', "invalid_json"),
        (b'["text"]', "invalid_json"),
        (b'{"text": NaN}', "no_text"),
        (b'{"text": "a", "more": ' + b"[" * 900 + b"]" * 900 + b"}", "bad_field"),
        (b"[" * 100_000, "invalid_json"),
        (b'{"text": "a", "id": ""}', "bad_field"),
        (b'{"text": "a", "id": true}', "bad_field"),
        (b'{"text": "a", "url": ["u"]}', "bad_field"),
    ],
    ids=lambda value: value[:30].decode(errors="replace") if isinstance(value, bytes) else value,
)
def test_a_bad_line_is_refused_for_its_reason_at_its_place_and_the_others_are_kept(
    line: bytes, reason: str, tmp_path: Path
) -> None:
    before, after = json_lines(documents(2)), json_lines(documents(3, "e"))
    path = tmp_path / "a.jsonl"
    path.write_bytes(before + line + b"\n" + after)
    account, summary = read_files(UnitArgs((source_file(path),), IngestParams()), tmp_path)
    assert refusals(path) == [(len(before), len(line), reason)]
    assert account.kept.documents == 5
    assert account.taken.bytes == len(before + line + after) - 5
    assert summary["quarantined"][reason]["documents"] == 1
    assert f"a.jsonl at {len(before)}" in summary["quarantined"][reason]["first"][0]


def test_blank_lines_and_a_byte_order_mark_are_no_records(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b'{"text": "one"}\r\n\n  \r\n{"text": "two"}')
    assert [record.fields["text"] for record in read(path) if isinstance(record, Record)] == ["one", "two"]
    assert len(read(path)) == 2


def test_a_byte_order_mark_at_the_start_of_any_line_is_none_of_the_records(tmp_path: Path) -> None:
    path = tmp_path / "joined.jsonl"
    mark = b"\xef\xbb\xbf"
    path.write_bytes(mark + b'{"text": "one"}\n' + mark + b'{"text": "\xef\xbb\xbftwo"}\n' + mark)
    assert [record.fields["text"] for record in read(path) if isinstance(record, Record)] == ["one", "\ufefftwo"]
    assert len(read(path)) == 2


@pytest.mark.parametrize(
    ("beside", "metadata"),
    [
        ('"score": NaN', {"score": "nan"}),
        ('"score": [-Infinity, {"x": Infinity}]', {"score": ["-inf", {"x": "inf"}]}),
        ('"score": 1e999', {"score": "inf"}),
        ('"score": -0.0', {"score": 0.0}),
        ('"big": 123456789012345678901234567890', {"big": 123456789012345678901234567890}),
        ('"big": 1' + "0" * 5000, {"big": "1" + "0" * 5000}),
        ('"title": "cut \\ud83d"', {"title": "cut \ufffd"}),
        ('"title": "\\ud83d\\ude00 \\ude00"', {"title": "\U0001f600 \ufffd"}),
        ('"null": "a\\u0000b"', {"null": "a\0b"}),
        ('"twice": 1, "twice": 2', {"twice": 2}),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_what_stands_beside_a_text_never_costs_the_document(
    beside: str, metadata: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"text": "a text", {beside}}}\n')
    account, _ = read_files(UnitArgs((source_file(path),), IngestParams()), tmp_path)
    assert account.kept.documents == account.taken.documents == 1
    (row,) = pq.read_table(tmp_path / "documents-00000.parquet").to_pylist()
    assert json.loads(row["metadata"]) == metadata


@pytest.mark.parametrize("compression", ["gz", "zst"])
def test_a_line_of_200_megabytes_is_skipped_counted_and_never_held(compression: str, tmp_path: Path) -> None:
    before, after = json_lines(documents(1)), json_lines(documents(1, "e"))
    path, length = tmp_path / f"a.jsonl.{compression}", 200_000_000
    if compression == "gz":
        packer: Any = zlib.compressobj(1, wbits=31)
    else:
        packer = zstandard.ZstdCompressor(level=1).compressobj()
    with path.open("wb") as stream:
        stream.write(packer.compress(before))
        for _ in range(200):
            stream.write(packer.compress(b"x" * 1_000_000))
        stream.write(packer.compress(b"\n" + after))
        stream.write(packer.flush())
    tracemalloc.start()
    try:
        found = read(path, IngestParams(max_expansion=None))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [type(record) for record in found] == [Record, Refusal, Record]
    assert found[1] == Refusal(
        len(before), length, "line_too_long", "200,000,000 bytes, the limit (max_document_bytes) is 16,777,216"
    )
    assert peak < 100_000_000


def test_a_text_file_beyond_the_limit_is_refused_as_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"long " * 100)
    with pytest.raises(DataError, match=r"one document of 500 bytes, the limit .* is 499"):
        read(path, IngestParams(max_document_bytes=499))
    assert isinstance(read(path, IngestParams(max_document_bytes=500))[0], Record)


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfhello")
    assert [record.fields["text"] for record in read(path) if isinstance(record, Record)] == ["hello"]


def test_a_parquet_row_beyond_the_limit_is_refused_by_row(tmp_path: Path) -> None:
    path = write_records(tmp_path / "a.parquet", [{"text": "short"}, {"text": "\u00e9" * 5}])
    assert refusals(path, IngestParams(max_document_bytes=9)) == [(1, 10, "text_too_long")]


@pytest.mark.parametrize("container", ["jsonl.gz", "jsonl.zst"])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.999])
def test_a_truncated_stream_fails_and_says_how_far_it_could_be_read(
    container: str, kept: float, tmp_path: Path
) -> None:
    path = write_records(tmp_path / f"a.{container}", documents(3000))
    whole = path.read_bytes()
    cut = int(len(whole) * kept)
    path.write_bytes(whole[:cut])
    with pytest.raises(
        DataError, match=rf"a\.{container}: .* ends before its end marker.*after {cut:,} compressed bytes"
    ):
        read(path)


@pytest.mark.parametrize("container", ["jsonl.gz", "jsonl.zst"])
def test_a_damaged_stream_fails(container: str, tmp_path: Path) -> None:
    path = write_records(tmp_path / f"a.{container}", documents(3000))
    data = bytearray(path.read_bytes())
    data[:2] = b"no"
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"stream is damaged .* Get the file again"):
        read(path)


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_truncated_parquet_file_fails(kept: float, tmp_path: Path) -> None:
    path = write_records(tmp_path / "a.parquet", documents(3000))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(DataError, match=r"a\.parquet: the Parquet file is damaged or truncated, after 0 rows"):
        read(path)


def test_a_parquet_file_damaged_inside_says_how_many_rows_could_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.Table.from_pylist(documents(2000))
    pq.write_table(table, path, row_group_size=500, compression="zstd", use_dictionary=False)
    data = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(3).column(1).data_page_offset
    data[start : start + 60] = b"\xff" * 60
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"damaged or truncated, after 1,[0-9]{3} rows"):
        read(path)


def test_a_parquet_file_without_the_text_column_is_refused_with_the_columns_it_has(tmp_path: Path) -> None:
    path = write_records(tmp_path / "a.parquet", [{"content": "x", "id": "1"}])
    with pytest.raises(DataError, match=r"no column 'text'; it has content, id\. .*ingest\.text_field"):
        read(path)
    assert read(path, IngestParams(text_field="content"))


def test_parquet_rows_that_are_not_utf8_are_refused_by_row(tmp_path: Path) -> None:
    texts = pa.array([b"good", b"bad \xff", b"also good"], pa.binary())
    unchecked = pa.Array.from_buffers(pa.string(), 3, texts.buffers())
    for number, column in enumerate([texts, unchecked]):
        path = tmp_path / f"{number}.parquet"
        pq.write_table(pa.table({"text": column}), path)
        assert [(place, reason) for place, _, reason in refusals(path)] == [(1, "invalid_utf8")]
        assert [record.fields["text"] for record in read(path) if isinstance(record, Record)] == ["good", "also good"]


def test_garbage_after_a_gzip_member_is_not_ignored() -> None:
    with pytest.raises(DataError, match="damaged"):
        list(decompressed(iter([gzip.compress(b"one") + b"rest"]), "gzip", "x"))


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.parquet", "a.txt"])
def test_a_file_that_changed_since_it_was_listed_is_refused(name: str, tmp_path: Path) -> None:
    path = write_records(tmp_path / name, documents(3))
    listed = source_file(path)
    write_records(path, documents(3, "x"))
    with pytest.raises(DataError, match=r"changed since it was listed \(SHA-256 [0-9a-f]{12}, not [0-9a-f]{12}\)"):
        list(read_records(listed, IngestParams()))


def test_own_fields_win_ids_are_derived_where_there_are_none_and_the_rest_is_metadata(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [
        {"id": 17, "text": "a", "source": "own", "url": "u", "lang": "en", "score": 0.5, "tags": ["x"]},
        {"text": "b", "url": None, "lang": None},
    ]
    path = write_records(tmp_path / "a.jsonl", records)
    listed = source_file(path, "file")
    read_files(UnitArgs((listed,), IngestParams()), tmp_path)
    assert pq.read_table(tmp_path / "documents-00000.parquet").to_pylist() == [
        {"id": "17", "text": "a", "source": "own", "url": "u", "lang": "en", "metadata": '{"score":0.5,"tags":["x"]}'},
        {"id": f"{listed.digest[:12]}-1", "text": "b", "source": "file", "url": None, "lang": None, "metadata": None},
    ]


def test_a_field_that_is_off_stays_in_the_metadata(tmp_path: Path) -> None:
    path = write_records(tmp_path / "a.jsonl", [{"id": "1", "text": "a", "source": "own"}])
    listed = source_file(path, "file")
    read_files(UnitArgs((listed,), IngestParams(id_field=None, source_field=None)), tmp_path)
    (row,) = pq.read_table(tmp_path / "documents-00000.parquet").to_pylist()
    assert (row["id"], row["source"]) == (f"{listed.digest[:12]}-0", "file")
    assert json.loads(row["metadata"]) == {"id": "1", "source": "own"}


def test_parquet_values_that_json_has_not_are_kept_as_text(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    columns = {"text": ["a"], "day": pa.array([0], pa.date32()), "score": [float("nan")], "raw": [b"\x01"]}
    pq.write_table(pa.table(columns), path)
    read_files(UnitArgs((source_file(path),), IngestParams()), tmp_path)
    (row,) = pq.read_table(tmp_path / "documents-00000.parquet").to_pylist()
    assert json.loads(row["metadata"]) == {"day": "1970-01-01", "score": "nan", "raw": "01"}


def test_shards_are_closed_by_the_document_that_fills_them(tmp_path: Path) -> None:
    path = write_records(tmp_path / "a.jsonl", [{"text": "x" * 10} for _ in range(7)])
    read_files(UnitArgs((source_file(path),), IngestParams(target_shard_bytes=30)), tmp_path)
    assert [pq.read_metadata(shard).num_rows for shard in sorted(tmp_path.glob("documents-*"))] == [3, 3, 1]
