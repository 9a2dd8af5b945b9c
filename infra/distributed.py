"""Items that several processes work on together: a group of processes per item, joined by gloo, on GPUs by NCCL too.

Locally each item gets processes of its own. On Ray one `TorchTrainer` (Ray Train) holds all workers of a map; it is
divided into slots of `world_size` workers, and each slot takes every n-th item. What is finished is known to the
caller's function, not here: a restarted worker group calls it again for every item.

Where smaller groups are allowed, Ray Train is given a range of workers: it starts again with those that the cluster has
left, and with more when they come back.
"""

import multiprocessing
import os
import pickle
import shutil
import socket
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_EXCEPTION,
    BrokenExecutor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    as_completed,
    wait,
)
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from infra import ray_failures
from infra.errors import ServiceError
from infra.ray_room import Patience

_FAILURES = 3
# How often a range of workers is compared with what the cluster has: a larger group begins at the last checkpoint (a guess).
_RESIZED_EVERY_S = 600.0
_POLL_S = 0.2


@dataclass(frozen=True)
class GroupMember:
    """A process's place among those that work on one item; `group` is torch's process group (None = the default)."""

    size: int = 1
    rank: int = 0
    group: Any = None


DistributedCall = Callable[[Any, GroupMember], Any]
Initializer = Callable[[], None]


def local_map(
    function: DistributedCall,
    items: Sequence[Any],
    world_size: int,
    slots: int,
    initializer: Initializer,
    *,
    on_gpus: bool = False,
) -> Iterator[tuple[int, None]]:
    """Yield (index, None) as items finish; `slots` items at a time, each by `world_size` new processes.

    `on_gpus`: process r has this machine's GPU r.

    The first error stops the map and is raised.
    """
    stopped = threading.Event()
    with ThreadPoolExecutor(slots) as threads:
        futures = {
            threads.submit(_together, function, item, world_size, initializer, stopped, on_gpus): index
            for index, item in enumerate(items)
        }
        try:
            for future in as_completed(futures):
                future.result()
                yield futures[future], None
        finally:
            stopped.set()
            threads.shutdown(cancel_futures=True)


def _together(
    function: DistributedCall,
    item: Any,
    world_size: int,
    initializer: Initializer,
    stopped: threading.Event,
    on_gpus: bool,
) -> None:
    """Run one item in `world_size` processes that meet in a file; raise what one of them raised."""
    if stopped.is_set():
        return
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(world_size, context, initializer) as pool:
        joining, meeting = [GroupMember(world_size, rank) for rank in range(world_size)], f"file://{folder}/meeting"
        ranks = [pool.submit(_joined, function, item, member, meeting, on_gpus) for member in joining]
        wait(ranks, return_when=FIRST_EXCEPTION)
        errors = [error for rank in ranks if (error := rank.exception()) is not None]
    if errors:
        # When one process fails, its partners fail too, with torch's RuntimeError about a lost connection.
        first = min(errors, key=lambda error: isinstance(error, RuntimeError))
        if isinstance(first, BrokenExecutor):
            raise ServiceError(
                "a worker process was killed (often: memory). Finished work is kept; use fewer workers and start the "
                "same command again."
            ) from first
        raise first


def _joined(function: DistributedCall, item: Any, member: GroupMember, meeting: str, on_gpus: bool) -> None:
    import torch
    import torch.distributed as dist

    if any(name == "lo" for _, name in socket.if_nameindex()):
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    if on_gpus:
        torch.cuda.set_device(member.rank)
    dist.init_process_group(_backend(on_gpus), init_method=meeting, rank=member.rank, world_size=member.size)
    try:
        function(item, member)
    finally:
        dist.destroy_process_group()


def _backend(on_gpus: bool) -> str:
    """Return what tensors travel by: those of GPUs by NCCL, those of the host by gloo."""
    return "cpu:gloo,cuda:nccl" if on_gpus else "gloo"


class _Board:
    """An actor that all workers and the driver see: what is finished, and the error that ends the map."""

    def __init__(self) -> None:
        self._finished: list[int] = []
        self._error: bytes | None = None

    def finish(self, index: int) -> None:
        if index not in self._finished:
            self._finished.append(index)

    def fail(self, error: bytes) -> None:
        self._error = self._error or error

    def failed(self) -> bool:
        return self._error is not None

    def news(self, seen: int) -> tuple[list[int], bytes | None]:
        return self._finished[seen:], self._error


def ray_map(
    function: DistributedCall,
    items: Sequence[Any],
    sizes: Sequence[int],
    slots: int,
    folder: Path,
    resources_per_worker: Mapping[str, float],
) -> Iterator[tuple[int, None]]:
    """Yield (index, None) as items finish, in the workers of one `TorchTrainer`; its own files go to `folder`.

    `sizes`: how many workers a group has, and smaller numbers that may do, the largest first.

    Raises:
        ServiceError: workers died more often than is plausible, a part of Ray died, or the cluster has had no room for the
            smallest group for too long.
    """
    # Read when ray.train is imported: the second generation of Ray Train, without its state export.
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    import ray

    # Beside the driver, whose end it does not outlive: a node may be lost, with the workers on it.
    here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
    board: Any = ray.remote(num_cpus=0, label_selector=here)(_Board).remote()
    own = folder.absolute() / f"map-{uuid.uuid4().hex[:8]}"
    work = {"function": function, "items": list(items), "sizes": tuple(sizes), "board": board}
    fit = partial(_fit, work, slots, own, resources_per_worker)
    try:
        yield from _news(
            board,
            _in_background(partial(fit_again_after_deaths, fit)),
            len(items),
            Patience(sizes[-1], resources_per_worker),
        )
    finally:
        # Without its board no worker goes on: who stops the map early waits for nobody.
        if not ray_failures.dead_processes():
            with suppress(ray.exceptions.RayError):
                ray.kill(board)
        shutil.rmtree(own, ignore_errors=True)


def _fit(
    work: Mapping[str, Any], slots: int, folder: Path, resources_per_worker: Mapping[str, float], attempt: int
) -> None:
    """Let the workers of one `TorchTrainer` do the work; its own files go to a folder of this attempt."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    on_gpus, sizes = "GPU" in resources_per_worker, work["sizes"]
    most = slots * sizes[0]
    # Annotated as the first generation's, which knows no range of workers.
    scaling: Any = ScalingConfig
    TorchTrainer(
        _worker_loop,
        train_loop_config={**work, "on_gpus": on_gpus},
        torch_config=TorchConfig(backend=_backend(on_gpus)),
        scaling_config=scaling(
            num_workers=most if len(sizes) == 1 else (sizes[-1], most),
            use_gpu=on_gpus,
            resources_per_worker=dict(resources_per_worker),
            elastic_resize_monitor_interval_s=_RESIZED_EVERY_S,
        ),
        run_config=RunConfig(
            name=f"attempt-{attempt}", storage_path=str(folder), failure_config=FailureConfig(max_failures=_FAILURES)
        ),
    ).fit()


def fit_again_after_deaths(fit: Callable[[int], None]) -> None:
    """Call `fit` with the number of the attempt; again, as often as workers may die, where one died at a bad moment.

    Ray Train starts the group of a dead worker again, unless its controller was just speaking to that worker: this it takes
    for a failure of its own, and ends.
    """
    from ray.exceptions import RayActorError
    from ray.train import ControllerError

    for attempt in range(_FAILURES + 1):
        try:
            return fit(attempt)
        except ControllerError as error:
            if attempt == _FAILURES or not isinstance(error.controller_failure, RayActorError):
                raise


def _in_background(work: Callable[[], Any]) -> "Future[Any]":
    """Start work in a thread that does not keep the process from ending: a trainer whose Ray is dead may never return."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def _news(board: Any, fitted: "Future[Any]", num_items: int, patience: Patience) -> Iterator[tuple[int, None]]:
    import ray
    from ray.train import TrainingFailedError

    seen = 0
    while True:
        ended = bool(wait([fitted], timeout=_POLL_S).done)
        done = f"{seen} of {num_items} items were finished"
        with ray_failures.named(done):
            try:
                finished, error = ray.get(board.news.remote(seen), timeout=ray_failures.LOOK_S)
            except ray.exceptions.GetTimeoutError:
                ray_failures.require_alive(done)
                continue
        seen += len(finished)
        yield from ((index, None) for index in finished)
        if not ended:
            with ray_failures.named(done):
                patience.look(ray.nodes)
            continue
        if error is not None:
            raise pickle.loads(error)  # noqa: S301 (made by our own workers, in this Ray session)
        trouble = fitted.exception()
        if isinstance(trouble, TrainingFailedError):
            raise ServiceError(
                f"Ray Train gave up after {_FAILURES} restarts, {seen} of {num_items} items were finished: {trouble}. "
                "Finished items are kept and unfinished ones go on from their checkpoints: start the same command "
                "again, with fewer workers if memory ran out."
            ) from trouble
        with ray_failures.named(done):
            fitted.result()
        return


def _worker_loop(config: dict[str, Any]) -> None:
    """Work on every item of this worker's slot, in each worker of the trainer."""
    import ray
    import ray.train
    import torch.distributed as dist

    context, board = ray.train.get_context(), config["board"]
    if config["on_gpus"]:
        import torch
        from ray.train.torch import get_device

        torch.cuda.set_device(get_device())
    rank, workers = context.get_world_rank(), context.get_world_size()
    size = next(each for each in config["sizes"] if each <= workers)
    slots = workers // size
    # Every worker takes part in making every group, in the same order: gloo asks for that.
    members = [list(range(slot * size, (slot + 1) * size)) for slot in range(slots)]
    groups = [dist.new_group(ranks) for ranks in members] if size > 1 else [None] * slots
    if rank >= slots * size:
        # One of too few for another group.
        return
    slot, member = rank // size, GroupMember(size, rank % size, groups[rank // size])
    for index in range(slot, len(config["items"]), slots):
        if ray.get(board.failed.remote()):
            return
        try:
            config["function"](config["items"][index], member)
        except RuntimeError:
            # A lost partner or worker: Ray Train starts the group again, finished items are taken from the store.
            raise
        except Exception as error:
            # What the function refuses it would refuse again: the first error ends the map.
            ray.get(board.fail.remote(_pickled(error)))
            raise
        if member.rank == 0:
            ray.get(board.finish.remote(index))


def _pickled(error: Exception) -> bytes:
    try:
        return pickle.dumps(error)
    except Exception:
        return pickle.dumps(ServiceError(f"{type(error).__name__}: {error}"))
