"""Files that are damaged, empty, bombs, of another schema, or archives with tricks in them."""

import gc
import gzip
import io
import random
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.account import Count
from tasks.core.errors import DataError
from tasks.ingest.budget import told
from tasks.ingest.config import IngestParams
from tasks.ingest.extraction.kinds import Resiliparse
from tasks.ingest.published.documents import DOCUMENT
from tasks.ingest.readers import parquet as parquet_module
from tasks.ingest.readers import stream as stream_module
from tasks.ingest.readers.archive import Member, read_tar
from tasks.ingest.readers.json_object import object_of
from tests.ingest.crawl import packed, page, response
from tests.ingest.workshop import documents, ingest, json_lines, rows, write_records

FAST = IngestParams(extraction=Resiliparse(), max_quarantined_fraction=1)
LENIENT = FAST.model_copy(update={"max_damaged_files": 9})


def reasons(folder: Path) -> list[tuple[str, str]]:
    return [(row["file"], row["reason"]) for row in rows(folder / "ingest", "quarantined")]


def cut(path: Path, num_bytes: int = 9) -> Path:
    path.write_bytes(path.read_bytes()[:-num_bytes])
    return path


# Damaged files


def test_a_damaged_file_stops_the_run_unless_there_is_a_budget_for_it(tmp_path: Path) -> None:
    write_records(tmp_path / "in" / "good.jsonl.gz", documents(50))
    bad = cut(write_records(tmp_path / "in" / "bad.jsonl.gz", documents(5000, "e")))
    with pytest.raises(
        DataError, match=r"bad\.jsonl\.gz: the gzip stream ends before its end marker.*max_damaged_files"
    ):
        ingest([tmp_path / "in"], tmp_path)
    # With a budget nothing of the damaged file is used, not even what was kept in blocks before the damage.
    params = IngestParams(max_damaged_files=1, max_quarantined_fraction=0, target_shard_bytes=5000)
    manifest = ingest([tmp_path / "in"], tmp_path, params)
    assert manifest.account is not None
    assert manifest.account.kept.documents == 50
    assert dict(manifest.account.quarantined) == {"damaged_file": Count(1, bad.stat().st_size)}
    (row,) = rows(tmp_path / "ingest", "quarantined")
    assert (row["file"], row["offset"], row["bytes"]) == ("bad.jsonl.gz", bad.stat().st_size, bad.stat().st_size)
    assert "after" in row["detail"] and str(tmp_path) not in row["detail"]


def test_more_damaged_files_than_the_budget_stop_the_run_with_their_names(tmp_path: Path) -> None:
    write_records(tmp_path / "in" / "good.jsonl.gz", documents(50))
    for name in ("x", "y", "z"):
        cut(write_records(tmp_path / "in" / f"{name}.jsonl.gz", documents(50, name)))
    with pytest.raises(
        DataError, match=r"3 files are damaged or cannot be read, the limit .* is 2; first: x\.jsonl\.gz at"
    ):
        ingest([tmp_path / "in"], tmp_path, IngestParams(max_damaged_files=2))
    # What was set aside under a larger budget does not slip through a smaller one.
    assert ingest([tmp_path / "in"], tmp_path, IngestParams(max_damaged_files=3))
    with pytest.raises(DataError, match="3 files are damaged"):
        ingest([tmp_path / "in"], tmp_path, IngestParams(max_damaged_files=1))


def test_of_text_files_in_one_unit_only_the_damaged_one_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in "abc":
        (tmp_path / "in" / f"{name}.txt.gz").write_bytes(gzip.compress(f"the text of {name}".encode() * 9, mtime=0))
    cut(tmp_path / "in" / "b.txt.gz")
    manifest = ingest([tmp_path / "in"], tmp_path, IngestParams(max_damaged_files=1))
    assert [row["id"] for row in rows(tmp_path / "ingest")] == ["a.txt.gz", "c.txt.gz"]
    assert manifest.account is not None and manifest.account.taken.documents == 3
    assert reasons(tmp_path) == [("b.txt.gz", "damaged_file")]


@pytest.mark.parametrize("name", ["empty.jsonl", "empty.jsonl.gz", "empty.parquet", "__init__.py"])
def test_a_file_without_records_beside_others_is_nothing_to_stop_for_and_is_told(name: str, tmp_path: Path) -> None:
    folder = write_records(tmp_path / "in" / "a.jsonl", documents(5)).parent
    if name.endswith(".parquet"):
        pq.write_table(DOCUMENT.empty_table(), folder / name)
    else:
        write_records(folder / name, [])
    manifest = ingest([folder], tmp_path)
    assert manifest.account is not None and manifest.account.taken.documents == 5
    assert manifest.summary["empty_files"] == {"files": 1, "first": [name]}
    assert manifest.summary["empty_sources"] == ["in" if name == "__init__.py" else "empty"]
    assert any(f"1 files without a record: {name}" in line for line in told(manifest.account, manifest.summary))


def test_an_input_of_empty_files_stops_the_run(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl.gz"):
        write_records(tmp_path / "in" / name, [])
    with pytest.raises(DataError, match=r"all 2 files are empty: no records in a\.jsonl, b\.jsonl\.gz"):
        ingest([tmp_path / "in"], tmp_path, IngestParams(max_damaged_files=5))


# Refused files


def text_of(size: int) -> bytes:
    return b"long " * (size // 5)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("shard.bin", b"\0\1\2" * 5000, "unknown_kind"),
        ("shard.parquet", b"<!DOCTYPE html><html>not found</html>", "unknown_kind"),
        ("long.txt", text_of(2_000_000), "file_too_long"),
        ("latin.txt", "d\xe9j\xe0 vu".encode("latin-1") * 100, "file_not_utf8"),
        ("long.html", b"<html>" + text_of(2_000_000), "file_too_long"),
    ],
)
def test_a_refused_file_stops_the_run_whatever_the_budget_of_records_is(
    name: str, data: bytes, reason: str, tmp_path: Path
) -> None:
    write_records(tmp_path / "in" / "good.jsonl", documents(200))
    (tmp_path / "in" / name).write_bytes(data)
    params = IngestParams(max_document_bytes=1_000_000, max_quarantined_fraction=1, extraction=Resiliparse())
    with pytest.raises(DataError, match=rf"{name}|max_damaged_files"):
        ingest([tmp_path / "in"], tmp_path, params)
    allowed = params.model_copy(update={"max_damaged_files": 1, "max_quarantined_fraction": 0.0})
    manifest = ingest([tmp_path / "in"], tmp_path, allowed)
    assert manifest.account is not None and manifest.account.kept.documents == 200
    assert dict(manifest.account.quarantined) == {reason: Count(1, len(data))}
    size = len(data) + (tmp_path / "in" / "good.jsonl").stat().st_size
    assert manifest.summary["refused_files"] == {"files": 1, "bytes": len(data), "input_bytes": size}
    (line, *_) = told(manifest.account, manifest.summary)
    assert line == f"1 files ({len(data):,} of {size:,} bytes) refused whole, nothing of them used: {reason} 1"


def test_files_of_unknown_kinds_are_named_before_anything_is_read(tmp_path: Path) -> None:
    write_records(tmp_path / "in" / "good.jsonl", documents(20))
    for name, data in (("a.png", b"\x89PNG\r\n"), ("b.pdf", b"%PDF-1.7"), ("c.json", b"just a text")):
        (tmp_path / "in" / name).write_bytes(data)
    with pytest.raises(
        DataError,
        match=r"3 of 4 files are of an unknown kind \(25 of [\d,]+ bytes\), the limit \(ingest.max_damaged_files\) is 0; "
        r"first: a\.png looks like a PNG image; b\.pdf looks like a PDF document; c\.json looks like a text, though",
    ):
        ingest([tmp_path / "in"], tmp_path)
    params = IngestParams(kinds={"png": "unknown", "json": "text"}, max_damaged_files=2)
    manifest = ingest([tmp_path / "in"], tmp_path, params)
    assert manifest.account is not None and manifest.account.kept.documents == 21


# Bombs


@pytest.mark.parametrize("container", ["jsonl.gz", "jsonl.zst"])
def test_a_stream_that_grows_beyond_the_limit_is_a_bomb(
    container: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "EXPANSION_FLOOR", 1_000_000)
    (tmp_path / "in").mkdir()
    data = json_lines(documents(3)) + b" " * 15_000_000
    packed_data = gzip.compress(data) if container.endswith("gz") else zstandard.ZstdCompressor().compress(data)
    (tmp_path / "in" / f"a.{container}").write_bytes(packed_data)
    with pytest.raises(DataError, match=r"a\.jsonl\.\w+: the \w+ stream is a decompression bomb, the limit"):
        ingest([tmp_path / "in"], tmp_path, IngestParams(max_expansion=50))
    assert ingest([tmp_path / "in"], tmp_path, IngestParams(max_expansion=None)).account


def test_a_parquet_file_that_grows_beyond_the_limit_is_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_module, "EXPANSION_FLOOR", 1_000_000)
    (tmp_path / "in").mkdir()
    table = pa.table({"text": ["x" * 5_000_000]})
    pq.write_table(
        table, tmp_path / "in" / "a.parquet", compression="zstd", use_dictionary=False, write_statistics=False
    )
    with pytest.raises(DataError, match="row group 0 is a decompression bomb"):
        ingest([tmp_path / "in"], tmp_path, IngestParams(max_expansion=50))


# Schema drift


def test_a_file_without_the_text_field_is_named_with_its_fields_beside_one_that_has_it(tmp_path: Path) -> None:
    write_records(tmp_path / "in" / "a.jsonl", [{"id": "1", "text": "x", "score": 1}])
    write_records(tmp_path / "in" / "b.parquet", [{"id": "2", "content": "x"}])
    write_records(tmp_path / "in" / "c.jsonl", [{"id": "3", "body": "x"}, {"id": "4", "body": "y"}])
    with pytest.raises(
        DataError,
        match=r"2 of 3 inputs have no field 'text' .*: b\.parquet has id, content, while a\.jsonl has id, text, score; "
        r"the next without it: c\.jsonl",
    ):
        ingest([tmp_path / "in"], tmp_path, IngestParams(max_quarantined_fraction=1))


def test_a_text_field_that_changes_its_type_between_files_is_drift_too(tmp_path: Path) -> None:
    write_records(tmp_path / "in" / "a.jsonl", documents(3))
    write_records(tmp_path / "in" / "b.jsonl", [{"id": n, "text": {"value": "x"}} for n in range(3)])
    with pytest.raises(DataError, match="1 of 2 inputs have no field 'text'"):
        ingest([tmp_path / "in"], tmp_path, IngestParams(max_quarantined_fraction=1))


def test_other_fields_may_differ_and_change_their_types(tmp_path: Path) -> None:
    write_records(tmp_path / "in" / "a.jsonl", [{"id": 1, "text": "x", "score": 1}, {"id": "two", "text": "y"}])
    write_records(tmp_path / "in" / "b.parquet", [{"id": "3", "text": "z", "score": "high", "tags": ["t"]}])
    ingest([tmp_path / "in"], tmp_path)
    assert [(row["id"], row["metadata"]) for row in rows(tmp_path / "ingest")] == [
        ("1", '{"score":1}'),
        ("two", None),
        ("3", '{"score":"high","tags":["t"]}'),
    ]


def test_files_of_which_none_has_the_text_field_get_the_advice_to_name_it(tmp_path: Path) -> None:
    write_records(tmp_path / "in" / "a.parquet", [{"id": "1", "content": "x"}])
    with pytest.raises(
        DataError, match=r"a\.parquet: no column or field 'text'; it has id, content\. .*text_field=NAME"
    ):
        ingest([tmp_path / "in"], tmp_path)


# Archives


def tar(members: dict[str, bytes], *others: tarfile.TarInfo) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in others:
            archive.addfile(info)
    return held.getvalue()


def special(name: str, kind: bytes, target: str = "/etc/passwd") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zipped(members: dict[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return held.getvalue()


def read_archive(data: bytes, name: str, folder: Path, params: IngestParams = FAST) -> Any:
    (folder / "in").mkdir(exist_ok=True)
    (folder / "in" / name).write_bytes(data)
    return ingest([folder / "in" / name], folder, params)


def contents() -> dict[str, bytes]:
    rows_in_parquet = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(documents(2, "p")), rows_in_parquet)
    return {
        "notes/a.txt": b"a text",
        "news/b.jsonl": json_lines(documents(2)),
        "news/c.jsonl.gz": gzip.compress(json_lines(documents(2, "g"))),
        "d.parquet": rows_in_parquet.getvalue(),
        "site/e.html": page("e"),
        "crawl.warc.gz": packed(response("r0")),
    }


@pytest.mark.parametrize("name", ["all.tar", "all.tar.gz", "all.tgz", "all.tar.zst", "all.zip"])
def test_every_file_in_an_archive_is_read_as_if_it_lay_beside_it(name: str, tmp_path: Path) -> None:
    data = zipped(contents()) if name.endswith(".zip") else tar(contents())
    if name.endswith(("gz",)):
        data = gzip.compress(data)
    elif name.endswith(".zst"):
        data = zstandard.ZstdCompressor().compress(data)
    manifest = read_archive(data, name, tmp_path)
    ids = [row["id"] for row in rows(tmp_path / "ingest")]
    assert ids == [f"{name}/notes/a.txt", "d0", "d1", "g0", "g1", "p0", "p1", f"{name}/site/e.html", "r0"]
    assert manifest.account.taken.documents == 9
    assert {row["source"] for row in rows(tmp_path / "ingest")} == {"all"}


def test_names_that_leave_a_tar_and_members_that_are_no_files_are_refused(tmp_path: Path) -> None:
    bad = {"/etc/passwd": b"x", "a/../../b.txt": b"x", "..\\c.txt": b"x", "C:\\d.txt": b"x"}
    links = [special("link.txt", tarfile.SYMTYPE), special("hard.txt", tarfile.LNKTYPE, "good.txt")]
    devices = [special("null.txt", tarfile.CHRTYPE), special("pipe.txt", tarfile.FIFOTYPE)]
    manifest = read_archive(tar({"good.txt": b"good", **bad}, *links, *devices), "all.tar", tmp_path)
    assert [row["id"] for row in rows(tmp_path / "ingest")] == ["all.tar/good.txt"]
    assert manifest.account.quarantined["unsafe_archive_path"].documents == len([*bad, *links, *devices])
    assert not list(tmp_path.rglob("passwd")), "nothing is unpacked"


def test_names_that_leave_a_zip_links_locks_nests_and_bombs_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.ingest.read.EXPANSION_FLOOR", 1_000_000)
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("good.txt", "good")
        archive.writestr("../up.txt", "x")
        link = zipfile.ZipInfo("link.txt")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("inner.zip", b"PK\5\6")
        archive.writestr("bomb.txt", b"\0" * 5_000_000)
    read_archive(data.getvalue(), "all.zip", tmp_path, LENIENT)
    assert [row["id"] for row in rows(tmp_path / "ingest")] == ["all.zip/good.txt"]
    found = [row["reason"] for row in rows(tmp_path / "ingest", "quarantined")]
    # 5 MB of zeros take 5 kB: more than 1,000 times, if only just.
    assert found == ["unsafe_archive_path", "unsafe_archive_path", "nested_archive", "member_bomb"]


def test_a_damaged_file_in_an_archive_is_refused_with_its_name(tmp_path: Path) -> None:
    inner = gzip.compress(json_lines(documents(200)))
    data = tar({"a.txt": b"good", "b.jsonl.gz": inner[:-20], "c.txt": b"good too"})
    # It may hold more than all others: it counts as a file, not as one of 203 records.
    with pytest.raises(DataError, match=r"1 files are damaged or cannot be read.*all\.tar/b\.jsonl\.gz"):
        read_archive(data, "all.tar", tmp_path)
    read_archive(data, "all.tar", tmp_path, LENIENT)
    assert reasons(tmp_path) == [("all.tar/b.jsonl.gz", "damaged_member")]
    assert {"all.tar/a.txt", "all.tar/c.txt"} <= {row["id"] for row in rows(tmp_path / "ingest")}


@pytest.mark.parametrize("name", ["all.tar.gz", "all.zip", "all.tar"])
def test_a_damaged_archive_is_a_damaged_file(name: str, tmp_path: Path) -> None:
    data = {
        "all.zip": zipped(contents())[:-30],
        "all.tar": b"\1" * 2000,
        "all.tar.gz": gzip.compress(tar(contents() | {"z.txt": random.Random(0).randbytes(300_000)}))[:-100_000],
    }
    what = {"all.zip": "zip archive", "all.tar": "tar archive", "all.tar.gz": "gzip stream"}[name]
    with pytest.raises(DataError, match=rf"{name}: the {what} .*max_damaged_files"):
        read_archive(data[name], name, tmp_path)


def test_a_header_that_claims_a_name_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 3 << 20
    data = info.tobuf(tarfile.GNU_FORMAT) + b"a" * info.size + tar({"short": b"text"})
    with pytest.raises(DataError, match="the tar archive is damaged"):
        read_archive(gzip.compress(data), "all.tar.gz", tmp_path)


def test_members_of_a_tar_are_forgotten_when_they_are_read() -> None:
    data = tar({f"{number}.txt": b"text" for number in range(300)})
    held = []
    for member in read_tar(iter([data]), "all.tar"):
        assert isinstance(member, Member)
        if member.name == "299.txt":
            held.append(sum(type(thing) is tarfile.TarInfo for thing in gc.get_objects()))
    assert held[0] < 10


# JSON


@given(st.dictionaries(st.text(), st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)))
def test_numbers_come_out_of_json_as_they_went_in(value: dict[str, Any]) -> None:
    import json

    data = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    try:
        assert object_of(data) == value
    except UnicodeDecodeError:
        assert any("\ud800" <= character <= "\udfff" for key in value for character in key)


def test_of_a_key_that_stands_twice_the_last_value_counts() -> None:
    assert object_of(b'{"text": "a", "text": "b"}') == {"text": "b"}


@pytest.mark.parametrize("data", [b"NaN", b'{"a": nan}', b'{"a": 1}x', b"7", b"", b'{"a": 01}'])
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        object_of(data)
