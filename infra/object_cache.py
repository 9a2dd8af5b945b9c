"""Local copies of objects: by their digest, bounded, shared by all processes of a machine.

A process believes a copy after it has looked at its bytes once. Copies go by last use; what somebody was lent stays his
until he is done with it, because he has a link of his own.
"""

import atexit
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from hashlib import file_digest, sha256
from pathlib import Path
from typing import BinaryIO, TypeVar

from infra.disk import explained
from infra.errors import LeaseError, ObjectError
from infra.folders import new_folder
from infra.leases import lease

T = TypeVar("T")
# Gives the bytes of an object, block by block; False: there is none of that size.
Fetch = Callable[[Callable[[bytes], object]], bool]
_COPIES, _LENT = "objects", "lent"
# Between two looks at all copies, a process may add so much of what there is room for.
_LOOK_AFTER = 1 / 32
_FULL = {errno.ENOSPC, errno.EDQUOT}
# Fetched again once: it may have been spoilt on its way.
_TRIES = 2


@dataclass(frozen=True)
class Cache:
    """Copies of objects below `home`, at most `max_bytes` of them (and a little more while somebody adds some)."""

    home: Path
    max_bytes: int

    def open(self, digest: str, num_bytes: int, fetch: Fetch) -> BinaryIO:
        """Return an object as a stream.

        Raises:
            ObjectError: what is fetched has other bytes.
            SpaceError: the disk is full.
        """
        return self._use(digest, num_bytes, fetch, lambda path: path.open("rb"))

    def lend(self, digest: str, num_bytes: int, fetch: Fetch, target: Path) -> None:
        """Put an object at `target`, where it stays whatever becomes of the copy. Raises as `open` does."""
        self._use(digest, num_bytes, fetch, lambda path: _link(path, target))

    def take(self, path: Path, digest: str) -> None:
        """Keep a finished file as the copy of an object, where the file system can without copying."""
        entry = self._entry(digest)
        entry.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):
            os.link(path, entry)
            self._added(digest, entry)

    def _use(self, digest: str, num_bytes: int, fetch: Fetch, use: Callable[[Path], T]) -> T:
        entry = self._entry(digest)
        with suppress(FileNotFoundError):
            if self._is_good(entry, digest):
                return use(entry)
        # Another process may remove what we have just put there: it is used before.
        with new_folder(entry) as folder:
            draft = folder / "object"
            self._fill(draft, digest, num_bytes, fetch)
            used = use(draft)
            draft.replace(entry)
        self._added(digest, entry)
        return used

    def _fill(self, draft: Path, digest: str, num_bytes: int, fetch: Fetch) -> None:
        try:
            _fill(draft, digest, num_bytes, fetch)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            self._shrink(0)
            with explained(self.home):
                _fill(draft, digest, num_bytes, fetch)

    def _is_good(self, entry: Path, digest: str) -> bool:
        """Return whether a copy has the bytes it should have; one that has not is removed."""
        found = entry.stat()
        if _SEEN.get(digest) != _mark(found):
            with entry.open("rb") as stream:
                if file_digest(stream, "sha256").hexdigest() != digest:
                    entry.unlink()
                    return False
            _SEEN[digest] = _mark(found)
        # The time of the last change is of no use here, and DVC looks at it where the file is published.
        os.utime(entry, ns=(_now_ns(), found.st_mtime_ns))
        return True

    def _added(self, digest: str, entry: Path) -> None:
        with suppress(FileNotFoundError):
            found = entry.stat()
            _SEEN[digest] = _mark(found)
            _ADDED[self.home] = _ADDED.get(self.home, self.max_bytes) + found.st_size
        if _ADDED.get(self.home, 0) > self.max_bytes * _LOOK_AFTER:
            self._shrink(self.max_bytes)

    def _shrink(self, limit: int) -> None:
        """Remove the copies that nobody has used for longest, until the others are `limit` bytes together."""
        folder = self.home / _COPIES
        with suppress(LeaseError), lease(folder / "shrink.lock", "remove copies of objects"):
            found = sorted(_copies(folder))
            left = sum(size for _, size, _ in found)
            for _, size, path in found:
                if left <= limit:
                    break
                path.unlink(missing_ok=True)
                left -= size
            _ADDED[self.home] = 0

    def _entry(self, digest: str) -> Path:
        return self.home / _COPIES / digest[:2] / digest


# What this process has looked at, by digest; bytes that it added since its last look at all copies, by home.
_SEEN: dict[str, tuple[int, int, int]] = {}
_ADDED: dict[Path, int] = {}
_BORROWING: list[Path] = []


def lent_folder(home: Path) -> Path:
    """Return where this process keeps what it was lent: that of the innermost `borrowing`, or until it ends."""
    return _BORROWING[-1] if _BORROWING else _until_the_end(os.getpid(), home)


@contextmanager
def borrowing(home: Path) -> Iterator[None]:
    """Give back at the end of the block what was lent in it."""
    with new_folder(home / _LENT / "units" / "unit") as folder:
        _BORROWING.append(folder)
        try:
            yield
        finally:
            _BORROWING.remove(folder)


@cache
def _until_the_end(process: int, home: Path) -> Path:
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(new_folder(home / _LENT / "processes" / str(process)))


def _fill(draft: Path, digest: str, num_bytes: int, fetch: Fetch) -> None:
    for _ in range(_TRIES):
        state = sha256()
        with draft.open("wb") as stream:

            def write(block: bytes, stream: BinaryIO = stream, state: "object" = state) -> None:
                stream.write(block)
                state.update(block)  # type: ignore[attr-defined]

            if fetch(write) and state.hexdigest() == digest:
                return
    raise ObjectError(f"the object {digest} is missing, or is not what was written")


def _copies(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """Yield (last use, bytes, path) of all copies."""
    for path in folder.glob("??/[!.]*"):
        with suppress(FileNotFoundError):
            found = path.stat()
            yield found.st_atime_ns, found.st_size, path


def _link(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, target)
    except FileExistsError:
        return
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(path, target)


def _mark(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_size, found.st_mtime_ns


def _now_ns() -> int:
    import time

    return time.time_ns()
