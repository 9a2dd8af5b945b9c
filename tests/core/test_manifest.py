"""A manifest says what was made from what, and notices every change."""

import dataclasses
import json
from pathlib import Path

import pytest

from infra.storage import FolderStore
from tasks.core.account import Account, Count
from tasks.core.digest import digest_file
from tasks.core.errors import DamagedError, DataError
from tasks.core.manifest import MANIFEST, FileRecord, Manifest
from tasks.runtime.stages import published as published_by


@pytest.fixture
def published(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("alpha")
    record = FileRecord("a.txt", digest_file(tmp_path / "a.txt"), 5)
    Manifest("curate", {"ingest": "1"}, {"seed": 0}, "c", (record,), summary={"kept": 3}).write(tmp_path)
    return tmp_path


def test_a_manifest_reads_back_what_was_written(published: Path) -> None:
    manifest = Manifest.read(published)
    manifest.verify(published)
    assert (manifest.summary["kept"], manifest.files[0].path) == (3, "a.txt")


def test_one_flipped_bit_in_a_file_is_noticed(published: Path) -> None:
    (published / "a.txt").write_text("alphb")
    with pytest.raises(DataError, match=r"1 of 1 files .* first: a\.txt"):
        Manifest.read(published).verify(published)


def test_an_edited_manifest_is_refused(published: Path) -> None:
    value = json.loads((published / MANIFEST).read_text())
    value["params"]["seed"] = 1
    (published / MANIFEST).write_text(json.dumps(value))
    with pytest.raises(DamagedError, match="it was edited"):
        Manifest.read(published)


def test_a_folder_without_a_manifest_is_an_unfinished_stage(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Run that stage first"):
        Manifest.read(tmp_path)


def test_the_summary_and_the_account_are_output_and_the_environment_is_not(published: Path) -> None:
    manifest = Manifest.read(published)
    account = Account(taken=Count(1, 1), kept=Count(1, 1))
    outputs = {
        manifest.output,
        dataclasses.replace(manifest, summary={}).output,
        dataclasses.replace(manifest, account=account).output,
    }
    assert len(outputs) == 3
    other = dataclasses.replace(manifest, environment={"torch": "9"})
    assert (other.key, other.output) == (manifest.key, manifest.output)


def test_an_output_is_the_same_before_it_is_written_and_after_it_is_read(tmp_path: Path) -> None:
    made = Manifest("s", {}, {}, "c", (), summary={"counts": {10: (1, 2), 9: 0.1 + 0.2}})
    made.write(tmp_path)
    assert Manifest.read(tmp_path).output == made.output


@pytest.mark.parametrize("text", ['"kept": 3', '"seed": 0', '"bytes": 5', '"environment": {}', '"account": null'])
def test_no_part_of_a_manifest_can_be_edited(published: Path, text: str) -> None:
    path = published / MANIFEST
    assert text in path.read_text()
    path.write_text(path.read_text().replace(text, text[:-1] + ("1" if text[-1].isdigit() else "{}}")))
    with pytest.raises(DamagedError, match=r"manifest\.json.*Run the stage again with the same command"):
        Manifest.read(published)


def test_only_what_is_read_is_verified(published: Path) -> None:
    (published / "b.txt").write_text("beta")
    both = tuple(FileRecord(name, digest_file(published / name), size) for name, size in (("a.txt", 5), ("b.txt", 4)))
    dataclasses.replace(Manifest.read(published), files=both).write(published)
    (published / "a.txt").unlink()
    given = published_by(FolderStore(published), str(published))
    assert given.tree("b.").names == ("b.txt",)
    with pytest.raises(
        DamagedError, match=r"1 of 2 files .* not what curate published; first: a\.txt.*Run curate again"
    ):
        given.tree()
