"""Attempts and atomic folders: nothing is visible until it is whole.

Finished work lives in a content-keyed store outside the DVC outputs, one folder per key. An attempt writes into a
folder of its own and is moved into place with one rename, so that a crash anywhere leaves nothing half done.
"""

import errno
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.errors import SpaceError

_ATTEMPT = ".attempt-"
# No unit works for a day without writing; a guess on the safe side.
_ABANDONED_S = 86_400.0


class AttemptStore:
    """Finished attempts by key, in a folder that every worker can reach."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, stage: str, key: str) -> Path | None:
        """Return the folder of a finished attempt, or None."""
        path = self._path(stage, key)
        return path if path.is_dir() else None

    @contextmanager
    def attempt(self, stage: str, key: str) -> Iterator[Path]:
        """Give a new empty folder; when the block ends without error it becomes the attempt called `key`.

        If another attempt was faster its result stays: the same key means the same bytes.

        Raises:
            SpaceError: the disk is full; names the folder.
        """
        final = self._path(stage, key)
        with new_folder(final) as folder:
            yield folder
            fsync_tree(folder)
            try:
                folder.rename(final)
            except OSError as error:
                if error.errno not in {errno.EEXIST, errno.ENOTEMPTY}:
                    raise

    def discard(self, stage: str, key: str) -> None:
        """Remove an attempt, because its content was found to be damaged."""
        shutil.rmtree(self._path(stage, key), ignore_errors=True)

    def sweep(self, older_than_s: float = _ABANDONED_S) -> int:
        """Remove what killed workers left unfinished and nobody has touched for so long; return how many attempts."""
        limit = time.time() - older_than_s
        stale = [path for path in self.root.glob(f"*/*/{_ATTEMPT}*") if path.stat().st_mtime < limit]
        for path in stale:
            shutil.rmtree(path, ignore_errors=True)
        return len(stale)

    def _path(self, stage: str, key: str) -> Path:
        return self.root / stage / key[:2] / key


@contextmanager
def new_folder(beside: Path) -> Iterator[Path]:
    """Give an empty folder next to `beside` (the same file system), removed at the end if it is still there."""
    folder = beside.parent / f"{_ATTEMPT}{beside.name}-{uuid.uuid4().hex[:8]}"
    try:
        folder.mkdir(parents=True)
        yield folder
    except OSError as error:
        raise _explained(error, folder) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def replace_folder(target: Path) -> Iterator[Path]:
    """Give an empty folder that takes the place of `target` when the block ends without error."""
    for stale in target.parent.glob(f"{_ATTEMPT}{target.name}-*"):
        shutil.rmtree(stale, ignore_errors=True)
    with new_folder(target) as folder:
        yield folder
        fsync_tree(folder)
        if target.exists():
            shutil.rmtree(target)
        folder.rename(target)


def place(source: Path, target: Path) -> None:
    """Put a file at `target` without copying where the file system allows it; the content is never edited in place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def require_space(folder: Path, needed: int) -> None:
    """Refuse to start when the disk cannot hold what will be written.

    Raises:
        SpaceError: names the folder, the bytes needed and the bytes free.
    """
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise SpaceError(
            f"{folder}: about {needed / 1e6:,.0f} MB will be written, {free / 1e6:,.0f} MB are free. "
            "Free some space or choose another folder; finished work is kept and the same command goes on from there."
        )


def fsync_tree(folder: Path) -> None:
    """Flush a folder's files and the folder itself to the disk."""
    for path in sorted(folder.rglob("*")):
        _fsync(path)
    _fsync(folder)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explained(error: OSError, folder: Path) -> OSError | SpaceError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return SpaceError(f"{folder}: no space left on the device. Free some space; the same command then goes on.")
    return error
