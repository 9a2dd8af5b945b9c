"""Units of work on Ray: its tasks, its actors, and Ray Train where several processes share a unit."""

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra import ray_failures
from infra.distributed import DistributedCall, ray_map
from infra.endings import sigterm_kept
from infra.errors import SettingsError
from infra.executors import PINNED_ENVIRONMENT, USUAL, Call, Resources, environment, pinned_environment
from infra.ray_local import LOOPBACK, local_environment, local_options
from infra.ray_room import resource_words, room_for
from infra.ray_tasks import by_actors, by_tasks

# How Ray names a kind of accelerator among a cluster's resources.
_ACCELERATOR = "accelerator_type:"


class RayExecutor:
    """Ray tasks with a bounded window. Ray is started, or joined at `address`, by the first map that has work to do.

    Who uses it decides when Ray ends: see `ray_closed_after`.
    """

    def __init__(self, workers: int, address: str | None = None) -> None:
        self.workers = workers
        self._address = address

    def map(
        self, function: Call, items: Sequence[Any], resources: Resources = USUAL, *, warm: bool = False
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
        resources: Resources = USUAL,
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
    with environment(own):
        import ray

    if ray.is_initialized():
        return ray
    with pinned_environment(), environment(own), sigterm_kept(), ray_failures.started():
        ray.init(
            address=address or "local",
            log_to_driver=False,
            logging_level=logging.WARNING,
            runtime_env={"env_vars": dict(PINNED_ENVIRONMENT)},
            **(local_options(workers) if address is None else {}),
        )
    return ray


def _ray_options(resources: Resources) -> dict[str, Any]:
    memory = {"memory": resources.memory_bytes} if resources.memory_bytes else {}
    return {"num_cpus": resources.cpus, "num_gpus": resources.gpus, **memory}


def _train_resources(resources: Resources) -> dict[str, float]:
    memory = {"memory": float(resources.memory_bytes)} if resources.memory_bytes else {}
    return {"CPU": resources.cpus, **({"GPU": resources.gpus} if resources.gpus else {}), **memory}
