"""What a person sees while a stage works, on standard error: sentences, and bars or, without a terminal, lines."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from infra.progress import SIGN_OF_LIFE_S, LiveReport, UnitReport


class _Rate(ProgressColumn):
    """Units per second, over the whole time: the last few alone would jump with every large one."""

    def render(self, task: Task) -> Text:
        """Return the rate, or nothing before the first unit."""
        spent = task.elapsed
        return Text(f"{task.completed / spent:.1f}/s" if spent and task.completed else "", style="progress.data.speed")


class TerminalObserver:
    """Shows one bar per label, with rate, time spent and time left; a sentence stands above the bars.

    Where there is no terminal it writes lines instead: see `_Lines`.
    """

    def __init__(self, quiet: bool = False) -> None:
        console = Console(stderr=True, soft_wrap=True)
        self._console, self._quiet = console, quiet
        self._shown: _Bars | _Lines | None = None
        if not quiet:
            self._shown = _Bars(console) if console.is_terminal else _Lines(self.say)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown is not None:
            self._shown.stop()

    def say(self, message: str) -> None:
        """Print one sentence."""
        if not self._quiet:
            self._console.print(message, markup=False, highlight=False)

    def progress(self, label: str, done: int, total: int) -> None:
        """Show how far this label is."""
        if self._shown is not None:
            self._shown.progress(label, done, total)

    def unit(self, report: UnitReport) -> None:
        """Show nothing: proxies and runs are looked at in the tracker."""

    def live(self, report: LiveReport) -> None:
        """Show nothing, for the same reason."""


class _Bars:
    """A bar per label, which moves."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<24}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._bars: dict[str, TaskID] = {}
        self._finished: set[str] = set()

    def progress(self, label: str, done: int, total: int) -> None:
        """Move the bar of this label; one that was finished begins anew."""
        if label not in self._bars:
            # The first bar starts the display: a stage that has nothing to do leaves no empty line.
            self._progress.start()
            self._bars[label] = self._progress.add_task(label, total=total)
        elif label in self._finished:
            self._progress.reset(self._bars[label], total=total)
        _note(self._finished, label, done >= total)
        self._progress.update(self._bars[label], completed=done, total=total)

    def stop(self) -> None:
        """Leave the bars as they are."""
        self._progress.stop()


class _Lines:
    """A line when a label is finished, and one every few seconds in between, whether anything was told or not."""

    def __init__(self, write: Callable[[str], None], every_s: float = SIGN_OF_LIFE_S) -> None:
        self._write, self._every_s = write, every_s
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._begun: dict[str, float] = {}
        self._finished: set[str] = set()
        self._newest: tuple[str, int, int] | None = None
        self._written = time.monotonic()
        self._thread: threading.Thread | None = None

    def progress(self, label: str, done: int, total: int) -> None:
        """Take note, and write a line if the label is finished or the last line is some time ago."""
        with self._lock:
            if label not in self._begun or label in self._finished:
                self._begun[label] = time.monotonic()
            _note(self._finished, label, done >= total)
            finished = done >= total and self._newest != (label, done, total)
            self._newest = (label, done, total)
            if finished or self._is_time():
                self._line()
            if self._thread is None:
                self._thread = threading.Thread(target=self._repeat, daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Write no more lines."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _repeat(self) -> None:
        while not self._stopped.wait(self._every_s / 8):
            with self._lock:
                if self._is_time():
                    self._line()

    def _is_time(self) -> bool:
        return time.monotonic() - self._written >= self._every_s

    def _line(self) -> None:
        assert self._newest is not None, "there is something to tell once a label was"
        label, done, total = self._newest
        self._written = time.monotonic()
        self._write(f"{label}: {done:,} of {total:,}, {self._written - self._begun[label]:.0f} s")


def _note(finished: set[str], label: str, is_finished: bool) -> None:
    if is_finished:
        finished.add(label)
    else:
        finished.discard(label)
