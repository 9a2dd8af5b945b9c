"""Steps: finished units are taken, missing ones are made, and nothing depends on where or together with what."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.executors import Resources
from infra.local_executor import LocalExecutor
from infra.progress import SilentObserver
from infra.storage import FolderStore, Store
from tasks.core.account import Account, Count
from tasks.core.errors import DataError, ForeignCodeError
from tasks.core.results import Here, UnitResult
from tasks.core.sealed import parse_sealed, sealed_text
from tasks.runtime import records as records_module
from tasks.runtime import step as step_module
from tasks.runtime import worker as worker_module
from tasks.runtime.context import Explaining, Workshop, WouldWorkError
from tasks.runtime.explain import reads_other_content
from tasks.runtime.records import UnitRecord
from tasks.runtime.step import Hold, Step, grouped
from tests.fixtures_stores import notes, spoil
from tests.in_process import InProcess
from tests.runtime.damage import damages

WORDS = tuple("abcdefgh")


class Heard(SilentObserver):
    """Keeps what was said, and how far steps were."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.steps: list[tuple[int, int]] = []

    def say(self, message: str) -> None:
        self.said.append(message)

    def progress(self, label: str, done: int, total: int) -> None:
        if label == "words, steps":
            self.steps.append((done, total))
            TOLD.set()


def shout(word: str, here: Here) -> UnitResult:
    """Write a word in capitals; the word in the environment kills its process."""
    if word == "bad":
        raise DataError("word 3: bad")
    if word == os.environ.get("KILL_AT"):
        os.kill(os.getpid(), signal.SIGKILL)
    (here.folder / "out.txt").write_text(word.upper())
    return UnitResult(Account(Count(1, len(word)), Count(1, len(word))), {"length": len(word), "loss": 2.5})


def shout_together(words: Sequence[str], places: Sequence[Here]) -> list[UnitResult | Exception]:
    """Write each word in capitals; the word in the environment kills the first attempt in its middle."""
    results: list[UnitResult | Exception] = []
    for word, here in zip(words, places, strict=True):
        assert here.scratch is not None
        here.scratch.mkdir(parents=True, exist_ok=True)
        (here.scratch / "begun").touch()
        if word == os.environ.get("KILL_AT"):
            os.kill(os.getpid(), signal.SIGKILL)
        (here.folder / "out.txt").write_text(word.upper())
        results.append(DataError(f"word {word}: bad") if word == "!" else UnitResult(summary={"length": len(word)}))
    return results


def numbered(word: str, here: Here) -> UnitResult:
    """Write rank and size of every process that worked on a word, as far as this one knows."""
    (here.folder / "rank.txt").write_text(f"{word} {here.rank} of {here.size}")
    return UnitResult()


@dataclass(frozen=True)
class Asked:
    word: str
    model: str


LOADED: list[str] = []


def load(model: str) -> str:
    LOADED.append(model)
    return model.upper()


def answer(args: Asked, here: Here) -> UnitResult:
    """Write who answers, and in which process."""
    (here.folder / "out.txt").write_text(f"{here.held} says {args.word}")
    return UnitResult(summary={"pid": os.getpid(), "loaded": len(LOADED)})


TOLD = threading.Event()


def slow(word: str, here: Here) -> UnitResult:
    """Make one step of four, and go on when somebody has heard of it."""
    TOLD.clear()
    here.progress(1, 4)
    assert TOLD.wait(60)
    return UnitResult()


SLOW = Step("test.slow", "words", slow)
SHOUT = Step("test.shout", "words", shout)
TOGETHER = Step("test.together", "words", shout_together, grouped=True)
NUMBERED = Step("test.numbered", "words", numbered, distributed=True)
ANSWER = Step("test.answer", "answers", answer, hold=Hold(attrgetter("model"), load))


@pytest.fixture
def here(store: Store) -> Workshop:
    return Workshop(InProcess(), store, Heard())


def said(workshop: Workshop) -> list[str]:
    assert isinstance(workshop.observer, Heard)
    return workshop.observer.said


def done(workshop: Workshop) -> int:
    assert isinstance(workshop.executor, InProcess)
    return len(workshop.executor.done)


def run(workshop: Workshop, *words: str) -> list[str]:
    return [(record.folder / "out.txt").read_text() for record in SHOUT.map(workshop, words)]


def contents(place: Path) -> dict[str, bytes]:
    """Return all files of a folder but those on costs, which no two executions have in common."""
    files = {path.relative_to(place).as_posix(): path for path in place.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if "costs" not in name.split("/")}


def test_results_come_in_the_order_of_the_units_whatever_finishes_first(here: Workshop) -> None:
    assert run(here, "a", "bb", "c") == ["A", "BB", "C"]


def test_a_second_run_does_only_what_is_missing(here: Workshop) -> None:
    run(here, "a", "bb")
    assert run(here, "a", "bb", "c") == ["A", "BB", "C"]
    assert done(here) == 3


def test_the_same_unit_asked_for_twice_is_done_once_and_told_twice(here: Workshop) -> None:
    heard: list[int] = []
    records = SHOUT.map(here, ["a", "bb", "a"], on_finished=lambda index, record: heard.append(index))
    assert [record.summary["length"] for record in records] == [1, 2, 1]
    assert (done(here), sorted(heard)) == (2, [0, 1, 2])


def test_units_finished_before_a_failure_are_kept(here: Workshop, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="word 3: bad"):
        run(here, "bad", "a", "bb")
    run(here, "a", "bb")
    assert done(here) == 3
    assert not list((tmp_path / "store" / "test.shout").rglob(".attempt-*"))


def test_a_worker_with_other_code_refuses_to_work(here: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = iter(["driver's", "worker's"])
    monkeypatch.setattr(step_module, "source_digest", lambda roots: next(digests))
    with pytest.raises(ForeignCodeError, match="other packages of the names `tasks`"):
        run(here, "a")


def test_one_and_two_processes_give_the_same_files(tmp_path: Path) -> None:
    words = ("a", "bb", "ccc", "dddd")
    for count in (1, 2):
        executor = LocalExecutor(count)
        run(Workshop(executor, FolderStore(tmp_path / str(count))), *words)
        executor.close()
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_a_worker_loads_what_it_holds_once_for_many_units(tmp_path: Path) -> None:
    executor = LocalExecutor(2)
    asked = [Asked(word, "bert") for word in WORDS]
    records = ANSWER.map(Workshop(executor, FolderStore(tmp_path)), asked)
    executor.close()
    assert [(record.folder / "out.txt").read_text() for record in records] == [f"BERT says {word}" for word in WORDS]
    assert {record.summary["loaded"] for record in records} == {1}
    assert os.getpid() not in {record.summary["pid"] for record in records}


def test_another_model_takes_the_place_of_the_one_that_is_held(here: Workshop) -> None:
    LOADED.clear()
    worker_module._HELD.clear()
    for model in ("bert", "bert", "glove", "bert"):
        ANSWER.map(here, [Asked(f"{len(LOADED)}{model}", model)])
    assert LOADED == ["bert", "glove", "bert"]


@pytest.mark.parametrize("name", ["record.json", "out.txt"])
def test_a_damaged_unit_is_told_and_made_again_with_the_same_bytes(here: Workshop, name: str) -> None:
    (made,) = SHOUT.map(here, ["word"])
    with here.store.open(made.tree.location, name) as stream:
        whole = stream.read()
    few = 97 if here.store.shared_folders else 997
    for damaged in (*damages(whole)[1::few], b"\xff\xfe", None):
        spoil(here.store, "test.shout", made.key, name, damaged)
        said(here).clear()
        (again,) = SHOUT.map(here, ["word"])
        assert (again.key, again.tree) == (made.key, made.tree)
        assert (again.folder / "out.txt").read_text() == "WORD"
        assert said(here)[0].endswith("This unit is made again.")


def test_a_record_of_another_version_is_made_again_and_no_traceback(here: Workshop) -> None:
    (made,) = SHOUT.map(here, ["word"])
    other = sealed_text({"files": [{"path": "out.txt"}], "account": 3, "summary": None})
    spoil(here.store, "test.shout", made.key, "record.json", other.encode())
    assert SHOUT.map(here, ["word"]) == [made]


def test_the_first_result_under_a_key_stays_and_a_second_that_differs_is_noted(
    here: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two machines with other instruction sets work on one store; both began before either was through."""
    (first,) = SHOUT.map(here, ["word"])
    order = step_module._order(SHOUT, "word", here, "cpu", 0.0)
    monkeypatch.setattr(records_module, "environment_of", lambda libraries: {"instruction_set": "AVX512"})

    def other(folder: Path) -> UnitResult:
        (folder / "out.txt").write_text("WORD, nearly")
        return UnitResult()

    records_module.keep(here.store, "test.shout", first.key, other, order.identity, {})
    assert SHOUT.map(here, ["word"]) == [first]
    (note,) = [name for name in notes(here.store, "test.shout") if name.startswith("different-")]
    text = here.store.noted("test.shout", note)
    assert text and parse_sealed(text, note)["second"] == {"instruction_set": "AVX512"}


class GroupsHere(InProcess):
    """Notes the sizes of groups and what they were given."""

    def __init__(self, workers: int = 1) -> None:
        super().__init__()
        self.workers, self.sizes, self.resources = workers, list[int](), list[Resources]()

    def map(
        self, function: Any, items: Sequence[Any], resources: Resources | None = None, *, warm: bool = False
    ) -> Iterator[tuple[int, Any]]:
        self.sizes += [len(item) for item in reversed(items)]
        self.resources.append(resources or Resources())
        return super().map(function, items, self.resources[-1], warm=warm)

    def gpu_family(self) -> str:
        return "H200"


def run_groups(
    place: Path, executor: InProcess, words: Sequence[str] = WORDS, group_size: int = 3, **options: Any
) -> list[UnitRecord]:
    return TOGETHER.map(Workshop(executor, FolderStore(place / "store")), words, group_size=group_size, **options)


@given(st.integers(0, 60), st.integers(1, 16), st.integers(1, 8))
def test_groups_hold_every_unit_once_and_leave_no_worker_idle(units: int, size: int, workers: int) -> None:
    groups = grouped(units, size, workers)
    assert [unit for group in groups for unit in group] == list(range(units))
    assert all(1 <= len(group) <= size for group in groups)
    assert len(groups) >= min(workers, units)


def test_the_store_holds_the_same_bytes_whatever_the_grouping(tmp_path: Path) -> None:
    for size in (1, 3, 8):
        executor = GroupsHere()
        records = run_groups(tmp_path / str(size), executor, group_size=size)
        assert [(record.folder / "out.txt").read_text() for record in records] == [word.upper() for word in WORDS]
        assert max(executor.sizes) == size or size == 3
    assert contents(tmp_path / "1") == contents(tmp_path / "3") == contents(tmp_path / "8")


def test_only_what_is_missing_is_grouped_and_told(tmp_path: Path) -> None:
    run_groups(tmp_path, GroupsHere(), ["b", "d"])
    executor, heard = GroupsHere(), list[int]()
    run_groups(tmp_path, executor, on_finished=lambda index, record: heard.append(index))
    assert executor.sizes == [3, 3]
    assert sorted(heard) == list(range(8))
    assert heard[:2] == [1, 3]
    run_groups(tmp_path, executor)
    assert executor.sizes == [3, 3]


def test_a_unit_that_fails_is_named_and_the_others_of_its_group_are_kept(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="word !: bad"):
        run_groups(tmp_path, GroupsHere(), ["a", "!", "c"])
    executor = GroupsHere()
    run_groups(tmp_path, executor, ["a", "c", "d"])
    assert executor.sizes == [1]


def test_a_map_passes_its_resources_on(tmp_path: Path) -> None:
    executor = GroupsHere()
    run_groups(tmp_path, executor, group_size=8, resources=Resources(gpus=0.25))
    assert executor.resources == [Resources(gpus=0.25)]


_PROGRAM = """
import sys
from pathlib import Path
from tests.in_process import InProcess
from tests.runtime.test_step import GroupsHere, run_groups, run_singly
if sys.argv[2] == "groups":
    run_groups(Path(sys.argv[1]), GroupsHere())
else:
    run_singly(Path(sys.argv[1]), InProcess())
"""


def run_singly(place: Path, executor: InProcess) -> None:
    SHOUT.map(Workshop(executor, FolderStore(place / "store")), WORDS)


def _killed_at_b(place: Path, project: Path, how: str) -> dict[str, bytes]:
    """Return what a process that does the words, the last one first, leaves when it is killed at b."""
    environment = {**os.environ, "PYTHONPATH": str(project), "KILL_AT": "b"}
    killed = subprocess.run([sys.executable, "-c", _PROGRAM, str(place), how], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    return contents(place)


def test_units_finished_before_a_kill_are_kept_and_the_rest_gives_the_same_bytes(tmp_path: Path, project: Path) -> None:
    left = _killed_at_b(tmp_path / "killed", project, "singly")
    assert sum(path.endswith("out.txt") for path in left) == len(WORDS) - 2
    executor = InProcess()
    run_singly(tmp_path / "killed", executor)
    assert len(executor.done) == 2, "a finished unit was made again"
    run_singly(tmp_path / "whole", InProcess())
    FolderStore(tmp_path / "killed" / "store").sweep()
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_a_group_killed_in_its_middle_finds_its_scratch_and_gives_the_same_bytes(tmp_path: Path, project: Path) -> None:
    left = _killed_at_b(tmp_path / "killed", project, "groups")
    # Two groups were through; of the third, two units had begun.
    assert sum(path.endswith("out.txt") and ".attempt-" not in path for path in left) == 6
    assert sum(path.endswith("begun") for path in left) == 2
    run_groups(tmp_path / "killed", GroupsHere())
    run_groups(tmp_path / "whole", GroupsHere())
    assert FolderStore(tmp_path / "killed" / "store").sweep() == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_several_processes_work_on_one_unit_and_the_first_keeps_its_files(tmp_path: Path) -> None:
    executor = LocalExecutor(2)
    records = NUMBERED.map(Workshop(executor, FolderStore(tmp_path), world_size=2), ["a", "b"])
    executor.close()
    assert [(record.folder / "rank.txt").read_text() for record in records] == ["a 0 of 2", "b 0 of 2"]
    assert not list((tmp_path / "others").glob("*"))


@dataclass(frozen=True)
class Sized:
    word: str
    times: int = 1
    label: str = field(default="", metadata={"identity": False})


def repeat(args: Sized, here: Here) -> UnitResult:
    """Write a word some times."""
    (here.folder / "out.txt").write_text(args.word * args.times)
    return UnitResult()


def test_what_is_done_again_is_explained_by_the_first_difference(tmp_path: Path) -> None:
    step = Step("test.repeat", "words", repeat)
    shop = partial(Workshop, InProcess(), FolderStore(tmp_path))
    first = shop(Heard())
    step.map(first, [Sized("a"), Sized("b")])
    step.map(first, [Sized("c", 2)])
    assert said(first) == []  # other work of the same run is no work done again
    second = shop(Heard())
    step.map(second, [Sized("a", 3, "renamed")])
    assert said(second) == [
        "words: done again, because times was 1 and is 3 (compared with the most similar unit that was done before)"
    ]


def test_new_input_is_no_work_done_again_and_nothing_is_said_of_it(tmp_path: Path) -> None:
    step = Step("test.repeat", "words", repeat)
    shop = partial(Workshop, InProcess(), FolderStore(tmp_path))
    step.map(shop(Heard()), [Sized("a" * 64)])
    new = shop(Heard())
    step.map(new, [Sized("b" * 64)])
    assert said(new) == []
    with pytest.raises(WouldWorkError, match="would be done: new input: word was"):
        step.map(replace(shop(Heard()), explaining=Explaining()), [Sized("c" * 64)])


def test_other_content_is_new_input_and_no_work_done_again(tmp_path: Path) -> None:
    before, now = ({"shard": "a" * 64, "seed": 1}, {"shard": "b" * 64, "seed": 1})
    assert reads_other_content(before, now)
    assert not reads_other_content(before, before | {"seed": 2})
    assert reads_other_content([["a" * 64, "Rows", 0, 5]], [["b" * 64, "Rows", 0, 5]])


def test_a_damaged_note_about_code_is_written_anew(here: Workshop) -> None:
    SHOUT.map(here, ["word"])
    (note,) = notes(here.store, "code")
    written = here.store.noted("code", note)
    here.store.note("code", note, "damaged")
    SHOUT.map(here, ["more"])
    assert written == here.store.noted("code", note) != "damaged"


def test_the_steps_of_a_unit_are_heard_of_while_it_works(here: Workshop, tmp_path: Path) -> None:
    SLOW.one(here, "a")
    assert isinstance(here.observer, Heard)
    assert here.observer.steps == [(1, 4)]
    assert not list((tmp_path / "store" / "progress").iterdir())
