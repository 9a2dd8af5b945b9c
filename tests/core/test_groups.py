"""Units done in groups: kept one by one, the same bytes whatever the grouping, and taken up again after a kill."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.storage import FolderStore
from tasks.core.errors import DataError
from tasks.core.stage import UnitRecord, UnitResult, Workshop, grouped, map_grouped_units

PACKAGES = ("tasks.core",)
WORDS = tuple("abcdefgh")


@dataclass
class GroupsHere:
    """Runs groups in this process, the last one first, and notes their sizes and the GPUs they were given."""

    workers: int = 1
    sizes: list[int] = field(default_factory=list)
    gpus: list[float] = field(default_factory=list)

    def map(self, function: Any, items: Sequence[Any], gpus: float = 0.0) -> Iterator[tuple[int, Any]]:
        for index in reversed(range(len(items))):
            self.sizes.append(len(items[index]))
            self.gpus.append(gpus)
            yield index, function(items[index])


def shout(words: Sequence[str], folders: Sequence[Path], checkpoints: Sequence[Path]) -> list[UnitResult | Exception]:
    """Write each word in capitals; with the word "kill" in the environment a first attempt dies in its middle."""
    results: list[UnitResult | Exception] = []
    for word, folder, checkpoint in zip(words, folders, checkpoints, strict=True):
        checkpoint.mkdir(parents=True, exist_ok=True)
        (checkpoint / "begun").touch()
        if word == os.environ.get("KILL_AT"):
            os.kill(os.getpid(), signal.SIGKILL)
        (folder / "out.txt").write_text(word.upper(), encoding="utf-8")
        results.append(DataError(f"word {word}: bad") if word == "!" else UnitResult(summary={"length": len(word)}))
    return results


def run(
    place: Path, executor: Any, words: Sequence[str] = WORDS, group_size: int = 3, **options: Any
) -> list[UnitRecord]:
    workshop = Workshop(executor, FolderStore(place / "store"))
    units = [(hashlib.sha256(word.encode()).hexdigest(), word) for word in words]
    return map_grouped_units(
        workshop, stage="s", label="words", work=shout, units=units, group_size=group_size, packages=PACKAGES, **options
    )


def contents(place: Path) -> dict[str, bytes]:
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}


@given(st.integers(0, 60), st.integers(1, 16), st.integers(1, 8))
def test_groups_hold_every_unit_once_and_leave_no_worker_idle(units: int, size: int, workers: int) -> None:
    groups = grouped(units, size, workers)
    assert [unit for group in groups for unit in group] == list(range(units))
    assert all(1 <= len(group) <= size for group in groups)
    assert len(groups) >= min(workers, units)


def test_the_store_holds_the_same_bytes_whatever_the_grouping(tmp_path: Path) -> None:
    for size in (1, 3, 8):
        executor = GroupsHere()
        records = run(tmp_path / str(size), executor, group_size=size)
        assert [(record.folder / "out.txt").read_text() for record in records] == [word.upper() for word in WORDS]
        assert max(executor.sizes) == size or size == 3
    assert contents(tmp_path / "1") == contents(tmp_path / "3") == contents(tmp_path / "8")
    assert len(contents(tmp_path / "8")) == 2 * len(WORDS)


def test_only_what_is_missing_is_grouped_and_told(tmp_path: Path) -> None:
    run(tmp_path, GroupsHere(), ["b", "d"])
    executor, heard = GroupsHere(), []
    run(tmp_path, executor, on_finished=lambda index, record: heard.append(index))
    assert executor.sizes == [3, 3]
    assert sorted(heard) == list(range(8))
    assert heard[:2] == [1, 3]
    run(tmp_path, executor)
    assert executor.sizes == [3, 3]


def test_a_unit_that_fails_is_named_and_the_others_of_its_group_are_kept(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="word !: bad"):
        run(tmp_path, GroupsHere(), ["a", "!", "c"])
    executor = GroupsHere()
    run(tmp_path, executor, ["a", "c", "d"])
    assert executor.sizes == [1]


_PROGRAM = """
import sys
from pathlib import Path
from tests.core.test_groups import GroupsHere, run
run(Path(sys.argv[1]), GroupsHere())
"""


def test_a_group_killed_in_its_middle_finds_its_checkpoints_and_gives_the_same_bytes(
    tmp_path: Path, project: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(project), "KILL_AT": "b"}
    killed = subprocess.run([sys.executable, "-c", _PROGRAM, str(tmp_path / "killed")], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    left = contents(tmp_path / "killed")
    # Two groups were through; of the third, two units had begun.
    assert sum(path.endswith("out.txt") and ".attempt-" not in path for path in left) == 6
    assert sum(path.endswith("begun") for path in left) == 2
    run(tmp_path / "killed", GroupsHere())
    run(tmp_path / "whole", GroupsHere())
    assert FolderStore(tmp_path / "killed" / "store").sweep() == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
