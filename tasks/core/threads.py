"""One thread, whatever the libraries have taken for themselves."""

from contextlib import AbstractContextManager
from typing import Any


def one_thread() -> AbstractContextManager[Any]:
    """Give a block in which BLAS and OpenMP use one thread: Ray workers may have loaded them before they were pinned."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)  # type: ignore[no-any-return]
