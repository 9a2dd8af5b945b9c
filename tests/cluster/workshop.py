"""A workshop for tests that need no second process: units run one after the other, and are counted by name."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from infra.executors import Call
from infra.storage import FolderStore
from tasks.core.stage import Workshop


class SerialExecutor:
    """Runs items in this process, in order."""

    workers = 1

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()

    def map(self, function: Call, items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Yield (index, result)."""
        for index, item in enumerate(items):
            self.done[item.work.__name__] += 1
            yield index, function(item)


def serial_workshop(folder: Path) -> tuple[Workshop, Counter[str]]:
    """Return a workshop, and the count of units that really ran."""
    executor = SerialExecutor()
    return Workshop(executor, FolderStore(folder / "store")), executor.done
