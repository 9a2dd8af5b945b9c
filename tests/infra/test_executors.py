"""Local processes and Ray tasks: the same results, errors and pinned environment; and whose code they run."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.distributed import GroupMember, fit_again_after_deaths
from infra.errors import ServiceError, SettingsError
from infra.executors import PINNED_ENVIRONMENT, Executor, Resources, at_a_time, executor_of
from infra.local_executor import LocalExecutor
from infra.ray_executor import RayExecutor, ray_closed_after
from infra.ray_local import local_options


def double(number: int) -> int:
    return 2 * number


def stumble(number: int) -> int:
    if number == 3:
        raise ValueError("item 3 is bad")
    return number


def environment(_: int) -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in PINNED_ENVIRONMENT}


def packages(_: int) -> list[str]:
    import flows
    import infra
    import tasks

    return [str(Path(str(package.__file__)).resolve()) for package in (flows, infra, tasks)]


@pytest.fixture(scope="module")
def ray_executor() -> Iterator[Executor]:
    """One Ray for all that needs no end of it; it believes in a GPU."""
    with ray_closed_after(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("infra.ray_executor.local_options", lambda workers: {**local_options(workers), "num_gpus": 1})
        yield executor_of("ray", 2)


@pytest.fixture(scope="module", params=[pytest.param("local"), pytest.param("ray", marks=pytest.mark.ray)])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    if request.param == "ray":
        yield request.getfixturevalue("ray_executor")
    else:
        made = executor_of("local", 2)
        yield made
        made.close()


def _all(executor: Executor, function: Any, count: int) -> list[Any]:
    return [result for _, result in sorted(executor.map(function, list(range(count))))]


def test_every_item_has_its_result(executor: Executor) -> None:
    assert _all(executor, double, 9) == [0, 2, 4, 6, 8, 10, 12, 14, 16]
    assert _all(executor, double, 0) == []


def test_the_error_of_an_item_is_raised_as_it_was(executor: Executor) -> None:
    with pytest.raises(ValueError, match="item 3 is bad"):
        _all(executor, stumble, 6)
    assert _all(executor, double, 2) == [0, 2]


COUNTED: list[int] = []


def counted(item: tuple[int, str]) -> tuple[int, int]:
    """Return the process and how many items it has done; the third item kills its first worker."""
    number, mark = item
    if number == 2 and not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    COUNTED.append(number)
    return os.getpid(), len(COUNTED)


def test_warm_workers_keep_what_they_have_from_item_to_item(executor: Executor, tmp_path: Path) -> None:
    (tmp_path / "alive").touch()
    results = [
        result
        for _, result in executor.map(counted, [(number, str(tmp_path / "alive")) for number in range(10)], warm=True)
    ]
    processes = {process for process, _ in results}
    assert 1 <= len(processes) <= 2
    # Each process counted on from item to item: none began anew.
    assert sum(max(count for process, count in results if process == own) for own in processes) >= len(results)


@pytest.mark.ray
def test_an_item_whose_warm_worker_dies_is_done_by_the_next(ray_executor: Executor, tmp_path: Path) -> None:
    items = [(number, str(tmp_path / "killed")) for number in range(6)]
    results = list(ray_executor.map(counted, items, Resources(memory_bytes=1 << 20), warm=True))
    assert sorted(index for index, _ in results) == list(range(6))
    assert (tmp_path / "killed").exists()


def test_as_many_items_run_at_a_time_as_there_are_cpus_and_memory_for() -> None:
    assert [at_a_time(8, Resources(cpus=cpus)) for cpus in (1, 2, 3, 16)] == [8, 4, 2, 1]
    assert at_a_time(8, Resources(memory_bytes=1 << 60)) == 1


def test_workers_are_pinned_and_this_process_is_not(executor: Executor) -> None:
    before = {name: os.environ.get(name) for name in PINNED_ENVIRONMENT}
    assert _all(executor, environment, 1) == [dict(PINNED_ENVIRONMENT)]
    assert {name: os.environ.get(name) for name in PINNED_ENVIRONMENT} == before


def test_workers_import_this_repositorys_packages(executor: Executor, project: Path) -> None:
    expected = [str(project / name / "__init__.py") for name in ("flows", "infra", "tasks")]
    assert _all(executor, packages, 2) == [expected, expected]


def end(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_is_killed_is_a_named_error_and_the_next_map_works() -> None:
    executor = LocalExecutor(1)
    with pytest.raises(ServiceError, match=r"a worker process was killed .*Finished items are kept"):
        list(executor.map(end, [0]))
    assert list(executor.map(double, [4])) == [(0, 8)]
    executor.close()


def test_processes_of_one_machine_ask_for_no_more_than_its_gpu() -> None:
    with pytest.raises(
        SettingsError, match=r"4 workers with 0.5 of a GPU each ask for 2 GPUs.*MIXWRIGHT_WORKERS .*to 2"
    ):
        list(LocalExecutor(4).map(given_gpus, [0], Resources(gpus=0.5)))


def test_a_whole_gpu_is_for_one_item_at_a_time() -> None:
    assert at_a_time(4, Resources(gpus=1.0)) == 1
    assert at_a_time(4, Resources(gpus=0.25)) == 4


def test_more_trainers_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(SettingsError, match=r"4 trainers with a GPU each, and this machine has 2\. Set it to 2"):
        list(LocalExecutor(4).map_distributed(double_by, [0], 4, tmp_path, Resources(gpus=1.0)))
    with pytest.raises(SettingsError, match="4 trainers"):
        list(LocalExecutor(4).map_distributed(double_by, [0], 4, tmp_path, Resources(gpus=1.0), (3,)))


def test_a_group_that_may_be_smaller_has_as_many_as_there_are_gpus(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = list[int]()
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    monkeypatch.setattr("infra.local_executor.local_map", lambda *arguments, **_: asked.append(arguments[2]) or [])
    list(LocalExecutor(4).map_distributed(double_by, [0], 8, tmp_path, Resources(gpus=1.0), (4, 2, 1)))
    assert asked == [2]


def double_by(item: int, member: object) -> None:
    """Stand for work that must not begin."""
    raise AssertionError(item)


def given_gpus(_: int) -> tuple[list[str], str | None]:
    """Return the GPUs that Ray gave to this task, and what CUDA is told."""
    import ray

    return list(ray.get_runtime_context().get_accelerator_ids()["GPU"]), os.environ.get("CUDA_VISIBLE_DEVICES")


@pytest.mark.ray
def test_ray_gives_a_task_the_share_of_a_gpu_it_asks_for_and_none_where_none_is_asked(ray_executor: Executor) -> None:
    shared = sorted(ray_executor.map(given_gpus, [0, 1], Resources(gpus=0.5)))
    assert shared == [(0, (["0"], "0")), (1, (["0"], "0"))]
    assert [gpus for _, (gpus, _) in ray_executor.map(given_gpus, [0])] == [[]]


@pytest.mark.ray
def test_a_worker_that_dies_while_the_controller_speaks_to_it_is_no_end_and_other_failures_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_TRAIN_V2_ENABLED", "1")
    from ray.exceptions import RayActorError
    from ray.train import ControllerError

    attempts = list[int]()

    def fit(attempt: int) -> None:
        attempts.append(attempt)
        if failures:
            raise ControllerError(failures.pop())

    failures: list[Exception] = [RayActorError(), RayActorError()]
    fit_again_after_deaths(fit)
    assert attempts == [0, 1, 2]
    failures = [RayActorError()] * 9
    with pytest.raises(ControllerError):
        fit_again_after_deaths(fit)
    assert attempts[3:] == [0, 1, 2, 3]
    failures = [ValueError("the controller's own")]
    with pytest.raises(ControllerError):
        fit_again_after_deaths(fit)
    assert attempts[7:] == [0]


def die_once(item: tuple[Path, int], member: GroupMember) -> None:
    """Kill this worker at the second item, the first time; note who worked on what."""
    folder, number = item
    if number == 1 and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    with (folder / str(number)).open("a") as stream:
        stream.write("x")


# Ray Train calls what it has deprecated itself, and leaves the pipes of the processes it starts to the garbage collector.
@pytest.mark.ray
@pytest.mark.filterwarnings(
    "ignore:.use_\\w+. is deprecated:DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.usefixtures("ray_executor")
def test_a_ray_train_worker_that_is_killed_is_started_again(tmp_path: Path) -> None:
    items = [(tmp_path, number) for number in range(3)]
    finished = [index for index, _ in RayExecutor(1).map_distributed(die_once, items, 1, tmp_path / "groups")]
    assert sorted(finished) == [0, 1, 2]
    assert [(tmp_path / str(number)).read_text() for number in range(3)] == ["xx", "x", "x"]
