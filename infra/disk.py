"""What a disk refuses, in words: no room, no permission, a folder that is gone; and what is flushed to it."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.errors import PlaceError, SpaceError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EIO, errno.ELOOP, errno.ENAMETOOLONG}


def require_space(folder: Path, needed: int) -> None:
    """Refuse to start when the disk cannot hold what will be written.

    Raises:
        SpaceError: names the folder, the bytes needed and the bytes free.
    """
    with explained(folder):
        existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
        free = shutil.disk_usage(existing).free
    if free < needed:
        raise SpaceError(
            f"{folder}: about {needed / 1e6:,.0f} MB will be written, {free / 1e6:,.0f} MB are free. "
            "Free some space or choose another folder; finished work is kept and the same command goes on from there."
        )


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Give what the disk refuses to do in `folder` while the block runs the name it has here.

    Raises:
        SpaceError: the disk is full.
        PlaceError: it may not be written, is no folder, or is gone.
    """
    try:
        yield
    except OSError as error:
        if (named := named_error(error, folder)) is None:
            raise
        raise named from error


def named_error(error: OSError, folder: Path | None = None) -> SpaceError | PlaceError | None:
    """Return the named error of what a disk refuses; None for an error that says something else, such as a defect.

    What concerns another file than those in `folder` is of no concern here, unless the disk is full.
    """
    found = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else folder
    where = folder or found
    if error.errno in _FULL:
        return SpaceError(
            f"{where or 'The disk'}: no space left on the device. Free some space; the same command then goes on."
        )
    if error.errno == errno.EFBIG:
        return SpaceError(
            f"{where or 'The disk'}: a file would be larger than this process may write (`ulimit -f`), or than the disk "
            "takes. Raise the limit, or name another disk; the same command then goes on."
        )
    if found is None or where is None or not _concerns(found, where):
        return None
    is_file = error.errno == errno.EEXIST and _is_above(found, where) and not found.is_dir()
    if error.errno in _REFUSED or is_file or (error.errno == errno.ENOENT and not _takes_files(found)):
        return PlaceError(
            f"{found}: it cannot be read or written ({error.strerror}). Let this user write there, or name another folder "
            "(--output; MIXWRIGHT_HOME for Mixwright's own); the same command then goes on."
        )
    if error.errno == errno.ENOENT and folder is not None and not folder.exists():
        return PlaceError(
            f"{folder}: this folder was removed, or its disk went away, while it was written. Start the same command "
            "again; what is still there is not made again."
        )
    return None


def _takes_files(path: Path) -> bool:
    """Return whether the nearest folder above a path that is there, such as one of /proc, is a place for files at all."""
    above = next(parent for parent in path.absolute().parents if parent.is_dir())
    try:
        with tempfile.TemporaryDirectory(prefix=".mixwright-", dir=above):
            return True
    except FileNotFoundError:
        return False
    except OSError:
        return True


def fsync_tree(folder: Path) -> None:
    """Flush a folder's files and the folder itself to the disk."""
    for path in (*sorted(folder.rglob("*")), folder):
        fsync(path)


def _concerns(path: Path, folder: Path) -> bool:
    """Whether a path lies in a folder, or is one of those the folder lies in."""
    return path.absolute().is_relative_to(folder.absolute()) or _is_above(path, folder)


def _is_above(path: Path, folder: Path) -> bool:
    return folder.absolute().is_relative_to(path.absolute())


def fsync(path: Path) -> None:
    """Flush a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
