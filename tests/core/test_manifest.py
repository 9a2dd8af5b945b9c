"""A manifest says what was made from what, and notices every change."""

import dataclasses
import json
from pathlib import Path

import pytest

from tasks.core.digest import digest_file
from tasks.core.errors import DataError
from tasks.core.manifest import MANIFEST, FileRecord, Manifest


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
    with pytest.raises(DataError, match="it was edited"):
        Manifest.read(published)


def test_a_folder_without_a_manifest_is_an_unfinished_stage(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Run that stage first"):
        Manifest.read(tmp_path)


@pytest.mark.parametrize("change", [{"stage": "x"}, {"inputs": {}}, {"params": {"seed": 1}}, {"code": "d"}])
def test_stage_inputs_params_and_code_are_the_key(published: Path, change: dict[str, object]) -> None:
    manifest = Manifest.read(published)
    assert dataclasses.replace(manifest, **change).key != manifest.key  # type: ignore[arg-type]


def test_the_summary_and_the_environment_are_not_identity(published: Path) -> None:
    manifest = Manifest.read(published)
    other = dataclasses.replace(manifest, summary={}, environment={"torch": "9"})
    assert (other.key, other.output) == (manifest.key, manifest.output)
