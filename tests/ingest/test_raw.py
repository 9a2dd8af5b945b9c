"""The raw listing: what a run reads, by name, source and digest, wherever it lies."""

import gzip
import json
from pathlib import Path

import fsspec
import pytest

from tasks.core.digest import digest_bytes
from tasks.core.errors import DataError
from tasks.ingest.formats import Format
from tasks.ingest.listing import list_inputs
from tasks.ingest.raw import RAW, RawFile, RawListing, read_listing, write_listing


def contents(name: str) -> bytes:
    """What a file of this name may hold."""
    if ".parquet" in name:
        return b"PAR1"
    data = json.dumps({"text": f"text of {name}"}).encode() if ".json" in name else f"text of {name}".encode()
    return gzip.compress(data, mtime=0) if name.endswith(".gz") else data


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(contents(name))


def found(*inputs: Path | str) -> dict[str, str]:
    """Return name -> source of what the inputs list."""
    return {file.name: file.source for file in list_inputs([str(place) for place in inputs]).files}


def test_folders_are_read_with_all_below_and_sources_are_named_after_folders_or_files(tmp_path: Path) -> None:
    put(tmp_path, "news-000.jsonl.gz", "news-001.jsonl.gz", "law-00000-of-00010.parquet", "2024-01.jsonl", "7.jsonl")
    put(tmp_path, "wiki/a/b.jsonl", "wiki/c.jsonl", "notes.md")
    assert found(tmp_path) == {
        "news-000.jsonl.gz": "news",
        "news-001.jsonl.gz": "news",
        "law-00000-of-00010.parquet": "law",
        "2024-01.jsonl": "2024",
        "7.jsonl": "7",
        "wiki/a/b.jsonl": "wiki",
        "wiki/c.jsonl": "wiki",
        "notes.md": tmp_path.name,
    }


def test_a_file_given_by_itself_is_its_own_source(tmp_path: Path) -> None:
    put(tmp_path, "book-001.txt", "news-01.jsonl")
    assert found(tmp_path / "book-001.txt", tmp_path / "news-01.jsonl") == {
        "book-001.txt": "book",
        "news-01.jsonl": "news",
    }


def test_hidden_files_are_no_input_and_a_file_counts_once(tmp_path: Path) -> None:
    put(tmp_path, "a.jsonl", ".hidden", ".git/config", "b/.DS_Store")
    assert found(tmp_path, tmp_path / "a.jsonl", f"{tmp_path}/*.jsonl") == {"a.jsonl": "a"}


def test_globs_match_files_and_folders(tmp_path: Path) -> None:
    put(tmp_path, "x/a.jsonl", "x/b.txt", "y/c.jsonl", "z/d.jsonl")
    assert found(f"{tmp_path}/[xy]") == {"x/a.jsonl": "x", "x/b.txt": "x", "y/c.jsonl": "y"}
    assert found(f"{tmp_path}/*/*.jsonl") == {"x/a.jsonl": "x", "y/c.jsonl": "y", "z/d.jsonl": "z"}


def test_a_path_that_looks_like_a_glob_but_exists_is_that_file(tmp_path: Path) -> None:
    put(tmp_path, "a[1].jsonl", "a1.jsonl")
    assert found(tmp_path / "a[1].jsonl") == {"a[1].jsonl": "a[1]"}


def test_files_of_the_same_name_show_their_folders(tmp_path: Path) -> None:
    put(tmp_path, "x/a.txt", "y/a.txt")
    assert found(tmp_path / "x", tmp_path / "y") == {"x/a.txt": "x", "y/a.txt": "y"}


@pytest.mark.parametrize("missing", ["nothing.jsonl", "nothing/", "s3-typo://x/y", "*.jsonl"])
def test_a_missing_path_is_named(missing: str, tmp_path: Path) -> None:
    uri = missing if "://" in missing else f"{tmp_path}/{missing}"
    with pytest.raises(DataError) as error:
        list_inputs([uri])
    assert str(error.value).startswith(f"{uri}: ")


def test_an_empty_folder_is_an_empty_source(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    put(tmp_path, ".hidden")
    with pytest.raises(DataError, match="the source is empty"):
        list_inputs([str(tmp_path)])
    with pytest.raises(DataError, match="name at least one"):
        list_inputs([])


def test_a_listing_comes_back_from_disk_and_holds_size_and_digest(tmp_path: Path) -> None:
    put(tmp_path / "in", "b.jsonl", "a/x.txt")
    listing = list_inputs([str(tmp_path / "in")])
    write_listing(listing, tmp_path / "raw")
    assert read_listing(tmp_path / "raw") == listing
    first = listing.files[0]
    data = b"text of a/x.txt"
    assert (first.name, first.bytes, first.digest) == ("a/x.txt", len(data), digest_bytes(data))
    assert first.location(tmp_path) == f"file://{tmp_path}/in/a/x.txt"


def test_a_listing_that_is_written_again_leaves_the_file_that_a_version_holds_alone(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    write_listing(list_inputs([str(tmp_path / "a.txt")]), tmp_path / "listed")
    version = tmp_path / "version.json"
    version.hardlink_to(tmp_path / "listed" / RAW)
    before = version.read_bytes()
    (tmp_path / "a.txt").write_text("two")
    write_listing(list_inputs([str(tmp_path / "a.txt")]), tmp_path / "listed")
    assert version.read_bytes() == before != (tmp_path / "listed" / RAW).read_bytes()


def test_the_digest_of_a_listing_depends_on_contents_and_not_on_the_place(tmp_path: Path) -> None:
    for folder in ("here", "there", "changed"):
        put(tmp_path / folder, "a.jsonl", "wiki/b.jsonl")
    (tmp_path / "changed" / "a.jsonl").write_text("other")
    here, there, changed = (list_inputs([str(tmp_path / name)]) for name in ("here", "there", "changed"))
    assert here.digest == there.digest
    assert here.digest != changed.digest


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 3, "files": []}', '{"format": 1, "files": []}', '{"format": 1, "files": [{}]}']
)
def test_a_listing_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "raw.json").write_text(text)
    with pytest.raises(DataError, match=r"raw\.json"):
        read_listing(tmp_path)


def test_a_folder_without_listing_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="mixwright ingest --input"):
        read_listing(tmp_path)


def test_a_file_has_one_place_and_files_are_in_order() -> None:
    with pytest.raises(ValueError, match="either a path or a uri"):
        RawFile("s", "n", "p", "u", 1, "d", Format("text"))
    files = [RawFile("s", name, name, None, 1, "d", Format("text")) for name in ("b", "a")]
    with pytest.raises(ValueError, match="sorted"):
        RawListing(tuple(files))


def test_any_file_system_is_listed_through_the_same_interface() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe({"/bucket/raw/news/a.jsonl": b"{}", "/bucket/raw/b.jsonl": b"{}"})
    try:
        listing = list_inputs(["memory://bucket/raw"])
    finally:
        memory.rm("/bucket", recursive=True)
    assert [(file.source, file.name, file.uri) for file in listing.files] == [
        ("b", "b.jsonl", "memory:///bucket/raw/b.jsonl"),
        ("news", "news/a.jsonl", "memory:///bucket/raw/news/a.jsonl"),
    ]


def test_listing_tells_its_progress(tmp_path: Path) -> None:
    put(tmp_path, "a.jsonl", "b.jsonl")
    seen: list[tuple[int, int]] = []
    list_inputs([str(tmp_path)], progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]


def test_the_listing_holds_no_more_than_the_files(tmp_path: Path) -> None:
    put(tmp_path, "in/a.jsonl")
    write_listing(list_inputs([str(tmp_path / "in")]), tmp_path)
    value = json.loads((tmp_path / "raw.json").read_text())
    assert sorted(value) == ["files", "format", "passed_over", "seal"]
    assert sorted(value["files"][0]) == ["bytes", "digest", "format", "name", "path", "source", "uri"]


def test_a_listing_with_any_byte_changed_is_refused_or_the_same(tmp_path: Path) -> None:
    write_listing(RawListing((RawFile("web", "a.jsonl", "a.jsonl", None, 12, "0f" * 32, Format("jsonl")),)), tmp_path)
    whole, listing = (tmp_path / RAW).read_bytes(), read_listing(tmp_path)
    for place in range(len(whole)):
        (tmp_path / RAW).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            assert read_listing(tmp_path) == listing
        except DataError as error:
            assert "List the input again" in str(error)
