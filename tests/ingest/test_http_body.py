"""Bodies of HTTP as browsers read them, headers as servers write them, and WARC as older crawlers did."""

import gzip
import random
import zlib

import brotli
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.ingest.readers.http_body import BodyError, body_of
from tasks.ingest.records import Page, Refusal
from tests.ingest.crawl import packed, page, response
from tests.ingest.test_warc import FAST, read, told

PAGE = page("a", 40)
LIMIT = 1 << 20


def gzipped(data: bytes) -> bytes:
    # Without the time: names of tests are made of it, and all processes of the tests must agree on them.
    return gzip.compress(data, mtime=0)


def chunked(body: bytes, size: int = 97, extension: str = "", end: bytes = b"\r\n") -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x%s%s%s%s" % (len(one), extension.encode(), end, one, end) for one in pieces) + b"0" + end + end


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("transfer", "content", "encoded"),
    [
        ("chunked", "", chunked(PAGE)),
        ("Chunked", "", chunked(PAGE, extension=";name=value; other")),
        ("chunked", "", chunked(PAGE, extension="   ")),
        ("chunked", "", chunked(PAGE, end=b"\n")),
        ("chunked", "", PAGE),
        ("chunked", "gzip", chunked(gzipped(PAGE))),
        ("chunked", "gzip", gzipped(PAGE)),
        ("chunked", "gzip", chunked(PAGE)),
        ("gzip, chunked", "", chunked(gzipped(PAGE))),
        ("", "gzip", PAGE),
        ("", "x-gzip", gzipped(PAGE)),
        ("", "gzip", gzipped(PAGE) + b"\0\0some bytes behind"),
        ("", "gzip", gzipped(PAGE[:500]) + gzipped(PAGE[500:])),
        ("", "gzip, gzip", gzipped(gzipped(PAGE))),
        ("", "deflate", zlib.compress(PAGE)),
        ("", "deflate", raw_deflate(PAGE)),
        ("", "deflate", PAGE),
        ("", "br", brotli.compress(PAGE)),
        ("", "br", PAGE),
        ("", "zstd", zstandard.ZstdCompressor().compress(PAGE)),
        ("", "zstd", PAGE),
        ("identity", "utf-8", PAGE),
        ("", "none", PAGE),
    ],
)
def test_each_encoding_is_undone_or_found_undone_by_itself(transfer: str, content: str, encoded: bytes) -> None:
    assert body_of(encoded, transfer, content, LIMIT) == PAGE


def test_a_body_already_joined_that_begins_like_a_size_is_not_taken_for_chunks() -> None:
    assert body_of(b"beef\n" + PAGE * 9, "chunked", "", LIMIT) == b"beef\n" + PAGE * 9


@settings(max_examples=60)
@example(size=16, cut=22, extension=" ")  # within the end of a line
@given(size=st.integers(1, 500), cut=st.integers(0, 10_000), extension=st.sampled_from(["", ";x", " "]))
def test_of_a_body_in_chunks_that_is_cut_off_the_text_is_used_and_never_a_size(
    size: int, cut: int, extension: str
) -> None:
    whole = chunked(PAGE, size, extension)
    cut = min(cut, len(whole))
    body = body_of(whole[:cut], "chunked", "", LIMIT)
    assert body is not None
    # Before the first size has ended nobody can know that it is one.
    first = whole.index(b"\r\n") + 2
    assert PAGE.startswith(body) if cut >= first else len(body) < first
    assert len(body) >= (cut - first) * size // (size + first + 2) - size


def test_of_a_packed_body_that_is_cut_off_is_used_what_comes_out() -> None:
    for encoded, content in (
        (gzipped(PAGE), "gzip"),
        (brotli.compress(PAGE), "br"),
        (zlib.compress(PAGE), "deflate"),
    ):
        body = body_of(encoded[:-20], "", content, LIMIT)
        assert body is not None and PAGE.startswith(body)


@pytest.mark.parametrize("content", ["gzip", "deflate", "br", "zstd", "compress"])
def test_compressed_bytes_that_cannot_be_undone_never_pass_for_text(content: str) -> None:
    noise = b"\x1f\x8b\x08\0" + random.Random(0).randbytes(3000)
    with pytest.raises(BodyError):
        body_of(noise, "", content, LIMIT)


@pytest.mark.parametrize(
    ("content", "pack"), [("gzip", gzip.compress), ("br", brotli.compress), ("deflate", raw_deflate)]
)
def test_a_body_that_grows_beyond_the_limit_is_not_unpacked(content: str, pack: object) -> None:
    assert callable(pack)
    assert body_of(pack(b" " * 5_000_000), "", content, LIMIT) is None


# Headers


@pytest.mark.parametrize(
    "block",
    [
        b"HTTP/1.1 200 OK\nContent-Type: text/html; charset=utf-8\nX: y\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\nX: y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nX: y\r\n\n",
        b"HTTP/1.0 200\ncontent-type : text/html; charset=utf-8\n\n",
        b"HTTP/1.1 200 OK\nX: y\n\n",
    ],
)
def test_an_http_header_with_line_ends_of_unix_is_read(block: bytes) -> None:
    honest = response("a", PAGE)
    head, _, _ = honest.partition(b"HTTP/1.1")
    old = int(head.partition(b"Content-Length: ")[2])
    head = head.replace(b"Content-Length: %d" % old, b"Content-Length: %d" % (len(block) + len(PAGE)))
    (found,) = read(packed(head + block + PAGE + b"\r\n\r\n"))
    assert isinstance(found, Page) and found.html == PAGE
    assert found.charset == ("utf-8" if b"charset" in block else None)


@pytest.mark.parametrize("version", [b"WARC/0.17", b"WARC/0.18", b"WARC/1.0", b"WARC/1.1"])
@pytest.mark.parametrize("unix", [True, False])
@pytest.mark.parametrize("gz", [True, False])
def test_older_versions_with_either_line_end_are_read_and_a_wrong_length_does_not_swallow_the_next(
    version: bytes, unix: bool, gz: bool
) -> None:
    def dialect(record: bytes) -> bytes:
        head, body = record.split(b"\r\n\r\n", 1)
        head = head.replace(b"WARC/1.0", version)
        if not unix:
            return head + b"\r\n\r\n" + body
        return head.replace(b"\r\n", b"\n") + b"\n\n" + body.removesuffix(b"\r\n\r\n") + b"\n\n"

    wrong = response("wrong", PAGE, length=90_000_000)
    records = [dialect(one) for one in (response("r0"), wrong, response("r2"), response("r3"))]
    found = read(packed(*records) if gz else b"".join(records))
    assert told(found) == ["r0", (len(packed(records[0]) if gz else records[0]), "truncated_record"), "r2", "r3"]
    first = found[0]
    assert isinstance(first, Page) and first.url == "https://example.org/r0" and first.html == page("r0")


def test_records_inside_one_that_is_honestly_long_are_not_taken_out_of_it() -> None:
    inner = response("inner") + response("inner2")
    body = b"x" * 200_000 + b"\r\n\r\n" + inner + b"x" * 50_000
    long = response("long", body, headers="Content-Type: application/warc\r\n")
    params = FAST.model_copy(update={"max_document_bytes": 150_000})
    params = params.model_copy(update={"extraction": params.extraction.model_copy(update={"max_page_bytes": 150_000})})
    found = read(response("r0") + long + response("r2"), params=params)
    assert [one.reason if isinstance(one, Refusal) else getattr(one, "id", "") for one in found] == [
        "r0",
        "not_html",
        "r2",
    ]


def test_a_member_cut_off_behind_a_wrong_length_is_counted_besides_the_records_before_the_cut() -> None:
    wrong = response("wrong", b"<html>", length=90_000_000)
    member = gzip.compress(b"".join([response("r0"), wrong, *(response(f"r{n}") for n in range(2, 60))]), mtime=0)
    found = read(member[: len(member) // 2])
    names = [one.id for one in found if isinstance(one, Page)]
    assert names == ["r0", *(f"r{n}" for n in range(2, len(names) + 1))] and len(names) > 10
    assert [one.detail for one in found if isinstance(one, Refusal)][1:] == ["the file ends inside this gzip member"]
