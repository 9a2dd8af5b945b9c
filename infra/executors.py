"""Where units of work run: processes of this machine, or Ray. Same interface, same bytes.

Every worker is started with the same pinned environment, so that a float sum has the same order wherever it runs.
"""

import logging
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any, Literal, Protocol

from infra import ray_failures
from infra.distributed import DistributedCall, GroupMember, local_map, ray_map
from infra.endings import sigterm_kept
from infra.errors import ServiceError, SettingsError
from infra.ray_local import LOOPBACK, local_environment, local_options
from infra.ray_room import resource_words, room_for
from infra.ray_tasks import by_actors, by_tasks

# One thread per worker: results do not depend on how many cores a machine has, and workers do not disturb each other.
# Passive waiting and huge pages: first-touch page faults dominate eager training on CPU (measured, docs/training.md).
PINNED_ENVIRONMENT: Mapping[str, str] = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "TOKENIZERS_PARALLELISM": "false",
    "RAYON_NUM_THREADS": "1",
    "THP_MEM_ALLOC_ENABLE": "1",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=100000000000:"
    "glibc.malloc.top_pad=268435456:glibc.malloc.arena_max=1",
}

Call = Callable[[Any], Any]
# How Ray names a kind of accelerator among a cluster's resources.
_ACCELERATOR = "accelerator_type:"


@dataclass(frozen=True)
class Resources:
    """What one item needs while it runs: CPUs, a share of a GPU, bytes of memory (0: no more than any item)."""

    cpus: int = 1
    gpus: float = 0.0
    memory_bytes: int = 0


class Executor(Protocol):
    """Maps a module-level function over small, picklable items. Results come in the order they finish."""

    @property
    def workers(self) -> int:
        """How many items run at the same time."""

    def map(
        self, function: Call, items: Sequence[Any], resources: Resources = Resources(), *, warm: bool = False
    ) -> Iterator[tuple[int, Any]]:
        """Yield (index of the item, result). The first error stops the map and is raised.

        Each item is given `resources`. `warm`: the workers are kept from item to item, with what the function has loaded.
        """

    def map_distributed(
        self,
        function: DistributedCall,
        items: Sequence[Any],
        world_size: int,
        folder: Path,
        resources: Resources = Resources(),
        smaller: Sequence[int] = (),
    ) -> Iterator[tuple[int, None]]:
        """Yield (index of the item, None); `world_size` processes call `function(item, member)` together for each item.

        As many items run at a time as whole groups fit into `workers`. `folder` is for the executor's own files;
        `resources` are those of each process. Where there is no room for a whole group, it has one of the `smaller`
        numbers of processes, the largest first.
        """

    def gpu_family(self) -> str:
        """Return the kind of GPU that items with a share of one run on, such as `NVIDIA H200`."""

    def close(self) -> None:
        """End what the maps have started and nobody else uses."""


class LocalExecutor:
    """Processes of this machine (spawn), started by the first map and kept for the next; they end with their parent."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def map(
        self, function: Call, items: Sequence[Any], resources: Resources = Resources(), *, warm: bool = False
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
        resources: Resources = Resources(),
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


class RayExecutor:
    """Ray tasks with a bounded window. Ray is started, or joined at `address`, by the first map that has work to do.

    Who uses it decides when Ray ends: see `ray_closed_after`.
    """

    def __init__(self, workers: int, address: str | None = None) -> None:
        self.workers = workers
        self._address = address

    def map(
        self, function: Call, items: Sequence[Any], resources: Resources = Resources(), *, warm: bool = False
    ) -> Iterator[tuple[int, Any]]:
        """Yield (index of the item, result) as tasks finish; at most two items per worker are in flight.

        Warm workers are actors, one item each at a time; one that dies is started again, with its item.

        Raises:
            ServiceError: Ray did not start, or a part of it died.
        """
        if not items:
            return
        ray = _connected(self.workers, self._address)
        options = _ray_options(resources)
        if warm:
            yield from by_actors(ray, function, items, min(self.workers, len(items)), options)
        else:
            yield from by_tasks(ray, function, items, 2 * self.workers, options)

    def map_distributed(
        self,
        function: DistributedCall,
        items: Sequence[Any],
        world_size: int,
        folder: Path,
        resources: Resources = Resources(),
        smaller: Sequence[int] = (),
    ) -> Iterator[tuple[int, None]]:
        """Yield (index of the item, None) as the slots of one `TorchTrainer` finish.

        Raises:
            SettingsError: a Ray of this machine has no room for a group, and never will.
            ServiceError: see `ray_map`.
        """
        if not items:
            return
        ray, sizes, each = _connected(self.workers, self._address), (world_size, *smaller), _train_resources(resources)
        room = room_for(ray.nodes(), each)
        if room < sizes[-1] and self._address is None:
            raise SettingsError(
                f"MIXWRIGHT_WORLD_SIZE asks for {world_size} trainers with {resource_words(each)} each, and the Ray of this "
                f"machine has room for {room} (MIXWRIGHT_WORKERS is {self.workers}, the CPUs it is given). Set "
                f"{f'MIXWRIGHT_WORLD_SIZE to {room}' if room else 'MIXWRIGHT_DEVICE to cpu'}, raise MIXWRIGHT_WORKERS if it "
                "is CPUs that are missing, or name a cluster with MIXWRIGHT_RAY_ADDRESS."
            )
        slots = min(max(1, self.workers // world_size), len(items), max(1, room // world_size))
        yield from ray_map(function, items, sizes, slots, folder, each)

    def gpu_family(self) -> str:
        """Return the kind of GPU that the cluster has.

        Raises:
            SettingsError: it has none, or several kinds, whose results would differ under one key.
        """
        kinds = sorted(
            name.removeprefix(_ACCELERATOR)
            for name in _connected(self.workers, self._address).cluster_resources()
            if name.startswith(_ACCELERATOR)
        )
        if len(kinds) != 1:
            raise SettingsError(
                f"A GPU is asked for (MIXWRIGHT_DEVICE or MIXWRIGHT_GPUS_PER_PROCESS), and this Ray cluster has "
                f"{len(kinds)} kinds of GPU ({', '.join(kinds) or 'none'}). Use one with GPUs of one kind, or set them to "
                "cpu and 0."
            )
        return str(kinds[0])

    def close(self) -> None:
        """Leave Ray as it is: other executors of this process use it too."""


def executor_of(kind: Literal["local", "ray"], workers: int, address: str | None = None) -> Executor:
    """Return the executor that the settings ask for."""
    return LocalExecutor(workers) if kind == "local" else RayExecutor(workers, address)


@contextmanager
def ray_closed_after() -> Iterator[None]:
    """Leave Ray as it was found: shut it down at the end if the block started or joined it."""
    before = "ray" in sys.modules and sys.modules["ray"].is_initialized()
    try:
        yield
    finally:
        if not before and "ray" in sys.modules:
            with sigterm_kept():
                sys.modules["ray"].shutdown()


def _connected(workers: int, address: str | None) -> Any:
    """Return the `ray` module with a session: the one there is, a new local one, or the cluster at `address`."""
    if "ray" not in sys.modules:
        # Ray reads both when it is imported: no usage statistics, and authentication on, unless the user said otherwise.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        if address is not None:
            # Set by a local Ray that this process is a worker of; a cluster has more nodes than this machine.
            os.environ.pop(LOOPBACK, None)
    own = {} if address else local_environment()
    with _environment(own):
        import ray

    if ray.is_initialized():
        return ray
    with pinned_environment(), _environment(own), sigterm_kept(), ray_failures.started():
        ray.init(
            address=address or "local",
            log_to_driver=False,
            logging_level=logging.WARNING,
            runtime_env={"env_vars": dict(PINNED_ENVIRONMENT)},
            **(local_options(workers) if address is None else {}),
        )
    return ray


@contextmanager
def pinned_environment() -> Iterator[None]:
    """Set the workers' environment while they are started, and put back what was there."""
    with _environment(PINNED_ENVIRONMENT):
        yield


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def at_a_time(workers: int, resources: Resources) -> int:
    """Return how many items run at the same time on one machine with so many workers, at least 1; one has a whole GPU.

    >>> at_a_time(8, Resources(cpus=3))
    2
    """
    limit = workers // max(resources.cpus, 1) if resources.gpus < 1 else 1
    if resources.memory_bytes:
        limit = min(limit, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // resources.memory_bytes)
    return max(limit, 1)


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


def _ray_options(resources: Resources) -> dict[str, Any]:
    memory = {"memory": resources.memory_bytes} if resources.memory_bytes else {}
    return {"num_cpus": resources.cpus, "num_gpus": resources.gpus, **memory}


def _train_resources(resources: Resources) -> dict[str, float]:
    memory = {"memory": float(resources.memory_bytes)} if resources.memory_bytes else {}
    return {"CPU": resources.cpus, **({"GPU": resources.gpus} if resources.gpus else {}), **memory}


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker has a parent"

    def watch() -> None:
        wait_for([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
