"""The store: where finished work and published folders lie, and the only one who knows.

Whoever reads or writes asks a `Store`; a location is its own word for a place, and nobody else takes it apart. The first
one is `FolderStore`: finished work in a content-keyed folder outside the DVC outputs, one folder per key. An attempt writes
into a folder of its own and is moved into place with one rename, so that a crash anywhere leaves nothing half done. Who
writes holds a lease beside the folder: one that can be taken proves that its writer is dead, and only then is a folder
removed.
"""

import errno
import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from infra.disk import explained, fsync, fsync_tree
from infra.errors import LeaseError
from infra.leases import NoLocksError, holder_host, lease

_ATTEMPT = ".attempt-"
_SCRATCH = ".blocks-"
_LOCK = ".lock"
# No unit works for a day without writing; a guess on the safe side, for writers that cannot be asked (other machines).
_ABANDONED_S = 86_400.0
_MOMENT_S = 30.0


class Store(Protocol):
    """Where objects lie, as everybody else sees it. It can be pickled: workers use it too.

    `area` and `key` name finished work; a location names a folder of objects, of finished work or published.
    """

    @property
    def home(self) -> Path:
        """A local folder for what is no work: temporary files of this store's users."""

    def find(self, area: str, key: str) -> str | None:
        """Return the location of finished work, or None."""

    def attempt(self, area: str, key: str) -> AbstractContextManager[Path]:
        """Give a new empty local folder; when the block ends without error its files become the work called `key`.

        If another attempt was faster its result stays.
        """

    def scratch(self, area: str, key: str) -> AbstractContextManager[Path]:
        """Give the local place where attempts called `key` keep what they need to go on; it goes when one is finished."""

    def seen(self, location: str) -> object:
        """Return what tells the folder at `location` from a later one there; None where there is none."""

    def discard(self, area: str, key: str, seen: object) -> None:
        """Remove finished work that was found damaged, if it is still the one that was `seen`."""

    def sweep(self, area: str = "*") -> int:
        """Remove what killed workers left unfinished; return how many folders."""

    def keys(self, area: str) -> list[str]:
        """Return the keys of finished work, the newest first."""

    def open(self, location: str, name: str) -> BinaryIO:
        """Return an object as a stream that can seek."""

    def local(self, location: str, names: Sequence[str]) -> Path:
        """Return a local folder in which these objects are files of these names; nobody may change them."""

    def read(self, location: str, name: str) -> str | None:
        """Return the text of a small object, or None where there is none; what is no UTF-8 is damage, which a seal tells."""

    def note(self, area: str, name: str, text: str) -> None:
        """Keep a small text beside the work of an area, in the place of one of the same name."""

    def noted(self, area: str, name: str) -> str | None:
        """Return what `note` kept, or None."""

    def publish(self, location: str) -> AbstractContextManager[Path]:
        """Give an empty local folder that takes the place of `location` when the block ends without error."""

    def occupied(self, location: str, proof: str) -> str | None:
        """Return why publishing at `location` would remove what is not ours; an object called `proof` marks what is."""

    def require_writable(self, location: str) -> None:
        """Make sure, before any work is done, that something can be published at `location`."""


@dataclass(frozen=True)
class FolderStore:
    """A folder that every worker can reach: work under `root`; locations are paths of folders, anywhere."""

    root: Path

    @property
    def home(self) -> Path:
        """The root itself."""
        return self.root

    def find(self, area: str, key: str) -> str | None:
        """Return the folder of finished work, or None."""
        path = self._path(area, key)
        return str(path) if path.is_dir() else None

    @contextmanager
    def attempt(self, area: str, key: str) -> Iterator[Path]:
        """Give a new empty folder; when the block ends without error it becomes the work called `key`.

        Raises:
            SpaceError: the disk is full; names the folder.
            PlaceError: the store cannot be written.
        """
        final = self._path(area, key)
        with new_folder(final) as folder:
            yield folder
            take_place(folder, final)

    @contextmanager
    def scratch(self, area: str, key: str) -> Iterator[Path]:
        """Give the place where attempts called `key` keep what they need to go on; it goes when one of them is finished.

        One at a time has it: whoever comes while it is used gets a new one of his own, which goes with him.
        """
        final = self._path(area, key)
        folder = kept = final.parent / f"{_SCRATCH}{final.name}"
        with ExitStack() as stack:
            try:
                stack.enter_context(lease(_lock_of(kept), f"make {area} {key[:12]}", keep_file=False))
            except NoLocksError:
                pass
            except LeaseError:
                folder = stack.enter_context(new_folder(kept))
            try:
                yield folder
            finally:
                if folder == kept and final.is_dir():
                    shutil.rmtree(kept, ignore_errors=True)

    def seen(self, location: str) -> os.stat_result | None:
        """Return the status of the folder."""
        try:
            return Path(location).stat()
        except FileNotFoundError:
            return None

    def discard(self, area: str, key: str, seen: object) -> None:
        """Remove the folder that was `seen`, aside with one rename."""
        assert isinstance(seen, os.stat_result | None)
        discard_folder(self._path(area, key), seen)

    def keys(self, area: str) -> list[str]:
        """Return the keys of finished work, the newest first."""
        found = [path for path in (self.root / area).glob("??/[!.]*") if path.is_dir()]
        return [path.name for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)]

    def open(self, location: str, name: str) -> BinaryIO:
        """Return a file as a stream."""
        return (Path(location) / name).open("rb")

    def local(self, location: str, names: Sequence[str]) -> Path:
        """Return the folder itself."""
        return Path(location)

    def read(self, location: str, name: str) -> str | None:
        """Return the text of a file, or None where there is none."""
        path = Path(location) / name
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None

    def note(self, area: str, name: str, text: str) -> None:
        """Keep a small text, whole or not at all."""
        path = self.root / area / name
        draft = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
        with explained(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(text, encoding="utf-8")
            draft.replace(path)

    def noted(self, area: str, name: str) -> str | None:
        """Return what `note` kept, or None."""
        return self.read(str(self.root / area), name)

    @contextmanager
    def publish(self, location: str) -> Iterator[Path]:
        """Give an empty folder that takes the place of the one at `location`."""
        with replace_folder(Path(location)) as folder:
            yield folder

    def occupied(self, location: str, proof: str) -> str | None:
        """Return why nothing may be put at `location`: it is a file, where this process runs, or not ours."""
        target = Path(location)
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

    def require_writable(self, location: str) -> None:
        """Make sure that a folder can be put there.

        Raises:
            PlaceError: it cannot.
            SpaceError: the disk is full.
        """
        require_writable(Path(location))

    def sweep(self, area: str = "*") -> int:
        """Remove what killed workers left unfinished; return how many folders.

        An attempt goes as soon as its writer is known to be dead, what it kept to go on as soon as nobody needs it.
        """
        unfinished = list(self.root.glob(f"{area}/*/{_ATTEMPT}*"))
        needless = [path for path in self.root.glob(f"{area}/*/{_SCRATCH}*") if _of(path).is_dir()]
        return _remove_abandoned([*unfinished, *needless])

    def prune(self, older_than_s: float = _ABANDONED_S) -> int:
        """Do as `sweep`, and remove what nobody has touched for so long, whoever left it; return how many folders."""
        removed, limit = self.sweep(), time.time() - older_than_s
        left = [path for name in (_ATTEMPT, _SCRATCH) for path in self.root.glob(f"*/*/{name}*")]
        for path in left:
            if path.suffix != _LOCK and _last_touched(path) < limit:
                shutil.rmtree(path, ignore_errors=True)
                _lock_of(path).unlink(missing_ok=True)
                removed += 1
        return removed

    def _path(self, area: str, key: str) -> Path:
        return self.root / area / key[:2] / key


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
        if seen is not None and not os.path.samestat(seen, moved.stat()):
            _rename(moved, path)


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
