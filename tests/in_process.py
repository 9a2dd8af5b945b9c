"""An executor for tests of what units do, not of where they run."""

from collections.abc import Iterator, Sequence
from typing import Any

from infra.executors import Call


class InProcess:
    """Runs units in this process, the last one first, and notes what each of them does."""

    workers = 1

    def __init__(self) -> None:
        self.done: list[str] = []

    def map(self, function: Call, items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        for index in reversed(range(len(items))):
            self.done.append(items[index].work.__name__)
            yield index, function(items[index])

    def map_distributed(self, *_: Any) -> Iterator[tuple[int, None]]:
        raise AssertionError("no unit here is shared by several processes")

    def close(self) -> None:
        """End nothing: nothing was started."""
