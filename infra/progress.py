"""Watching a stage from outside: what a driver tells while it works, and who listens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


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


class Observer(Protocol):
    """Who listens to a stage driver."""

    def say(self, message: str) -> None:
        """Take note of one sentence."""

    def progress(self, label: str, done: int, total: int) -> None:
        """Take note that `done` of `total` units called `label` are finished."""

    def unit(self, report: UnitReport) -> None:
        """Take note of a finished proxy or training run."""


class SilentObserver:
    """Listens to nothing; for tests and libraries."""

    def say(self, message: str) -> None:
        """Ignore the sentence."""

    def progress(self, label: str, done: int, total: int) -> None:
        """Ignore the progress."""

    def unit(self, report: UnitReport) -> None:
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
