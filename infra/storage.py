"""The store: where finished work and published folders lie, and the only one who knows.

Whoever reads or writes asks a `Store`; a location is its own word for a place, and nobody else takes it apart. The first
one is `FolderStore`: finished work in a content-keyed folder outside the DVC outputs, one folder per key. An attempt writes
into a folder of its own and is moved into place with one rename, so that a crash anywhere leaves nothing half done. Who
writes holds a lease beside the folder (see `infra.folders`).
"""

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from infra.disk import explained
from infra.folders import (
    ABANDONED_S,
    discard_folder,
    new_folder,
    occupied,
    prune,
    replace_folder,
    require_writable,
    scratch_folder,
    sweep,
    take_place,
)


class Store(Protocol):
    """Where objects lie, as everybody else sees it. It can be pickled: workers use it too.

    `area` and `key` name finished work; a location names a folder of objects, of finished work or published.
    """

    @property
    def shared_folders(self) -> bool:
        """Whether every worker must see the folders that this process sees."""

    @property
    def home(self) -> Path:
        """A local folder for what is no work: temporary files of this store's users."""

    def begin(self) -> None:
        """Make sure, before any work, that this place can be a store at all."""

    def find(self, area: str, key: str) -> str | None:
        """Return the location of finished work, or None."""

    def attempt(self, area: str, key: str) -> AbstractContextManager[Path]:
        """Give a new empty local folder; when the block ends without error its files become the work called `key`.

        If another attempt was faster its result stays.
        """

    def scratch(self, area: str, key: str) -> AbstractContextManager[Path]:
        """Give the local place where attempts called `key` keep what they need to go on; it goes when one is finished."""

    def borrowed(self) -> AbstractContextManager[None]:
        """Let go, at the end of a block, of the files that `local` gave in it."""

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

    def shared(self, location: str, files: Sequence[tuple[str, str, int]]) -> str:
        """Return where workers of all machines find files (name, digest, bytes) of a location: what they need is put there.

        It may be a folder of this machine, such as what a stage published or a user brings.
        """

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
    def shared_folders(self) -> bool:
        """Every worker sees them."""
        return True

    @property
    def home(self) -> Path:
        """The root itself."""
        return self.root

    def begin(self) -> None:
        """Ask nothing: a folder that cannot be one is named where it is written first."""

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
        with scratch_folder(final, f"make {area} {key[:12]}", final.is_dir) as folder:
            yield folder

    @contextmanager
    def borrowed(self) -> Iterator[None]:
        """Nothing is lent: the folders themselves are given."""
        yield

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

    def shared(self, location: str, files: Sequence[tuple[str, str, int]]) -> str:
        """Return the location itself."""
        return location

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
        return occupied(Path(location), proof)

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
        return sweep(self.root, area)

    def prune(self, older_than_s: float = ABANDONED_S) -> int:
        """Do as `sweep`, and remove what nobody has touched for so long, whoever left it; return how many folders."""
        return prune(self.root, older_than_s)

    def _path(self, area: str, key: str) -> Path:
        return self.root / area / key[:2] / key
