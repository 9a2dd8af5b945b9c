"""Where units of work run: processes of this machine, or Ray. Same interface, same bytes.

Every worker is started with the same pinned environment, so that a float sum has the same order wherever it runs.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from infra.distributed import DistributedCall

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


@dataclass(frozen=True)
class Resources:
    """What one item needs while it runs: CPUs, a share of a GPU, bytes of memory (0: no more than any item)."""

    cpus: int = 1
    gpus: float = 0.0
    memory_bytes: int = 0


# One CPU, no GPU, as much memory as any item.
USUAL = Resources()


class Executor(Protocol):
    """Maps a module-level function over small, picklable items. Results come in the order they finish."""

    @property
    def workers(self) -> int:
        """How many items run at the same time."""

    def map(
        self, function: Call, items: Sequence[Any], resources: Resources = USUAL, *, warm: bool = False
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
        resources: Resources = USUAL,
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


def executor_of(kind: Literal["local", "ray"], workers: int, address: str | None = None) -> Executor:
    """Return the executor that the settings ask for."""
    # Both take from this module what they share.
    from infra.local_executor import LocalExecutor
    from infra.ray_executor import RayExecutor

    return LocalExecutor(workers) if kind == "local" else RayExecutor(workers, address)


@contextmanager
def pinned_environment() -> Iterator[None]:
    """Set the workers' environment while they are started, and put back what was there."""
    with environment(PINNED_ENVIRONMENT):
        yield


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables while the block runs, and put back what was there."""
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
