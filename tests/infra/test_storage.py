"""Attempts become visible whole or not at all; a full disk is named."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.errors import SpaceError
from infra.storage import AttemptStore, replace_folder, require_space


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte, where this machine lets us mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_an_attempt_is_found_when_it_is_finished_and_not_before(tmp_path: Path) -> None:
    store = AttemptStore(tmp_path)
    with store.attempt("stage", "abcd") as folder:
        (folder / "out").write_text("1")
        assert store.find("stage", "abcd") is None
    found = store.find("stage", "abcd")
    assert found and (found / "out").read_text() == "1"


def test_a_failed_attempt_leaves_nothing(tmp_path: Path) -> None:
    store = AttemptStore(tmp_path)
    with pytest.raises(RuntimeError), store.attempt("stage", "abcd") as folder:
        (folder / "out").write_text("1")
        raise RuntimeError
    assert store.find("stage", "abcd") is None
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_of_two_attempts_the_first_to_finish_stays(tmp_path: Path) -> None:
    store = AttemptStore(tmp_path)
    with store.attempt("stage", "abcd") as slow:
        (slow / "out").write_text("slow")
        with store.attempt("stage", "abcd") as fast:
            (fast / "out").write_text("fast")
    found = store.find("stage", "abcd")
    assert found and (found / "out").read_text() == "fast"


def test_only_attempts_that_were_left_alone_for_long_are_swept(tmp_path: Path) -> None:
    store = AttemptStore(tmp_path)
    with store.attempt("stage", "abcd") as folder:
        assert store.sweep() == 0 and folder.is_dir()
        assert store.sweep(older_than_s=-1.0) == 1 and not folder.exists()
        folder.mkdir()
    assert store.find("stage", "abcd") and store.sweep(older_than_s=-1.0) == 0


def test_a_folder_is_replaced_whole_and_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    target = tmp_path / "data"
    (tmp_path / ".attempt-data-0000").mkdir()
    for text in ("old", "new"):
        with replace_folder(target) as folder:
            (folder / text).write_text(text)
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_writer_killed_while_it_replaces_leaves_the_old_folder_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "data"
    with replace_folder(target) as folder:
        (folder / "old").write_text("old")
    seen: list[list[str]] = []
    real = shutil.rmtree

    def looking(path: Path, **options: Any) -> None:
        seen.append([each.name for each in target.iterdir()])
        real(path, **options)

    with replace_folder(target) as folder:
        (folder / "new").write_text("new")
        monkeypatch.setattr(shutil, "rmtree", looking)
    # The old one is removed under another name, after the new one is in its place.
    assert seen and all(names == ["new"] for names in seen)


def test_a_full_disk_is_named_with_its_folder_and_keeps_the_old_version(tiny_disk: Path) -> None:
    target = tiny_disk / "data"
    with replace_folder(target) as folder:
        (folder / "out").write_text("old")
    with pytest.raises(SpaceError, match=r"data.*: no space left on the device"), replace_folder(target) as folder:
        (folder / "out").write_bytes(b"x" * 2_000_000)
    assert (target / "out").read_text() == "old"


def test_a_run_that_cannot_fit_is_refused_before_it_starts(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"will be written, .* MB are free"):
        require_space(tmp_path / "not" / "made" / "yet", 1 << 60)
    require_space(tmp_path, 1)
