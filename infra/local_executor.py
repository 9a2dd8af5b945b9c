"""Units of work in processes of this machine."""

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any

from infra.distributed import DistributedCall, GroupMember, local_map
from infra.errors import ServiceError, SettingsError
from infra.executors import USUAL, Call, Resources, at_a_time, pinned_environment


class LocalExecutor:
    """Processes of this machine (spawn), started by the first map and kept for the next; they end with their parent."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def map(
        self, function: Call, items: Sequence[Any], resources: Resources = USUAL, *, warm: bool = False
    ) -> Iterator[tuple[int, Any]]:
        """Yield (index of the item, result) as workers finish; processes of this machine share its first GPU.

        Its processes are always warm. Fewer items run at a time where their CPUs, memory or GPU would not be there.

        Raises:
            SettingsError: they would ask for more than one GPU together.
            ServiceError: a process was killed.
        """
        if not items:
            return
        gpus = resources.gpus
        if gpus < 1 and self.workers * gpus > 1 + 1e-9:
            raise SettingsError(
                f"{self.workers} workers with {gpus:g} of a GPU each ask for {self.workers * gpus:g} GPUs, and processes of "
                f"one machine share one: set MIXWRIGHT_WORKERS (or --workers) to {max(int(1 / gpus), 1)}, or use Ray."
            )
        limit = at_a_time(self.workers, resources)
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.workers, multiprocessing.get_context("spawn"), _end_with_parent)
        # Processes start while items are submitted and while results are awaited.
        with pinned_environment():
            try:
                yield from _windowed(self._pool, function, items, len(items) if limit >= self.workers else limit)
            except BrokenExecutor as error:
                self.close()
                raise ServiceError(
                    "a worker process was killed (often: memory). Finished items are kept; use fewer workers and start the "
                    "same command again."
                ) from error
            except BaseException:
                self.close()
                raise

    def gpu_family(self) -> str:
        """Return the name of this machine's first GPU.

        Raises:
            SettingsError: torch finds none.
        """
        import torch

        if not torch.cuda.is_available():
            raise SettingsError(
                f"A GPU is asked for (MIXWRIGHT_DEVICE or MIXWRIGHT_GPUS_PER_PROCESS), and torch {torch.__version__} finds "
                f"none here{'' if torch.version.cuda else ': it is built for CPUs'}. Set them to cpu and 0, or run where "
                "there is one."
            )
        return str(torch.cuda.get_device_name(0))

    def close(self) -> None:
        """End the processes; what has not begun is not begun."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def map_distributed(
        self,
        function: DistributedCall,
        items: Sequence[Any],
        world_size: int,
        folder: Path,
        resources: Resources = USUAL,
        smaller: Sequence[int] = (),
    ) -> Iterator[tuple[int, None]]:
        """Yield (index of the item, None) as groups of `world_size` processes finish; on GPUs one group at a time.

        Raises:
            SettingsError: there are fewer GPUs than processes.
        """
        on_gpus = resources.gpus > 0
        if items and on_gpus and world_size > 1:
            world_size = _with_gpus((world_size, *smaller))
        if world_size == 1:
            yield from self.map(_Alone(function), items, resources)
        elif items:
            with pinned_environment():
                slots = 1 if on_gpus else min(max(1, self.workers // world_size), len(items))
                yield from local_map(function, items, world_size, slots, _end_with_parent, on_gpus=on_gpus)


@dataclass(frozen=True)
class _Alone:
    """A function of an item and a member, as a function of the item: nobody else works on it."""

    function: DistributedCall

    def __call__(self, item: Any) -> None:
        self.function(item, GroupMember())


def _with_gpus(sizes: Sequence[int]) -> int:
    """Return the first of some numbers of processes for which this machine has a GPU each."""
    import torch

    there = torch.cuda.device_count()
    if (found := next((size for size in sizes if size <= there), None)) is None:
        raise SettingsError(
            f"MIXWRIGHT_WORLD_SIZE asks for {sizes[0]} trainers with a GPU each, and this machine has {there}. Set it to "
            f"{max(there, 1)}, MIXWRIGHT_DEVICE to cpu, or use a Ray cluster."
        )
    return found


def _windowed(pool: ProcessPoolExecutor, function: Call, items: Sequence[Any], limit: int) -> Iterator[tuple[int, Any]]:
    """Yield (index, result) as items finish, with at most `limit` of them handed to the pool."""
    waiting = list(enumerate(items))[::-1]
    pending: dict[Future[Any], int] = {}
    while waiting or pending:
        while waiting and len(pending) < limit:
            index, item = waiting.pop()
            pending[pool.submit(function, item)] = index
        finished, _ = wait(pending, return_when=FIRST_COMPLETED)
        for future in sorted(finished, key=lambda done: pending[done]):
            yield pending.pop(future), future.result()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker has a parent"

    def watch() -> None:
        wait_for([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
