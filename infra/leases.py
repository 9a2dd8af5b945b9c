"""Leases: one process at a time, across processes and threads, freed by the kernel when the holder dies.

A lease is a lock of `filelock` (flock) on a small file. Nothing expires: a killed holder leaves a free lease, and a lease
that can be taken proves that nobody holds it. What is added here: the file holds who took it last, for the message to those
who wait in vain; and a file that is removed or replaced while it is held makes room for a second holder, so the first asks
before it commits, which `filelock` does not know.
"""

import errno
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from infra.disk import explained
from infra.errors import LeaseError

_POLL_S = 0.1
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}


class NoLocksError(LeaseError):
    """The file system of a lease knows no locks."""


@dataclass(frozen=True)
class Held:
    """A lease while it is held."""

    path: Path
    what: str
    descriptor: int

    def require(self) -> None:
        """Make sure that nobody else can hold this lease too: to be called right before something is committed.

        Raises:
            LeaseError: its file was removed or replaced, so that another may hold it; nothing may be committed.
        """
        if not _is_file(self.descriptor, self.path):
            raise LeaseError(
                f"{self.what}: {self.path} was removed or replaced while this process held it, and another may work on the "
                "same now. Nothing was recorded. Leave the files of `leases` alone, and start the same command again."
            )


@contextmanager
def lease(path: Path, what: str, timeout_s: float = 0.0, *, keep_file: bool = True) -> Iterator[Held]:
    """Hold the lease `path` while the block runs; wait for it up to `timeout_s` seconds.

    `what` names the work, for those who find the lease taken. Children do not inherit it. Without `keep_file` its file
    goes with it: for leases whose name is used once.

    Raises:
        LeaseError: another process or thread still holds it after `timeout_s`; says which and what it does.
        PlaceError: its folder cannot be written.

    """
    with explained(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock, held = _acquired(path, what, timeout_s)
    try:
        yield held
    finally:
        if not keep_file and _is_file(held.descriptor, path):
            with suppress(OSError):
                path.unlink()
        lock.release()


def holder_host(path: Path) -> str | None:
    """Return the name of the machine whose process took a lease last; None where nobody has signed it."""
    signed = _signed(path)
    return None if signed is None else signed["host"]


def _acquired(path: Path, what: str, timeout_s: float) -> tuple[FileLock, Held]:
    """Return the lock on the file that is at `path` now, signed."""
    taken: list[int] = []

    def sign(descriptor: int) -> None:
        taken.append(descriptor)
        _sign(descriptor, what)

    lock = FileLock(path, poll_interval=_POLL_S, thread_local=False, preserve_lock_file=True, on_acquired=sign)
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            lock.acquire(timeout=max(0.0, deadline - time.monotonic()))
        except Timeout:
            raise LeaseError(
                f"{what}: {_holder(path)} holds {path}, and still does after {timeout_s:g} s. Wait until it is done, "
                "or stop it; then start the same command again."
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            raise NoLocksError(
                f"{path}: this file system has no locks ({error.strerror}), so two runs could not be kept apart. Put "
                "MIXWRIGHT_HOME on one that has (a local disk, NFS 4)."
            ) from error
        if _is_file(taken[-1], path):
            return lock, Held(path, what, taken[-1])
        # Removed or replaced before we had it: a lock on what is no longer there keeps nobody out.
        lock.release()


def _is_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _sign(descriptor: int, what: str) -> None:
    text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "what": what})
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)


def _signed(path: Path) -> dict[str, str] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return {name: str(value[name]) for name in ("pid", "host", "what")}
    except (OSError, ValueError, KeyError, TypeError):
        # Between taking the lease and signing it there is a moment without a name.
        return None


def _holder(path: Path) -> str:
    signed = _signed(path)
    return "another process" if signed is None else f"process {signed['pid']} on {signed['host']} ({signed['what']})"
