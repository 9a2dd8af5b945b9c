"""The driver: finished units are taken, missing ones are made, and nothing half done is ever visible."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from infra.executors import LocalExecutor
from infra.progress import SilentObserver
from infra.storage import FolderStore
from tasks.core.account import Account, Count
from tasks.core.errors import AccountError, ConfigError, DataError, ForeignCodeError
from tasks.core.manifest import FileRecord, Manifest
from tasks.core.stage import UnitResult, Workshop, map_units, publish, unchanged
from tests.in_process import InProcess

PACKAGES = ("tasks.core",)


def shout(word: str, folder: Path) -> UnitResult:
    if word == "bad":
        raise DataError("word 3: bad")
    (folder / "out.txt").write_text(word.upper())
    return UnitResult(Account(Count(1, len(word)), Count(1, len(word))), {"length": len(word)})


def units(*words: str) -> list[tuple[str, str]]:
    return [(hashlib.sha256(word.encode()).hexdigest(), word) for word in words]


def run(workshop: Workshop, *words: str) -> list[str]:
    records = map_units(workshop, stage="s", label="words", work=shout, units=units(*words), packages=PACKAGES)
    return [(record.folder / "out.txt").read_text() for record in records]


@pytest.fixture
def here(tmp_path: Path) -> Workshop:
    return Workshop(InProcess(), FolderStore(tmp_path / "store"), SilentObserver())


def test_results_come_in_the_order_of_the_units_whatever_finishes_first(here: Workshop) -> None:
    assert run(here, "a", "bb", "c") == ["A", "BB", "C"]


def test_a_second_run_does_only_what_is_missing(here: Workshop) -> None:
    run(here, "a", "bb")
    assert run(here, "a", "bb", "c") == ["A", "BB", "C"]
    assert len(here.executor.done) == 3  # type: ignore[attr-defined]


def test_units_finished_before_a_failure_are_kept(here: Workshop) -> None:
    with pytest.raises(DataError, match="word 3: bad"):
        run(here, "bad", "a", "bb")
    run(here, "a", "bb")
    assert len(here.executor.done) == 3  # type: ignore[attr-defined]
    assert not list(here.store.root.rglob(".attempt-*"))


def test_a_damaged_unit_is_made_again(here: Workshop) -> None:
    run(here, "a")
    next(here.store.root.rglob("out.txt")).write_text("B")
    assert run(here, "a") == ["A"]
    assert len(here.executor.done) == 2  # type: ignore[attr-defined]


def test_a_worker_with_other_code_refuses_to_work(here: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    import tasks.core.units as units_of_work

    digests = iter(["driver's", "worker's"])
    monkeypatch.setattr(units_of_work, "digest_code", lambda packages: next(digests))
    with pytest.raises(ForeignCodeError, match="other packages called `tasks`"):
        run(here, "a")


def test_one_and_two_processes_give_the_same_files(tmp_path: Path) -> None:
    words = ("a", "bb", "ccc", "dddd")
    one = Workshop(LocalExecutor(1), FolderStore(tmp_path / "one"))
    two = Workshop(LocalExecutor(2), FolderStore(tmp_path / "two"))
    assert run(one, *words) == run(two, *words)
    assert _tree(tmp_path / "one") == _tree(tmp_path / "two")


def test_a_published_folder_is_replaced_whole_and_recognised(here: Workshop, tmp_path: Path) -> None:
    output = tmp_path / "data"
    key: dict[str, Any] = {"stage": "s", "inputs": {"i": "1"}, "params": {"p": 1}, "code": "c"}
    for words in (("a", "bb"), ("c",)):
        records = map_units(here, stage="s", label="w", work=shout, units=units(*words), packages=PACKAGES)
        files = {f"{index:05}.txt": record.file("out.txt") for index, record in enumerate(records)}
        publish(output, files, lambda made: Manifest(**key, files=made))
    assert [path.name for path in sorted(output.iterdir())] == ["00000.txt", "manifest.json"]
    assert unchanged(output, **key) is not None
    assert unchanged(output, **(key | {"params": {"p": 2}})) is None
    (output / "00000.txt").unlink()
    assert unchanged(output, **key) is None


def test_what_no_stage_has_made_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key: dict[str, Any] = {"stage": "stage", "inputs": {}, "params": {}, "code": "c"}
    mine = tmp_path / "results"
    mine.mkdir()
    assert unchanged(mine, **key) is None
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match=r"results: this folder holds 1 files or folders but no manifest\.json"):
        unchanged(mine, **key)
    with pytest.raises(ConfigError, match=r"thesis\.txt: this is a file, and what is published is a folder"):
        unchanged(mine / "thesis.txt", **key)
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    for here in (Path(), Path("../empty"), tmp_path):
        with pytest.raises(ConfigError, match="the output is the folder this runs in"):
            unchanged(here, **key)
    assert (mine / "thesis.txt").read_text() == "years of work"


def test_an_account_that_does_not_close_publishes_nothing(here: Workshop, tmp_path: Path) -> None:
    output = tmp_path / "data"

    def manifest(files: tuple[FileRecord, ...]) -> Manifest:
        return Manifest("s", {}, {}, "c", files, account=Account(taken=Count(2, 2), kept=Count(1, 1)))

    with pytest.raises(AccountError):
        publish(output, {}, manifest)
    assert not output.exists()


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        os.fspath(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
