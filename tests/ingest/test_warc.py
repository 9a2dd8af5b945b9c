"""WARC: every HTML response is a document with its url; a damaged record is refused at its place, the others are read."""

import gzip
import json
import random
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.account import Count
from tasks.core.manifest import Manifest
from tasks.ingest.config import IngestParams
from tasks.ingest.extraction.kinds import Resiliparse
from tasks.ingest.readers.members import GzipMembers, WholeFile
from tasks.ingest.readers.warc import read_warc
from tasks.ingest.records import Page, Record, Refusal
from tests.ingest.crawl import PROSE, packed, page, record, response
from tests.ingest.workshop import ingest, rows

FAST = IngestParams(extraction=Resiliparse(), max_quarantined_fraction=1)
INFO = record("warcinfo", "info", b"software: test", "application/warc-fields")


def read(
    data: bytes, *, cut: int = 1 << 20, params: IngestParams = FAST, gz: bool | None = None
) -> list[Page | Record | Refusal]:
    blocks = (data[start : start + cut] for start in range(0, len(data), cut))
    gz = data[:2] == b"\x1f\x8b" if gz is None else gz
    members = GzipMembers(blocks, params.max_expansion) if gz else WholeFile(blocks)
    return list(read_warc(members, params))


def told(found: list[Page | Record | Refusal]) -> list[str | tuple[int, str] | None]:
    """The ids of pages, and place and reason of refusals."""
    return [(one.offset, one.reason) if isinstance(one, Refusal) else getattr(one, "id", None) for one in found]


def run(data: bytes, folder: Path, name: str = "crawl.warc.gz", params: IngestParams = FAST) -> Manifest:
    (folder / "in").mkdir()
    (folder / "in" / name).write_bytes(data)
    return ingest([folder / "in" / name], folder, params)


def test_a_response_becomes_a_document_with_all_that_is_known_about_it(tmp_path: Path) -> None:
    head = '<meta property="article:published_time" content="2025-11-30T10:00:00Z">'
    manifest = run(packed(INFO, response("one", page("one", head=head))), tmp_path, params=IngestParams())
    (row,) = rows(tmp_path / "ingest")
    assert row["text"].count(PROSE) == 6
    assert "Section 1" not in row["text"] and "Imprint" not in row["text"]
    assert {name: row[name] for name in ("id", "source", "url", "lang")} == {
        "id": "one",
        "source": "crawl",
        "url": "https://example.org/one",
        "lang": "en",
    }
    assert json.loads(row["metadata"]) == {
        "date": "2025-11-30",
        "encoding": "utf-8",
        "title": "About one",
        "warc_date": "2026-01-02T03:04:05Z",
    }
    assert manifest.account is not None
    assert manifest.account.taken == manifest.account.kept
    assert {"trafilatura", "justext", "lxml"} <= {*manifest.libraries}


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz", "a.warc.zst", "one-member.warc.gz"])
def test_however_the_file_is_compressed_its_documents_are_the_same(name: str, tmp_path: Path) -> None:
    records = [INFO, *(response(f"r{n}") for n in range(5))]
    whole = b"".join(records)
    data = {"a.warc": whole, "a.warc.gz": packed(*records), "a.warc.zst": zstandard.ZstdCompressor().compress(whole)}
    run(data.get(name, gzip.compress(whole)), tmp_path, name)
    assert [row["id"] for row in rows(tmp_path / "ingest")] == [f"r{n}" for n in range(5)]


def test_the_text_records_of_a_wet_file_are_documents(tmp_path: Path) -> None:
    data = packed(INFO, record("conversion", "c", "Grüße aus Köln".encode(), "text/plain"))
    run(data, tmp_path, "CC-MAIN-00.warc.wet.gz")
    (row,) = rows(tmp_path / "ingest")
    assert (row["id"], row["text"], row["url"]) == ("c", "Grüße aus Köln", "https://example.org/c")


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (response("x", b"%PDF", headers="Content-Type: application/pdf\r\n"), "not_html"),
        (response("x", b"GIF89a", headers=""), "not_html"),
        (response("x", status="404 Not Found"), "http_status"),
        (response("x", b"<html><body></body></html>"), "no_main_text"),
        (response("x", b""), "no_main_text"),
    ],
)
def test_what_is_whole_but_no_document_is_dropped_and_costs_no_budget(
    other: bytes, reason: str, tmp_path: Path
) -> None:
    strict = IngestParams(extraction=Resiliparse(), max_quarantined_fraction=0)
    manifest = run(packed(response("one"), other, INFO), tmp_path, params=strict)
    assert manifest.account is not None
    assert {name: count.documents for name, count in manifest.account.dropped.items()} == {reason: 1}
    assert not manifest.account.quarantined
    assert [row["reason"] for row in rows(tmp_path / "ingest", "dropped")] == [reason]
    assert manifest.summary["dropped"][reason]["documents"] == 1


def test_pages_without_content_type_are_told_by_their_first_tag() -> None:
    assert told(read(packed(response("a", headers=""), response("b", headers="Content-Type: TEXT/HTML\r\n")))) == [
        "a",
        "b",
    ]


@pytest.mark.parametrize("cut", [1, 100, 1 << 20])
@pytest.mark.parametrize("damage", ["flipped", "cut", "garbage"])
def test_a_damaged_member_costs_one_record_and_the_next_ones_are_found(damage: str, cut: int) -> None:
    members = [packed(response(f"r{n}", page(f"r{n}", 2))) for n in range(4)]
    broken = {
        "flipped": members[1][:150] + bytes([members[1][150] ^ 255]) + members[1][151:],
        "cut": members[1][: len(members[1]) // 2],
        "garbage": b"this is no gzip member",
    }[damage]
    found = read(members[0] + broken + members[2] + members[3], cut=cut)
    assert told(found) == ["r0", (len(members[0]), "damaged_record"), "r2", "r3"]


def test_a_file_cut_inside_its_last_member_keeps_the_records_before(tmp_path: Path) -> None:
    whole = packed(response("r0"), response("r1"))
    manifest = run(whole[:-30], tmp_path)
    assert [row["id"] for row in rows(tmp_path / "ingest")] == ["r0"]
    assert manifest.account is not None and list(manifest.account.quarantined) == ["truncated_record"]
    (row,) = rows(tmp_path / "ingest", "quarantined")
    assert (row["file"], row["offset"]) == ("crawl.warc.gz", len(packed(response("r0"))))


@pytest.mark.parametrize("gz", [True, False])
@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (response("x", length=20), "bad_record_length"),
        (response("x").replace(b"Content-Length", b"Content-Size"), "bad_record_header"),
        (response("x").replace(b"WARC/1.0", b"NOPE/1.0"), "bad_record_header"),
        (response("x", length=-5), "bad_record_header"),
    ],
)
def test_a_record_with_a_wrong_header_is_refused_and_does_not_take_others_with_it(
    wrong: bytes, reason: str, gz: bool
) -> None:
    records = [response("r0"), wrong, response("r2"), response("r3")]
    data = packed(*records) if gz else b"".join(records)
    place = len(packed(records[0])) if gz else len(records[0])
    assert told(read(data)) == ["r0", (place, reason), "r2", "r3"]


@pytest.mark.parametrize("more", [3, 500, 10_000_000, 90_000_000, 10**14])
def test_a_length_that_reaches_into_other_records_does_not_swallow_them(more: int) -> None:
    honest = response("x")
    length = int(honest.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]) + more
    records = [response("r0"), response("x", length=length), response("r2"), response("r3")]
    found = told(read(b"".join(records)))
    assert found[0] == "r0" and isinstance(found[1], tuple) and found[1][0] == len(records[0])
    assert found[2:] == ["r2", "r3"]


def test_a_record_beyond_the_limit_is_counted_but_not_held() -> None:
    big = response("big", b"<html>" + b"x" * 3_000_000)
    params = IngestParams(extraction=Resiliparse(max_page_bytes=1000), max_document_bytes=100_000)
    found = read(packed(response("r0"), big, response("r2")), params=params)
    assert told(found) == ["r0", (len(packed(response("r0"))), "page_too_long"), "r2"]
    assert found[1].bytes == len(big) - 4


def test_a_bomb_in_a_member_and_one_in_a_body_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.ingest.readers.members.EXPANSION_FLOOR", 1_000_000)
    zeros = response("zeros", b"<html>" + b"\0" * 30_000_000)
    body = gzip.compress(b"<html>" + b" " * 30_000_000)
    inner = response("inner", body, headers="Content-Type: text/html\r\nContent-Encoding: gzip\r\n")
    params = IngestParams(extraction=Resiliparse(), max_expansion=100)
    reasons = [one.reason for one in read(packed(zeros, inner), params=params) if isinstance(one, Refusal)]
    assert reasons == ["decompression_bomb", "page_too_long"]


@pytest.mark.parametrize(
    ("headers", "encode"),
    [
        ("Content-Encoding: gzip\r\n", gzip.compress),
        ("Transfer-Encoding: chunked\r\n", lambda body: b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)),
        ("Content-Encoding: gzip\r\n", lambda body: body),
        ("Transfer-Encoding: chunked\r\n", lambda body: body),
    ],
    ids=["gzip", "chunked", "gzip already undone", "chunks already joined"],
)
def test_the_encodings_of_http_are_undone_where_the_crawler_has_not_done_it(headers: str, encode: object) -> None:
    assert callable(encode)
    data = response("a", encode(page("a")), headers=f"Content-Type: text/html\r\n{headers}")
    (found,) = read(packed(data))
    assert isinstance(found, Page) and found.html == page("a")


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), gz=st.booleans(), cut=st.sampled_from([7, 1000, 1 << 20]))
def test_whatever_is_damaged_nothing_raises_and_the_records_behind_it_are_found(seed: int, gz: bool, cut: int) -> None:
    random_ = random.Random(seed)
    records = [response(f"r{n}", page(f"r{n}", 1)) for n in range(6)]
    pieces = [packed(one) if gz else one for one in records]
    data = bytearray(b"".join(pieces))
    place = random_.randrange(len(data))
    length = random_.randrange(1, 40)
    match random_.randrange(3):
        case 0:
            data[place : place + length] = random_.randbytes(length)
        case 1:
            del data[place : place + length]
        case _:
            data[place:place] = random_.randbytes(length)
    found = told(read(bytes(data), cut=cut, gz=gz))
    hit = sum(place >= sum(map(len, pieces[: n + 1])) for n in range(6))
    # What was damaged may reach into the next record; the others must be there.
    safe = [f"r{n}" for n in range(6) if n < hit or n > hit + 1]
    assert [name for name in found if name in safe] == safe


def test_the_bytes_do_not_depend_on_where_the_file_is_cut_into_blocks() -> None:
    data = packed(INFO, *(response(f"r{n}") for n in range(5)))
    assert read(data, cut=3) == read(data, cut=1000) == read(data)


def test_the_account_counts_every_record_once(tmp_path: Path) -> None:
    records = [response("r0"), response("pdf", b"%PDF", headers="Content-Type: application/pdf\r\n"), response("r2")]
    manifest = run(packed(*records), tmp_path)
    assert manifest.account is not None
    assert manifest.account.taken == Count(3, sum(map(len, records)) - 3 * 4)
    assert manifest.account.kept.documents == 2
