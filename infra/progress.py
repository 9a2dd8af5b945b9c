"""Watching a stage from outside: what a driver tells while it works, who listens, and how far its units are."""

import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

# A reader of a log should never wait 10 s for a sign of life.
SIGN_OF_LIFE_S = 8.0
_WRITTEN_EVERY_S = 1.0
_LOOKED_AT_EVERY_S = 2.0


@dataclass(frozen=True)
class UnitReport:
    """A finished unit worth a run of its own in the tracker: a proxy, or one training run.

    `curves` holds, by metric name, (step, value) pairs; `metrics` the final values.
    """

    name: str
    key: str
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class LiveReport:
    """New values of a unit that is under way, (step, value) pairs by name; values of a step told again are the same."""

    name: str
    key: str
    curves: Mapping[str, Sequence[tuple[int, float]]]


class Observer(Protocol):
    """Who listens to a stage driver."""

    def say(self, message: str) -> None:
        """Take note of one sentence."""

    def progress(self, label: str, done: int, total: int) -> None:
        """Take note that `done` of `total` units called `label` are finished."""

    def unit(self, report: UnitReport) -> None:
        """Take note of a finished proxy or training run."""

    def live(self, report: LiveReport) -> None:
        """Take note of what a training run measures on its way; called by a thread of its own."""


class SilentObserver:
    """Listens to nothing; for tests and libraries."""

    def say(self, message: str) -> None:
        """Ignore the sentence."""

    def progress(self, label: str, done: int, total: int) -> None:
        """Ignore the progress."""

    def unit(self, report: UnitReport) -> None:
        """Ignore the report."""

    def live(self, report: LiveReport) -> None:
        """Ignore the report."""


class Observers:
    """Several observers as one."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def say(self, message: str) -> None:
        """Pass the sentence on."""
        for observer in self._observers:
            observer.say(message)

    def progress(self, label: str, done: int, total: int) -> None:
        """Pass the progress on."""
        for observer in self._observers:
            observer.progress(label, done, total)

    def unit(self, report: UnitReport) -> None:
        """Pass the report on."""
        for observer in self._observers:
            observer.unit(report)

    def live(self, report: LiveReport) -> None:
        """Pass the report on."""
        for observer in self._observers:
            observer.live(report)


class Part:
    """Listens to a part of a longer piece of work, so that people see how far the whole is and not every step of it.

    What `voices`, such as `curate`, tell of their own steps is left out; a sentence that is no voice's passes. The units of
    one step, whose label is `counted`, are told as units of the whole: as `label`, of `total`.
    """

    def __init__(
        self, observer: Observer, voices: Collection[str], counted: str = "", label: str = "", total: int = 0
    ) -> None:
        self._observer, self._voices = observer, voices
        self._counted, self._label, self._total = counted, label, total
        self._before = 0

    def say(self, message: str) -> None:
        """Pass on what no voice says."""
        if message.partition(":")[0] not in self._voices:
            self._observer.say(message)

    def progress(self, label: str, done: int, total: int) -> None:
        """Add up the units that are counted, map after map; leave out those of voices."""
        if label == self._counted:
            self._observer.progress(self._label, self._before + done, self._total)
            self._before += done if done == total else 0
        elif label.partition(":")[0].partition(",")[0] not in self._voices:
            self._observer.progress(label, done, total)

    def unit(self, report: UnitReport) -> None:
        """Pass the report on."""
        self._observer.unit(report)

    def live(self, report: LiveReport) -> None:
        """Pass the report on."""
        self._observer.live(report)


class StepsFile:
    """What a unit tells of its steps, in a file that its driver looks at (see `following`). For people alone."""

    def __init__(self, path: Path, every_s: float = _WRITTEN_EVERY_S) -> None:
        self._path, self._every_s = path, every_s
        self._written = -every_s

    def __call__(self, done: int, total: int) -> None:
        """Tell that `done` of `total` steps are made; written at most once a second, and at the end."""
        now = time.monotonic()
        if done < total and now - self._written < self._every_s:
            return
        self._written = now
        # Where nothing can be written the work itself will say so, by name.
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            attempt = self._path.with_name(f"{self._path.name}.{os.getpid()}")
            attempt.write_text(f"{done} {total}", encoding="utf-8")
            attempt.replace(self._path)


@contextmanager
def following(
    folder: Path, names: Sequence[str], tell: Callable[[int, int], None], every_s: float = _LOOKED_AT_EVERY_S
) -> Iterator[None]:
    """Tell the steps made and the steps there are of all units together, while the block runs and as they change.

    `names` are those of the units' `StepsFile`s in `folder`; nothing is told while no unit reports. A unit that has not
    begun counts as having as many steps as the others have on average.
    """
    seen: dict[str, tuple[int, int]] = {}

    def look() -> None:
        found = seen | dict(_reported(folder, {*names}))
        if found != seen:
            seen.update(found)
            tell(*_together(seen.values(), len(names)))

    try:
        with repeated(look, every_s):
            yield
    finally:
        for name, _ in _reported(folder, {*names}):
            (folder / name).unlink(missing_ok=True)


@contextmanager
def repeated(look: Callable[[], object], every_s: float) -> Iterator[None]:
    """Call a function again and again while the block runs, in a thread with this one's context."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(every_s):
            look()

    thread = threading.Thread(target=copy_context().run, args=(watch,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def told_while(tell: Callable[[str], object], what: str, every_s: float = SIGN_OF_LIFE_S) -> Iterator[None]:
    """Tell every few seconds, while the block runs, that something is under way and for how long."""
    began = time.monotonic()
    with repeated(lambda: tell(f"{what}: {time.monotonic() - began:.0f} s"), every_s):
        yield


def _reported(folder: Path, names: set[str]) -> Iterator[tuple[str, tuple[int, int]]]:
    try:
        present = [path.name for path in folder.iterdir()]
    except OSError:
        return
    for name in names.intersection(present):
        with suppress(OSError, ValueError):
            done, total = (folder / name).read_text(encoding="utf-8").split()
            yield name, (int(done), int(total))


def _together(steps: Iterable[tuple[int, int]], num_units: int) -> tuple[int, int]:
    """Return (steps made, steps) of all units.

    >>> _together([(10, 100), (50, 50)], 4)
    (60, 300)
    """
    pairs = list(steps)
    done, total = sum(done for done, _ in pairs), sum(total for _, total in pairs)
    return done, total + round(total / len(pairs) * (num_units - len(pairs)))
