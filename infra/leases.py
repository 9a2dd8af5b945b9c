"""Leases: one process at a time, across processes and threads, freed by the kernel when the holder dies.

A lease is an advisory lock (flock) on a small file that stays. Nothing expires and nothing has to be cleaned up: a
killed holder leaves a free lease. The file holds who took it last, for the message to those who wait in vain.
"""

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.errors import LeaseError

_POLL_S = 0.1


@contextmanager
def lease(path: Path, what: str, timeout_s: float = 0.0) -> Iterator[None]:
    """Hold the lease `path` while the block runs; wait for it up to `timeout_s` seconds.

    `what` names the work, for those who find the lease taken. Children do not inherit it.

    Raises:
        LeaseError: another process or thread still holds it after `timeout_s`; says which and what it does.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _acquire(descriptor, path, what, timeout_s)
        try:
            _sign(descriptor, what)
            yield
        finally:
            # Closing alone would leave it to a child that was forked meanwhile and still has its copy.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path, what: str, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not _try(descriptor):
        if time.monotonic() >= deadline:
            raise LeaseError(
                f"{what}: {_holder(path)} holds {path}, and still does after {timeout_s:g} s. Wait until it is done, "
                "or stop it; then start the same command again."
            )
        time.sleep(_POLL_S)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
            raise
        return False
    return True


def _sign(descriptor: int, what: str) -> None:
    text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "what": what})
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)


def _holder(path: Path) -> str:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return f"process {value['pid']} on {value['host']} ({value['what']})"
    except (ValueError, KeyError, TypeError):
        # Between taking the lease and signing it there is a moment without a name.
        return "another process"
