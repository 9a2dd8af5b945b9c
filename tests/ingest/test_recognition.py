"""What a file is, told by what it holds; its name decides only where the content could be either."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tasks.core.errors import DataError
from tasks.ingest.config import IngestParams
from tasks.ingest.damage import NoTextColumnError
from tasks.ingest.read import read_records
from tasks.ingest.readers.json_values import read_json
from tasks.ingest.recognition import recognised
from tasks.ingest.records import Record, Refusal
from tests.ingest.crawl import packed, page, record, response
from tests.ingest.workshop import documents, ingest, json_lines, rows, source_file

LINES = json_lines(documents(3))
PRETTY = json.dumps({"text": "one", "tags": ["a", "b"]}, indent=1).encode()
LIST = json.dumps(documents(3), indent=1).encode()
TABLE = b"id,text\n1,one\n2,two\n3,three\n"
WARC = record("warcinfo", "i", b"x", "application/warc-fields")
ARC = b"filedesc://x.arc 0.0.0.0 20040101000000 text/plain 4\n1 0 \n\n"


def zipped(name: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), "x")  # a date of its own: the bytes are in the names of tests
    return held.getvalue()


def tarred() -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"))
    return held.getvalue()


def kind(name: str, data: bytes) -> str:
    found = recognised(name, data, whole=True)
    return f"unknown: {found.looks_like}" if found.kind == "unknown" else found.kind


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.ndjson", "a.jsonlines", "a.json", "c4.00000-of-00002.json", "part-00000", "a.txt"]
)
def test_json_lines_are_json_lines_under_any_name(name: str) -> None:
    assert kind(name, LINES) == "jsonl"
    assert kind(name, b"\xef\xbb\xbf\n" + LINES) == "jsonl"


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.json", LIST, "json"),
        ("a.json", PRETTY, "json"),
        ("a.json", b"[]", "json"),
        ("a.json", json_lines(documents(1)), "jsonl"),
        ("a.json", b'{"text": "' + b"x" * 100_000 + b'"}', "jsonl"),
        ("a.json", b'{"text": "a\xe2\x80\xa8b"}\n{"text": "c"}\n', "jsonl"),
        ("a.json", b'["a", "b"]', "unknown: a JSON list that holds no objects"),
        ("a.json", b"[section]\nkey = 1", "unknown: a JSON list that holds no objects"),
        ("a.jsonl", b'not JSON\n{"text": "a"}\n', "jsonl"),
        ("data", LIST, "json"),
        ("a.csv", TABLE, "csv"),
        ("a.tsv", TABLE.replace(b",", b"\t"), "csv"),
        ("part-00000", TABLE, "csv"),
        ("a.csv", LINES, "jsonl"),
        ("a.txt", TABLE, "text"),
        ("a.bin", WARC, "warc"),
        ("crawl", ARC, "arc"),
        ("crawl", b"PAR1", "parquet"),
        ("data", zipped("a.txt"), "zip"),
        ("data", tarred(), "tar"),
        ("a.html", b"<p>no head", "html"),
        ("a.html", "<p>gr\xfc\xdfe".encode("latin-1"), "html"),
        ("index", b"<!-- saved -->\n<!DOCTYPE html><p>x", "html"),
        ("page.md", b"<html> is how it begins", "text"),
        ("a.md", b"[link](there)\n\n{}", "text"),
        ("a.txt", b'{"one": "object"}', "text"),
        ("a.ipynb", PRETTY, "text"),
        ("a.js", b'{"use strict"}\nlet x\n', "text"),
        ("README", b"words, and words\nmore, words\n", "text"),
        ("a.txt", "text".encode("utf-16"), "text"),
        ("a.txt", "d\xe9j\xe0 vu".encode("latin-1"), "text"),
        ("a.txt", b"", "text"),
        ("a.jsonl", b"", "jsonl"),
        ("a.jsonl", '{"text": "a"}'.encode("utf-16"), "unknown: records in UTF-16: convert them to UTF-8"),
        ("a.txt", b"\x89PNG\r\n", "unknown: a PNG image"),
        ("a.txt", b"%PDF-1.7", "unknown: a PDF document"),
        ("a.docx", zipped("[Content_Types].xml"), "unknown: an Office document, e-book or program in a zip archive"),
        ("a.dat", b"\0\1\2", "unknown: binary data"),
        ("a.parquet", b"<html>404</html>", "unknown: a web page, though named .parquet"),
        ("a.jsonl", b"<!doctype html>404", "unknown: a web page, though named .jsonl"),
        (
            "a.json",
            b"words",
            "unknown: a text, though named .json: it does not begin like an object or a list of objects",
        ),
        ("a.parquet", b"PAX1\0\0", "parquet"),
    ],
)
def test_the_content_decides_and_the_name_where_it_could_be_either(name: str, data: bytes, expected: str) -> None:
    assert kind(name, data) == expected


@pytest.mark.parametrize(
    ("pack", "compression"),
    [(bz2.compress, "bzip2"), (gzip.compress, "gzip"), (lzma.compress, "xz"), (zstandard.compress, "zstd")],
)
def test_compression_is_told_by_the_content_too(pack: Any, compression: str) -> None:
    for name in ("a.jsonl", f"a.jsonl.{compression}", "a.json.gz", "download"):
        found = recognised(name, pack(LINES), whole=True)
        assert (found.kind, found.compression) == ("jsonl", compression)
    inside = recognised("a.gz", pack(gzip.compress(LINES)), whole=True)
    assert inside.looks_like == f"another compressed stream inside {compression}: unpack it first"
    assert recognised("a.parquet.gz", pack(b"PAR1"), whole=True).looks_like.startswith("parquet inside")


def test_a_file_named_compressed_that_is_not_is_read_as_it_is_or_damaged(tmp_path: Path) -> None:
    assert recognised("a.jsonl.gz", LINES, whole=True).compression is None
    for damaged in (b"", b"no" + gzip.compress(LINES)[2:]):
        (tmp_path / "a.jsonl.gz").write_bytes(damaged)
        with pytest.raises(DataError, match="the gzip stream"):
            list(read_records(source_file(tmp_path / "a.jsonl.gz"), IngestParams()))


def test_a_suffix_can_be_given_a_kind(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "package.json").write_bytes(b'{\n "name": "x"\n}')
    (tmp_path / "in" / "main.c").write_text("int main;")
    with pytest.raises(DataError, match=r"package\.json has name, .* ingest\.kinds\.json=text"):
        ingest([tmp_path / "in"], tmp_path)
    manifest = ingest([tmp_path / "in"], tmp_path, IngestParams(kinds={"json": "text"}))
    assert manifest.account is not None and manifest.account.kept.documents == 2


# JSON beyond lines


def values(data: bytes, cut: int = 7, limit: int = 10_000) -> list[Any]:
    blocks = [data[start : start + cut] for start in range(0, len(data), cut)]
    found = list(read_json(blocks, "a.json", limit))
    for one in found:
        if isinstance(one, Record):
            assert json.loads(data[one.offset : one.offset + one.bytes]) == one.fields
    return [one.fields if isinstance(one, Record) else one.reason for one in found]


@pytest.mark.parametrize("cut", [1, 2, 7, 1000])
def test_objects_in_a_list_or_one_after_another_are_records_however_the_file_is_cut(cut: int) -> None:
    tricky = [
        {"text": 'a "quoted" } ] [ { \\ \\" \n', "x": [[{}], {"y": "\\\\"}]},
        {},
        {"text": "\u2028 gr\xfc\xdfe \U0001f600"},
    ]
    for ascii_only in (True, False):
        listed = json.dumps(tricky, indent=2, ensure_ascii=ascii_only).encode()
        assert values(b"\xef\xbb\xbf \n" + listed + b"\n", cut) == tricky
        loose = "\n\n".join(json.dumps(value, indent=1, ensure_ascii=ascii_only) for value in tricky)
        assert values(loose.encode(), cut) == tricky
    assert values(b" [ ] ", cut) == values(b"  ", cut) == []


def test_a_value_beyond_the_limit_is_counted_and_one_that_is_wrong_refused() -> None:
    assert values(b'[{"text": "' + b"x" * 100 + b'"}, {"text": "a"}]', limit=50) == ["record_too_long", {"text": "a"}]
    assert values(b'[{"text": 01}, {"text": "\xff"}, {"text": NaN}]')[:2] == ["invalid_json", "invalid_utf8"]


@pytest.mark.parametrize(
    "data",
    [b'[{"a": 1}', b'[{"a": "', b'{"a": [', b'[{"a": 1} {"b": 2}]', b'[{"a": 1}] x', b'[{}, "text"]', b'{"a": 1}, {}'],
)
def test_a_file_of_values_that_ends_early_or_holds_something_else_is_damaged(data: bytes) -> None:
    with pytest.raises(DataError, match=r"a\.json: the JSON (is damaged at byte|ends inside)"):
        values(data)


# Tables


def table(data: bytes, folder: Path, name: str = "a.csv", **params: Any) -> list[Any]:
    (folder / name).write_bytes(data)
    found = list(read_records(source_file(folder / name), IngestParams(**params)))
    return [one.fields if isinstance(one, Record) else (one.offset, getattr(one, "reason", "")) for one in found]


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_rows_of_a_table_are_records_with_the_columns_as_fields(delimiter: str, tmp_path: Path) -> None:
    data = '\ufeffid,text,note\r\n1,"two\nlines, ""quoted""",\r\n\r\n2,5 inch,"x"\n3,last,y'.replace(",", delimiter)
    assert table(data.encode(), tmp_path) == [
        {"id": "1", "text": f'two\nlines{delimiter} "quoted"', "note": None},
        {"id": "2", "text": "5 inch", "note": "x"},
        {"id": "3", "text": "last", "note": "y"},
    ]


def test_bad_rows_are_refused_by_place_and_the_others_kept(tmp_path: Path) -> None:
    data = b'id,text\n1,one\n2,two,three\n3,"a"b\n4,\xff\n5,five\n'
    assert table(data, tmp_path)[:3] == [{"id": "1", "text": "one"}, (14, "bad_row"), (26, "bad_row")]
    manifest = ingest([tmp_path / "a.csv"], tmp_path, IngestParams(max_quarantined_fraction=1))
    assert [row["text"] for row in rows(tmp_path / "ingest")] == ["one", "five"]
    assert manifest.account is not None and manifest.account.taken.documents == 5


@pytest.mark.parametrize("limit", [40, 1_000_000])
def test_a_quote_that_is_never_closed_is_damage_and_not_one_bad_row(limit: int, tmp_path: Path) -> None:
    data = b'id,text\n1,one\n2,"two\n' + b"3,three\n" * 20
    with pytest.raises(DataError, match=r"the row that begins at byte 14 .*a quote in it may never be closed"):
        table(data, tmp_path, max_document_bytes=limit)


def test_a_table_without_the_text_column_or_with_two_of_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoTextColumnError, match=r"no column 'text'; it has id, body\. .*text_field=NAME"):
        table(b"id,body\n1,x\n", tmp_path)
    with pytest.raises(DataError, match="two columns are called 'text'"):
        table(b"text,text\n1,x\n", tmp_path)


# ARC


def arc(url: str, block: bytes, kind: str = "text/html", length: int | None = None) -> bytes:
    return f"{url} 10.0.0.1 20040102030405 {kind} {len(block) if length is None else length}\n".encode() + block + b"\n"


def answer(name: str) -> bytes:
    return b"HTTP/1.1 200 OK\nContent-Type: text/html\n\n" + page(name)


@pytest.mark.parametrize("gz", [True, False])
def test_pages_of_an_arc_file_are_documents_with_url_and_date(gz: bool, tmp_path: Path) -> None:
    records = [
        ARC,
        arc("http://example.org/a", answer("a")),
        arc("http://example.org/old", page("old")),
        arc("http://example.org/wrong", answer("wrong"), length=90_000_000),
        arc("http://example.org/b c", answer("b")),
        arc("dns:example.org", b"20040102030405\nexample.org", "text/dns"),
    ]
    (tmp_path / "x.arc.gz").write_bytes(packed(*records) if gz else b"".join(records))
    found = list(read_records(source_file(tmp_path / "x.arc.gz"), IngestParams()))
    told = [one.reason if isinstance(one, Refusal) else getattr(one, "url", "") for one in found]
    assert told == [
        "http://example.org/a",
        "http://example.org/old",
        "truncated_record",
        "http://example.org/b c",
        "not_html",
    ]
    assert getattr(found[0], "extra", {}) == {"warc_date": "2004-01-02T03:04:05Z"}


def test_a_response_inside_an_archive_of_any_name_is_found(tmp_path: Path) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("crawl", packed(response("r0")))
        archive.writestr("records", LINES)
        archive.writestr("empty", b"")
    (tmp_path / "all").write_bytes(held.getvalue())
    ingest([tmp_path / "all"], tmp_path)
    assert [row["id"] for row in rows(tmp_path / "ingest")] == ["r0", "d0", "d1", "d2"]
