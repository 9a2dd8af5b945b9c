"""Folders that are there whole or not at all, whoever is killed while one is written.

Who writes one holds a lease beside it: a lease that can be taken proves that its writer is dead, and only then is the folder
removed.
"""

import errno
import os
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from infra.disk import explained, fsync, fsync_tree
from infra.errors import LeaseError
from infra.leases import NoLocksError, holder_host, lease

# No unit works for a day without writing; a guess on the safe side, for writers that cannot be asked (other machines).
ABANDONED_S = 86_400.0
_ATTEMPT = ".attempt-"
_SCRATCH = ".blocks-"
_LOCK = ".lock"
_MOMENT_S = 30.0


@contextmanager
def new_folder(beside: Path) -> Iterator[Path]:
    """Give an empty folder next to `beside` (the same file system), removed at the end if it is still there.

    Raises:
        SpaceError: the disk is full.
        PlaceError: the folder cannot be made or written, or somebody removed it.
    """
    folder = beside.parent / f"{_ATTEMPT}{beside.name}-{uuid.uuid4().hex[:8]}"
    with ExitStack() as stack:
        with suppress(NoLocksError):
            # The name is ours alone: who holds its lease for a moment is somebody who looks for what the dead have left.
            stack.enter_context(lease(_lock_of(folder), f"write {beside.name}", _MOMENT_S, keep_file=False))
        try:
            with explained(folder):
                folder.mkdir(parents=True)
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def replace_folder(target: Path) -> Iterator[Path]:
    """Give an empty folder that takes the place of `target` when the block ends without error."""
    _remove_abandoned(target.parent.glob(f"{_ATTEMPT}{target.name}-*"))
    with new_folder(target) as folder:
        yield folder
        fsync_tree(folder)
        while folder.exists():
            # Aside in one step: a kill leaves the old folder or none in its place, never a part of it.
            with new_folder(target) as aside:
                with suppress(FileNotFoundError):
                    target.rename(aside / target.name)
                # Where another publisher was faster in between, its folder is the one to be replaced.
                _rename(folder, target)


def require_writable(target: Path) -> None:
    """Make sure, before any work is done, that a folder can be put at `target`.

    Raises:
        PlaceError: it cannot.
        SpaceError: the disk is full.
    """
    with new_folder(target):
        pass


def take_place(folder: Path, final: Path) -> None:
    """Flush a finished folder and give it its name; where another was faster, that one stays."""
    fsync_tree(folder)
    _rename(folder, final)


def discard_folder(path: Path, seen: os.stat_result | None = None) -> None:
    """Remove a folder whole: aside with one rename, so that nobody finds a part of it. Only the one that was `seen`."""
    with suppress(FileNotFoundError), new_folder(path) as aside:
        moved = path.rename(aside / path.name)
        if seen is not None and not _is_same(seen, moved.stat()):
            _rename(moved, path)


def _is_same(seen: os.stat_result, found: os.stat_result) -> bool:
    """Return whether a folder is the one that was seen: a number alone is soon given to another."""
    return os.path.samestat(seen, found) and seen.st_mtime_ns == found.st_mtime_ns


@contextmanager
def scratch_folder(final: Path, what: str, is_finished: Callable[[], bool]) -> Iterator[Path]:
    """Give the place beside `final` where attempts at it keep what they need to go on; it goes when one of them is finished.

    One at a time has it: whoever comes while it is used gets a new one of his own, which goes with him.
    """
    folder = kept = final.parent / f"{_SCRATCH}{final.name}"
    with ExitStack() as stack:
        try:
            stack.enter_context(lease(_lock_of(kept), what, keep_file=False))
        except NoLocksError:
            pass
        except LeaseError:
            folder = stack.enter_context(new_folder(kept))
        try:
            yield folder
        finally:
            if folder == kept and is_finished():
                shutil.rmtree(kept, ignore_errors=True)


def occupied(target: Path, proof: str) -> str | None:
    """Return why no folder may be put at `target`: it is a file, where this process runs, or not ours (has no `proof`)."""
    if target.resolve() in (Path.cwd(), *Path.cwd().parents):
        return f"{target}: the output is the folder this runs in, which it would replace. Name a new one."
    if target.is_dir() and any(target.iterdir()) and not (target / proof).is_file():
        return (
            f"{target}: this folder holds {len(list(target.iterdir()))} files or folders but no {proof}: no stage "
            "has made it, and publishing would replace it. Name a new folder, or empty this one."
        )
    if target.exists() and not target.is_dir():
        return f"{target}: this is a file, and what is published is a folder. Name another."
    return None


def sweep(root: Path, area: str = "*") -> int:
    """Remove what killed writers left unfinished below an area of `root`; return how many folders.

    A new folder goes as soon as its writer is known to be dead, what it kept to go on as soon as nobody needs it.
    """
    unfinished = list(root.glob(f"{area}/*/{_ATTEMPT}*"))
    needless = [path for path in root.glob(f"{area}/*/{_SCRATCH}*") if _of(path).is_dir()]
    return _remove_abandoned([*unfinished, *needless])


def prune(root: Path, older_than_s: float = ABANDONED_S) -> int:
    """Do as `sweep`, and remove what nobody has touched for so long, whoever left it; return how many folders."""
    removed, limit = sweep(root), time.time() - older_than_s
    left = [path for name in (_ATTEMPT, _SCRATCH) for path in root.glob(f"*/*/{name}*")]
    for path in left:
        if path.suffix != _LOCK and _last_touched(path) < limit:
            shutil.rmtree(path, ignore_errors=True)
            _lock_of(path).unlink(missing_ok=True)
            removed += 1
    return removed


def place(source: Path, target: Path) -> None:
    """Put a file at `target` without copying where the file system allows it; the content is never edited in place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def keep_first(path: Path, text: str) -> str:
    """Write a small file whole, unless it is there; return what it then holds: the first writer's text stays."""
    draft = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    with explained(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.write_text(text, encoding="utf-8")
            fsync(draft)
            with suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        return path.read_text(encoding="utf-8")


def _rename(folder: Path, final: Path) -> None:
    try:
        folder.rename(final)
    except OSError as error:
        if error.errno not in {errno.EEXIST, errno.ENOTEMPTY}:
            raise


def _remove_abandoned(paths: Iterable[Path]) -> int:
    """Remove folders whose writer is dead: on this machine, with a lease beside them that can be taken."""
    folders = {path.with_suffix("") if path.suffix == _LOCK else path for path in paths}
    return sum(_removed(folder) for folder in sorted(folders))


def _removed(folder: Path) -> bool:
    lock = _lock_of(folder)
    # The lease is taken before its folder is made and goes after it: a folder without one has no writer.
    if lock.exists() and holder_host(lock) not in {None, socket.gethostname()}:
        return False
    try:
        with lease(lock, f"remove {folder.name}", keep_file=False):
            found = folder.exists()
            shutil.rmtree(folder, ignore_errors=True)
            return found
    except LeaseError:
        return False


def _lock_of(folder: Path) -> Path:
    return folder.with_name(folder.name + _LOCK)


def _of(scratch: Path) -> Path:
    """Return where the finished attempt of a scratch folder, or of its lease, is."""
    return scratch.with_name(scratch.name.removeprefix(_SCRATCH).removesuffix(_LOCK))


def _last_touched(folder: Path) -> float:
    with suppress(FileNotFoundError):
        return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
    return time.time()
