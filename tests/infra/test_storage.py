"""Attempts become visible whole or not at all; a full disk is named."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.disk import require_space
from infra.errors import PlaceError, SpaceError
from infra.folders import discard_folder, replace_folder, require_writable
from infra.storage import FolderStore, Store


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


def text_of(store: Store, area: str, key: str) -> str | None:
    location = store.find(area, key)
    return None if location is None else store.read(location, "out")


def test_an_attempt_is_found_when_it_is_finished_and_not_before(store: Store) -> None:
    with store.attempt("stage", "abcd") as folder:
        (folder / "out").write_text("1")
        assert store.find("stage", "abcd") is None
    assert text_of(store, "stage", "abcd") == "1"
    found = store.find("stage", "abcd")
    assert found and (store.local(found, ("out",)) / "out").read_text() == "1"
    with store.open(found, "out") as stream:
        assert (stream.read(), stream.seek(0)) == (b"1", 0)


def test_a_failed_attempt_leaves_nothing(store: Store, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), store.attempt("stage", "abcd") as folder:
        (folder / "out").write_text("1")
        raise RuntimeError
    assert store.find("stage", "abcd") is None
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_of_two_attempts_the_first_to_finish_stays(store: Store) -> None:
    with store.attempt("stage", "abcd") as slow:
        (slow / "out").write_text("slow")
        with store.attempt("stage", "abcd") as fast:
            (fast / "out").write_text("fast")
    assert text_of(store, "stage", "abcd") == "fast"


def test_what_was_found_damaged_is_discarded_and_what_was_made_anew_meanwhile_is_not(store: Store) -> None:
    def make(text: str) -> object:
        with store.attempt("stage", "abcd") as folder:
            (folder / "out").write_text(text)
            # A folder's number and a clock's tick may be those of the one before.
            os.utime(folder, ns=(0, len(text)))
        location = store.find("stage", "abcd")
        assert location is not None
        return store.seen(location)

    damaged = make("damaged")
    store.discard("stage", "abcd", damaged)
    assert store.find("stage", "abcd") is None
    make("new")
    store.discard("stage", "abcd", damaged)
    assert text_of(store, "stage", "abcd") == "new"


def test_a_folder_made_anew_under_the_number_of_a_discarded_one_stays(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    seen = made.stat()
    os.utime(made, ns=(0, seen.st_mtime_ns + 1))
    discard_folder(made, seen)
    assert made.is_dir()
    discard_folder(made, made.stat())
    assert not made.exists()


def test_keys_of_finished_work_come_newest_first(store: Store) -> None:
    for key in ("abcd", "efgh"):
        with store.attempt("stage", key) as folder:
            (folder / "out").write_text(key)
    assert sorted(store.keys("stage")) == ["abcd", "efgh"] and store.keys("other") == []


def test_a_note_takes_the_place_of_the_one_before(store: Store) -> None:
    assert store.noted("stage", "note.json") is None
    for text in ("old", "new"):
        store.note("stage", "note.json", text)
    assert store.noted("stage", "note.json") == "new"


def test_a_published_folder_is_read_back_and_a_file_that_is_not_there_is_none(store: Store, tmp_path: Path) -> None:
    location = str(tmp_path / "data")
    for text in ("old", "new"):
        store.require_writable(location)
        with store.publish(location) as folder:
            (folder / text).write_text(text)
    assert (store.read(location, "old"), store.read(location, "new")) == (None, "new")
    assert store.occupied(location, "new") is None and "no old" in (store.occupied(location, "old") or "")


def test_only_attempts_that_were_left_alone_for_long_are_pruned(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    with store.attempt("stage", "abcd") as folder:
        assert store.prune() == 0 and folder.is_dir()
        assert store.prune(older_than_s=-1.0) == 1 and not folder.exists()
        folder.mkdir()
    assert store.find("stage", "abcd") and store.prune(older_than_s=-1.0) == 0


_WRITE = """
import os, sys
from pathlib import Path
from infra.storage import FolderStore
with FolderStore(Path(sys.argv[1])).scratch("stage", "abcd") as kept:
    kept.mkdir()
    with FolderStore(Path(sys.argv[1])).attempt("stage", "abcd") as folder:
        print("writes", flush=True)
        sys.stdin.read()
"""


def test_what_a_writer_has_begun_goes_when_it_is_dead_and_not_before(tmp_path: Path, project: Path) -> None:
    store = FolderStore(tmp_path)
    command = [sys.executable, "-c", _WRITE, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(project)}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == "writes\n"
        assert store.sweep() == 0
        writer.kill()
    assert len(list(tmp_path.rglob(".attempt-*"))) == 2
    assert store.sweep() == 1
    # What was kept to go on stays for the next attempt, and goes with it.
    assert [path.name for path in tmp_path.rglob("*") if path.is_dir()] == ["stage", "ab", ".blocks-abcd"]
    with store.scratch("stage", "abcd") as kept, store.attempt("stage", "abcd"):
        assert kept.is_dir()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["ab", "abcd", "stage"]


def test_an_attempt_of_another_machine_is_not_called_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "stage" / "ab" / ".attempt-abcd-1234"
    folder.mkdir(parents=True)
    folder.with_name(folder.name + ".lock").write_text('{"pid": 1, "host": "elsewhere", "what": "write"}')
    assert FolderStore(tmp_path).sweep() == 0 and folder.is_dir()


def test_two_that_make_the_same_unit_do_not_take_each_others_checkpoints(store: Store) -> None:
    with store.scratch("stage", "abcd") as slow:
        slow.mkdir()
        with store.scratch("stage", "abcd") as fast, store.attempt("stage", "abcd"):
            (fast / "begun").touch()
            assert fast != slow
        assert not fast.exists()
        (slow / "begun").touch()
    assert not slow.exists()


_PUBLISH = """
import sys
from pathlib import Path
from infra.folders import discard_folder, replace_folder
for number in range(15):
    with replace_folder(Path(sys.argv[1]) / sys.argv[2]) as folder:
        (folder / "whose").write_text(sys.argv[2])
"""


def test_those_who_publish_at_the_same_moment_leave_each_other_alone(tmp_path: Path, project: Path) -> None:
    """Two outputs share a prefix of their name, two publishers share an output."""
    names = ("curate", "curate-strict", "curate", "curate-strict")
    environment = {**os.environ, "PYTHONPATH": str(project)}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _PUBLISH, str(tmp_path), name], env=environment, stderr=subprocess.PIPE, text=True
        )
        for name in names
    ]
    errors = [process.communicate()[1] for process in started]
    assert errors == [""] * 4
    assert {path.name: (path / "whose").read_text() for path in tmp_path.iterdir()} == {name: name for name in names}


def test_what_cannot_be_written_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(PlaceError, match=r"file.*cannot be read or written \(File exists\).*--output; MIXWRIGHT_HOME"):
        require_writable(tmp_path / "file" / "data")
    with pytest.raises(PlaceError, match=r"this folder was removed.* Start the same command again"):  # noqa: SIM117
        with replace_folder(tmp_path / "data") as folder:
            shutil.rmtree(folder)
            (folder / "out").write_text("1")


def test_an_error_about_another_file_keeps_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replace_folder(tmp_path / "data"):
        (tmp_path / "input").read_text()


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
