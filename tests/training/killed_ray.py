"""The train stage by two data-parallel workers of Ray Train, as a program to be killed; and who its processes are.

python -m tests.training.killed_ray PLACE (stack | sharded) (RAY_CPUS | cluster) LEAST_WORKERS
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from infra.ray_executor import RayExecutor, ray_closed_after
from tasks.training.parallel.fsdp import Fsdp
from tasks.training.params import TrainParams
from tasks.training.stage import run
from tests.training.conftest import LENGTH, small_training
from tests.training.test_stage import workshop

STEPS = 240


def long_params(*, sharded: bool) -> TrainParams:
    """Return a run whose last checkpoint, with the optimizer's state, is published with it."""
    training = small_training(
        num_tokens=STEPS * 4 * LENGTH,
        checkpoint_every_steps=10,
        milestone_every_steps=STEPS,
        parallel=Fsdp() if sharded else None,
    )
    return TrainParams(training=training, num_seeds=1, mixtures=("natural",))


def processes_below(pid: int) -> dict[int, str]:
    """Return the command of each process that a process has started, and of those they have started."""
    parents, commands = dict[int, int](), dict[int, str]()
    for each in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(each.name)] = int((each / "stat").read_text().rpartition(")")[2].split()[1])
            commands[int(each.name)] = (each / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue

    def below(above: int) -> Iterator[int]:
        for child in [child for child, parent in parents.items() if parent == above]:
            yield child
            yield from below(child)

    return {child: commands[child] for child in below(pid)}


def kill(pid: int, victim: str) -> None:
    """Kill a driver, a worker of Ray Train, or a node with all that runs on it, that the driver `pid` has started."""
    if victim == "driver":
        os.kill(pid, signal.SIGKILL)
        return
    found = processes_below(pid)
    match victim:
        case "worker":
            workers = [child for child, command in found.items() if command.startswith("ray::RayTrainWorker")]
            assert len(workers) == 2, sorted(found.values())
            os.kill(workers[-1], signal.SIGKILL)
        case "node":
            # The last is a node without the driver, where there are several.
            *_, raylet = sorted(child for child, command in found.items() if "/raylet/raylet" in command)
            for child in [raylet, *processes_below(raylet)]:
                _killed(child)
        case _:
            raise ValueError(victim)


def _killed(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@contextmanager
def executor(where: str) -> Iterator[RayExecutor]:
    """Give a Ray of so many CPUs, or a cluster of two nodes with one CPU each."""
    if where != "cluster":
        yield RayExecutor(int(where))
        return
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    try:
        yield RayExecutor(2, cluster.address)
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    place, engine, where, least = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    with executor(where) as chosen, ray_closed_after():
        run(
            long_params(sharded=engine == "sharded"),
            inputs={"tokenize": place / "tokenize", "search": place / "search"},
            output=place / "train",
            workshop=replace(workshop(place, chosen, world_size=2), min_world_size=least),
        )
