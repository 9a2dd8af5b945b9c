"""How far units are, told from worker to driver, and what a reader of a log sees without a terminal."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from infra import terminal
from infra.progress import Part, SilentObserver, StepsFile, following, told_while

SOON_S = 20.0


class Told:
    """Keeps what was told, and waits for it."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []
        self._news = threading.Condition()

    def __call__(self, done: int, total: int) -> None:
        with self._news:
            self.steps.append((done, total))
            self._news.notify_all()

    def wait_for(self, expected: tuple[int, int]) -> bool:
        with self._news:
            return self._news.wait_for(lambda: expected in self.steps, SOON_S)


class Heard(SilentObserver):
    """Keeps sentences, and progress by label."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.told: list[tuple[str, int, int]] = []

    def say(self, message: str) -> None:
        self.said.append(message)

    def progress(self, label: str, done: int, total: int) -> None:
        self.told.append((label, done, total))


def test_the_driver_adds_up_the_steps_of_its_units_and_guesses_those_not_begun(tmp_path: Path) -> None:
    told = Told()
    with following(tmp_path / "steps", ["a", "b", "c"], told, every_s=0.01):
        StepsFile(tmp_path / "steps" / "a")(20, 100)
        assert told.wait_for((20, 300))
        StepsFile(tmp_path / "steps" / "b")(50, 50)
        StepsFile(tmp_path / "steps" / "stranger")(7, 7)
        assert told.wait_for((70, 225))
    assert sorted(path.name for path in (tmp_path / "steps").iterdir()) == ["stranger"]


def test_a_unit_that_tells_of_no_steps_is_not_spoken_of(tmp_path: Path) -> None:
    told = Told()
    with following(tmp_path / "steps", ["a"], told, every_s=0.01):
        time.sleep(0.1)
    assert told.steps == []


def test_what_takes_long_gives_signs_of_life_and_what_does_not_is_quiet() -> None:
    lines, twice = list[str](), threading.Event()

    def tell(line: str) -> None:
        lines.append(line)
        if len(lines) == 2:
            twice.set()

    with told_while(tell, "Prefect: deploying", every_s=0.01):
        assert twice.wait(SOON_S)
    assert lines[0].startswith("Prefect: deploying: ") and lines[0].endswith(" s")
    told = len(lines)
    with told_while(tell, "a moment"):
        pass
    assert len(lines) == told


def test_steps_are_written_now_and_then_and_at_the_end(tmp_path: Path) -> None:
    tell = StepsFile(tmp_path / "a", every_s=3600)
    written = []
    for step in range(1, 5):
        tell(step, 4)
        written.append((tmp_path / "a").read_text())
    assert written == ["1 4", "1 4", "1 4", "4 4"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_that_cannot_be_written_stops_no_unit(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    StepsFile(tmp_path / "file" / "a")(1, 2)


def test_without_a_terminal_a_line_comes_when_a_label_ends_and_while_nothing_is_told() -> None:
    lines = list[str]()
    shown = terminal._Lines(lines.append, every_s=0.2)
    try:
        shown.progress("train", 0, 9)
        deadline = time.monotonic() + SOON_S
        while not lines and time.monotonic() < deadline:
            time.sleep(0.01)
        assert lines[0].startswith("train: 0 of 9, ")
        shown.progress("train", 9, 9)
        assert any(line.startswith("train: 9 of 9, ") for line in lines)
    finally:
        shown.stop()


def test_a_label_that_was_finished_begins_anew_with_its_own_time() -> None:
    lines = list[str]()
    shown = terminal._Lines(lines.append, every_s=3600)
    shown.progress("pack", 2, 2)
    shown._begun["pack"] -= 100
    shown.progress("pack", 0, 3)
    shown.progress("pack", 3, 3)
    shown.stop()
    assert lines == ["pack: 2 of 2, 0 s", "pack: 3 of 3, 0 s"]


def test_of_a_part_people_see_how_far_the_whole_is() -> None:
    heard = Heard()
    part = Part(heard, ("train", "curate"), "train", "select: models", 5)
    for label, done, total in [
        ("train", 0, 2),
        ("train, steps", 7, 20),
        ("train", 2, 2),
        ("curate: pack", 1, 1),
        ("train", 3, 3),
    ]:
        part.progress(label, done, total)
    part.progress("arms: bits per byte", 5, 5)
    for said in ("train: 1 of 3 were finished before", "curate.score: a file is damaged"):
        part.say(said)
    assert heard.told == [
        ("select: models", 0, 5),
        ("select: models", 2, 5),
        ("select: models", 5, 5),
        ("arms: bits per byte", 5, 5),
    ]
    assert heard.said == ["curate.score: a file is damaged"]


def test_a_label_that_takes_no_time_is_one_line() -> None:
    lines = list[str]()
    shown = terminal._Lines(lines.append, every_s=3600)
    for done in range(4):
        shown.progress("encode", done, 3)
    shown.stop()
    assert [line.rpartition(",")[0] for line in lines] == ["encode: 3 of 3"]


@pytest.mark.parametrize("quiet", [False, True])
def test_a_pipe_is_given_plain_lines_and_a_quiet_one_nothing(quiet: bool) -> None:
    sentence = "a sentence that is longer than the eighty columns which a console without a terminal is taken to have"
    code = (
        "from infra.terminal import TerminalObserver\n"
        f"with TerminalObserver(quiet={quiet}) as shown:\n"
        f"    shown.say({sentence!r})\n"
        "    shown.progress('train', 1, 2)\n"
        "    shown.progress('train', 2, 2)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr
    assert found.splitlines() == ([] if quiet else [sentence, "train: 2 of 2, 0 s"])
