"""Stand-ins for tests of what stages do: an executor without processes, and an observer that keeps what it hears.

mypy holds them against what they stand for, like everything else in this module.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from infra.distributed import DistributedCall, GroupMember
from infra.executors import Call, Executor, Resources
from infra.progress import LiveReport, Observer, UnitReport

ANY = Resources()


class InProcess:
    """Runs units in this process, the last one first, and notes what each of them does."""

    workers = 1

    def __init__(self) -> None:
        self.done: list[str] = []

    def map(
        self, function: Call, items: Sequence[Any], resources: Resources = ANY, *, warm: bool = False
    ) -> Iterator[tuple[int, Any]]:
        for index in reversed(range(len(items))):
            self.done += [_name(one) for one in _each(items[index])]
            yield index, function(items[index])

    def map_distributed(
        self,
        function: DistributedCall,
        items: Sequence[Any],
        world_size: int,
        folder: Path,
        resources: Resources = ANY,
        smaller: Sequence[int] = (),
    ) -> Iterator[tuple[int, None]]:
        assert world_size == 1, "one process is all there is"
        for index in reversed(range(len(items))):
            self.done.append(_name(items[index]))
            function(items[index], GroupMember())
            yield index, None

    def gpu_family(self) -> str:
        raise AssertionError("there is no GPU in this process")

    def close(self) -> None:
        """End nothing: nothing was started."""


def _each(item: Any) -> Sequence[Any]:
    """Return the units of an item: a group of them, or one."""
    return item if isinstance(item, tuple) else (item,)


def _name(order: Any) -> str:
    """Return the name of a unit's function."""
    step = getattr(order, "step", order)
    return str(step.work.__name__)


class Listener:
    """Keeps what a stage said, how far it was, and the units it reported."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.steps: list[tuple[int, int]] = []
        self.units: list[UnitReport] = []
        self.lives: list[LiveReport] = []

    def say(self, message: str) -> None:
        self.said.append(message)

    def progress(self, label: str, done: int, total: int) -> None:
        self.steps.append((done, total))

    def unit(self, report: UnitReport) -> None:
        self.units.append(report)

    def live(self, report: LiveReport) -> None:
        self.lives.append(report)


EXECUTOR: type[Executor] = InProcess
OBSERVER: type[Observer] = Listener
