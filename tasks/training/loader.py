"""Reading ahead: threads read the next samples while a step is made. What they read does not depend on how many they are."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

# Threads that read the next steps of a GPU; a CPU's one thread reads each step itself.
_GPU_WORKERS = 2

T = TypeVar("T")
Read = Callable[[int, int], T]


def workers_for(device: str) -> int:
    """Return how many threads read ahead for a device."""
    return 0 if device == "cpu" else _GPU_WORKERS


@contextmanager
def prefetched(read: Read[T], ranges: Iterable[tuple[int, int]], *, workers: int, ahead: int) -> Iterator[Iterator[T]]:
    """Give an iterator over what `read` returns for each range of samples, in order.

    `workers` threads read up to `ahead` ranges before they are asked for; no workers = each when it is asked for. Threads
    do, because gathering rows of memory maps, where the time goes, waits for pages without Python's lock.
    """
    if workers == 0:
        yield (read(*each) for each in ranges)
        return
    threads = ThreadPoolExecutor(workers, thread_name_prefix="loader")
    try:
        yield _in_order(threads, read, iter(ranges), ahead)
    finally:
        threads.shutdown(wait=True, cancel_futures=True)


def _in_order(threads: ThreadPoolExecutor, read: Read[T], ranges: Iterator[tuple[int, int]], ahead: int) -> Iterator[T]:
    waiting: deque[Future[T]] = deque(threads.submit(read, *each) for each in islice(ranges, ahead))
    while waiting:
        batch = waiting.popleft().result()
        waiting.extend(threads.submit(read, *each) for each in islice(ranges, 1))
        yield batch
