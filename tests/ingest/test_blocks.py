"""Blocks: a unit that is killed anywhere goes on behind the last block it kept, and leaves the same bytes."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.storage import FolderStore
from tasks.core.digest import digest_file
from tasks.ingest import output as output_module
from tasks.ingest import pages as pages_module
from tasks.ingest.config import IngestParams
from tasks.ingest.extraction.kinds import Extracted, Extraction, Resiliparse, extract
from tasks.ingest.read import SourceFile, Start, read_records
from tasks.ingest.unit import UnitArgs
from tasks.runtime.records import FolderBlocks
from tests.ingest.crawl import packed, page, response
from tests.ingest.workshop import documents, ingest, json_lines, read_files, source_file, workshop, write_records

KEY = "ab" + "0" * 62


class Killed(BaseException):
    """What SIGKILL is to the code that runs: nothing after it happens."""


class KilledBlocks(FolderBlocks):
    """Keeps blocks in a folder, and kills the unit before or after it has kept one."""

    def __init__(self, folder: Path, kill_at: int, after: bool) -> None:
        super().__init__(folder)
        self._left, self._after = kill_at, after

    def keep(self, number: int, files: Sequence[Path], state: str) -> None:
        """Keep the block, or die."""
        self._left -= 1
        if self._left < 0 and not self._after:
            raise Killed
        super().keep(number, files, state)
        if self._left < 0:
            raise Killed


class ExtractorHere:
    """Extracts in this process, which saves starting another for each attempt."""

    def __init__(self, extraction: Extraction) -> None:
        self._extraction = extraction

    def __enter__(self) -> "ExtractorHere":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def extract(self, html: str) -> Extracted:
        """Return what a page holds."""
        return extract(html, self._extraction)


def contents(folder: Path) -> dict[str, str]:
    return {path.name: digest_file(path) for path in sorted(folder.iterdir())}


def killed_and_resumed(args: UnitArgs, home: Path, kills: Sequence[tuple[int, bool]]) -> tuple[dict[str, str], object]:
    """Do the unit, killed so many blocks in and each time begun again; return its files and what it told."""
    for number, (kill_at, after) in enumerate(kills):
        (home / f"attempt{number}").mkdir()
        try:
            read_files(args, home / f"attempt{number}", KilledBlocks(home / "blocks", kill_at, after))
        except Killed:
            continue
    (home / "last").mkdir()
    told = read_files(args, home / "last", FolderBlocks(home / "blocks"))
    return contents(home / "last"), told


def undisturbed(args: UnitArgs, home: Path) -> tuple[dict[str, str], object]:
    (home / "whole").mkdir()
    told = read_files(args, home / "whole")
    return contents(home / "whole"), told


def many_files(folder: Path, container: str) -> list[SourceFile]:
    """One file of a container, with good and bad records, or some text files."""
    records = [*documents(20), {"id": "none"}, *documents(7, "e"), {"text": ""}, *documents(3, "f")]
    if container == "warc.gz":
        bodies = [page(f"p{n}", 1) for n in range(12)]
        bodies[3] = b"<html></html>"
        (folder / "a.warc.gz").write_bytes(packed(*(response(f"r{n}", body) for n, body in enumerate(bodies))))
        return [source_file(folder / "a.warc.gz")]
    if container == "txt":
        for n in range(9):
            (folder / f"{n}.txt").write_text(f"text {n} " * 5)
        return [source_file(path) for path in sorted(folder.glob("*.txt"))]
    if container == "parquet":
        return [source_file(write_records(folder / "a.parquet", [{"id": "x", "text": None} | one for one in records]))]
    return [source_file(write_records(folder / f"a.{container}", records))]


@settings(max_examples=25)
@given(
    container=st.sampled_from(["jsonl", "jsonl.gz", "jsonl.zst", "parquet", "txt", "warc.gz"]),
    target=st.sampled_from([60, 150, 700]),
    kills=st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=4),
)
def test_a_unit_killed_at_any_blocks_leaves_the_bytes_of_one_that_was_not(
    container: str, target: int, kills: list[tuple[int, bool]]
) -> None:
    params = IngestParams(target_shard_bytes=target, extraction=Resiliparse(), max_quarantined_fraction=1)
    with tempfile.TemporaryDirectory() as temporary, pytest.MonkeyPatch.context() as patch:
        patch.setattr(output_module, "_BLOCK_PAGE_BYTES", 2000)
        patch.setattr(pages_module, "extractor", ExtractorHere)
        home = Path(temporary)
        (home / "in").mkdir()
        args = UnitArgs(tuple(many_files(home / "in", container)), params)
        assert killed_and_resumed(args, home, kills) == undisturbed(args, home)


@pytest.mark.parametrize("kill_at", range(6))
def test_pages_kept_in_any_number_of_blocks_give_the_same_shards(
    kill_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_module, "_BLOCK_PAGE_BYTES", 1000)
    monkeypatch.setattr(pages_module, "extractor", ExtractorHere)
    args = UnitArgs(tuple(many_files(tmp_path, "warc.gz")), IngestParams(extraction=Resiliparse()))
    assert killed_and_resumed(args, tmp_path, [(kill_at, True)]) == undisturbed(args, tmp_path)
    assert 0 < len(list(tmp_path.glob("blocks/*"))) <= 6


def test_records_before_the_last_block_are_not_read_again(tmp_path: Path) -> None:
    path = write_records(tmp_path / "a.jsonl", documents(100))
    args = UnitArgs((source_file(path),), IngestParams(target_shard_bytes=300))
    (tmp_path / "one").mkdir()
    with pytest.raises(Killed):
        read_files(args, tmp_path / "one", KilledBlocks(tmp_path / "blocks", 3, True))
    (tmp_path / "two").mkdir()
    kept = [path.name for path in sorted(tmp_path.glob("blocks/*"))]
    assert kept == ["00000", "00001", "00002", "00003"]
    output = output_module.Output(tmp_path / "two", FolderBlocks(tmp_path / "blocks"), 300)
    assert output.position.number == output.tally.taken.documents > 40
    line = json_lines(documents(100)).splitlines()[output.position.number]
    (first, *_) = read_records(args.files[0], args.params, Start(output.position.number, output.position.offset))
    assert first.offset == json_lines(documents(100)).index(line)


@pytest.mark.parametrize("container", ["jsonl.zst", "parquet", "warc.gz"])
def test_every_reader_begins_behind_the_records_it_is_told_to(container: str, tmp_path: Path) -> None:
    (file,) = many_files(tmp_path, container)
    params = IngestParams(extraction=Resiliparse())
    whole = list(read_records(file, params))
    for number in range(len(whole) + 1):
        before = whole[number - 1] if number else None
        start = Start(number, before.offset + before.bytes + 1 if before else 0)
        assert list(read_records(file, params, start)) == whole[number:]


def test_a_damaged_block_and_those_behind_it_are_made_again(tmp_path: Path) -> None:
    path = write_records(tmp_path / "a.jsonl", documents(100))
    args = UnitArgs((source_file(path),), IngestParams(target_shard_bytes=300))
    (tmp_path / "one").mkdir()
    with pytest.raises(Killed):
        read_files(args, tmp_path / "one", KilledBlocks(tmp_path / "blocks", 4, True))
    damaged = tmp_path / "blocks" / "00002" / "documents-00002.parquet"
    damaged.unlink()
    damaged.write_bytes(b"nothing")
    assert killed_and_resumed(args, tmp_path, []) == undisturbed(args, tmp_path)


def test_pages_are_kept_by_their_bytes_and_published_in_whole_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_module, "_BLOCK_PAGE_BYTES", 1500)
    (file,) = many_files(tmp_path, "warc.gz")
    (tmp_path / "out").mkdir()
    blocks = FolderBlocks(tmp_path / "blocks")
    read_files(UnitArgs((file,), IngestParams(extraction=Resiliparse())), tmp_path / "out", blocks)
    assert len(list((tmp_path / "blocks").iterdir())) > 2
    assert [name.partition("-")[0] for name in contents(tmp_path / "out")] == ["documents", "dropped"]


def test_blocks_go_when_their_unit_is_finished(tmp_path: Path) -> None:
    write_records(tmp_path / "in" / "a.jsonl", documents(100))
    ingest([tmp_path / "in"], tmp_path, IngestParams(target_shard_bytes=500))
    assert not list(workshop(tmp_path).store.root.glob("*/*/.blocks-*"))


def test_blocks_that_were_left_alone_for_long_are_swept(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    (tmp_path / "file").write_text("x")
    with store.scratch("stage", KEY) as kept:
        FolderBlocks(kept).keep(0, [tmp_path / "file"], "{}")
    assert store.prune() == 0
    assert store.prune(older_than_s=-1.0) == 1
    assert FolderBlocks(kept).restore(tmp_path) == []


def test_of_two_attempts_at_a_block_the_first_stays(tmp_path: Path) -> None:
    blocks = FolderBlocks(tmp_path / "blocks")
    for text in ("first", "second"):
        (tmp_path / "file").write_text(text)
        blocks.keep(0, [tmp_path / "file"], text)
        (tmp_path / "file").unlink()
    (tmp_path / "out").mkdir()
    assert blocks.restore(tmp_path / "out") == ["first"]
    assert (tmp_path / "out" / "file").read_text() == "first"
