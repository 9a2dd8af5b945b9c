"""An executor that does every unit in this very process and notes what each kind of work took."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from infra.distributed import DistributedCall, GroupMember
from infra.executors import Call, Resources
from infra.storage import FolderStore
from tasks.runtime.context import Workshop

ANY = Resources()


class InlineExecutor:
    """Units one after another, here; `cpu_s` sums CPU seconds per function of work."""

    workers = 1

    def __init__(self) -> None:
        self.cpu_s: dict[str, float] = defaultdict(float)

    def map(
        self, function: Call, items: Sequence[Any], resources: Resources = ANY, *, warm: bool = False
    ) -> Iterator[tuple[int, Any]]:
        """Yield (index of the item, result)."""
        for index, item in enumerate(items):
            start = time.process_time()
            result = function(item)
            first = item[0] if isinstance(item, tuple) else item
            self.cpu_s[getattr(first, "step", first).work.__name__] += time.process_time() - start
            yield index, result

    def map_distributed(
        self,
        function: DistributedCall,
        items: Sequence[Any],
        world_size: int,
        folder: Path,
        resources: Resources = ANY,
        smaller: Sequence[int] = (),
    ) -> Iterator[tuple[int, None]]:
        """Yield (index of the item, None), each done by one process."""
        for index, item in enumerate(items):
            function(item, GroupMember())
            yield index, None

    def gpu_family(self) -> str:
        """Refuse: there is no GPU in this process."""
        raise AssertionError("benchmarks of units run on the processor")

    def close(self) -> None:
        """Do nothing: nothing was started."""


def inline_workshop(store: Path) -> tuple[Workshop, InlineExecutor]:
    """Return a workshop without other processes, and its executor."""
    executor = InlineExecutor()
    return Workshop(executor, FolderStore(store)), executor


def steps_of(work: Callable[[Workshop], object], store: Path) -> dict[str, float]:
    """Return the CPU seconds of each kind of unit in `work`, and of what the driver does besides, by name."""
    workshop, executor = inline_workshop(store)
    start = time.process_time()
    work(workshop)
    total = time.process_time() - start
    return {**executor.cpu_s, "driver": total - sum(executor.cpu_s.values())}
