"""Items on Ray: as tasks, or on actors that keep what they have loaded; one loop hands them out and takes their results."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from infra import ray_failures

# How often an item is given to another worker when its own has died.
_RETRIES = 3


def by_tasks(
    ray: Any, function: Callable[[Any], Any], items: Sequence[Any], limit: int, options: Mapping[str, Any]
) -> Iterator[tuple[int, Any]]:
    """Yield (index, result) as tasks finish; at most `limit` are in flight."""
    remote = ray.remote(max_retries=_RETRIES, **options)(function)
    yield from _finished(ray, items, limit, remote.remote, lambda reference: None)


def by_actors(
    ray: Any, function: Callable[[Any], Any], items: Sequence[Any], actors: int, options: Mapping[str, Any]
) -> Iterator[tuple[int, Any]]:
    """Yield (index, result) as actors finish, one item at a time each; one that dies is started again, with its item."""
    remote = ray.remote(max_restarts=_RETRIES, max_task_retries=_RETRIES, **options)(_Warm)
    every = [remote.remote() for _ in range(actors)]
    idle, busy = list(every), dict[Any, Any]()

    def submit(item: Any) -> Any:
        actor = idle.pop()
        reference = actor.call.remote(function, item)
        busy[reference] = actor
        return reference

    try:
        yield from _finished(ray, items, actors, submit, lambda reference: idle.append(busy.pop(reference)))
    finally:
        if not ray_failures.dead_processes():
            for actor in every:
                with suppress(ray.exceptions.RayError):
                    ray.kill(actor)


class _Warm:
    """An actor that does one item after another in one process, which keeps what the function has loaded."""

    def call(self, function: Callable[[Any], Any], item: Any) -> Any:
        return function(item)


def _finished(
    ray: Any, items: Sequence[Any], limit: int, submit: Callable[[Any], Any], release: Callable[[Any], None]
) -> Iterator[tuple[int, Any]]:
    """Yield (index, result) as references finish that `submit` gave; `release` is told of each that has its result."""
    waiting = list(enumerate(items))[::-1]
    running: dict[Any, int] = {}
    while waiting or running:
        done = f"{len(items) - len(waiting) - len(running)} of {len(items)} items were finished"
        with ray_failures.named(done):
            while waiting and len(running) < limit:
                index, item = waiting.pop()
                running[submit(item)] = index
            finished, _ = ray.wait(list(running), num_returns=1, timeout=ray_failures.LOOK_S)
        if not finished:
            ray_failures.require_alive(done)
        for reference in finished:
            index = running.pop(reference)
            result = _result(ray, reference, f"item {index} of {len(items)}")
            release(reference)
            yield index, result


def _result(ray: Any, reference: Any, what: str) -> Any:
    try:
        with ray_failures.named(what):
            return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
