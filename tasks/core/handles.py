"""Handles: what a unit of work reads, by content. Where it lies is the business of the store that made the handle.

A unit opens a handle as a stream or asks for it as a local path; its identity is its digest (and which part of it), never
a path.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Protocol

from tasks.core.digest import digest_stream, digest_tree
from tasks.core.errors import DataError


class Objects(Protocol):
    """What a handle asks of the store it came from. `location` names a folder of objects, `name` an object in it."""

    def open(self, location: str, name: str) -> BinaryIO:
        """Return the object as a stream that can seek."""

    def local(self, location: str, names: Sequence[str]) -> Path:
        """Return a local folder in which these objects are files of these names."""


@dataclass(frozen=True)
class ByteRange:
    """The bytes from `start` up to, but not including, `end`."""

    start: int
    end: int


@dataclass(frozen=True)
class RowGroups:
    """Row groups of a Parquet file, from `start` up to, but not including, `end`."""

    start: int
    end: int


Part = ByteRange | RowGroups


@dataclass(frozen=True)
class Handle:
    """One object: its name in a folder of a store, its SHA-256, its size in bytes, and which part of it is meant.

    A reader of row groups takes the whole file and reads those alone; `open` gives a byte range as if it were all.
    """

    store: Objects
    location: str
    name: str
    digest: str
    bytes: int
    part: Part | None = None

    def open(self) -> BinaryIO:
        """Return the object, or the byte range that is meant, as a stream."""
        stream = self.store.open(self.location, self.name)
        if not isinstance(self.part, ByteRange):
            return stream
        with stream:
            stream.seek(self.part.start)
            return BytesIO(stream.read(self.part.end - self.part.start))

    def local(self) -> Path:
        """Return the whole object as a local file, which nobody may change."""
        return self.store.local(self.location, (self.name,)) / self.name

    def text(self) -> str:
        """Return the whole object as UTF-8 text."""
        with self.store.open(self.location, self.name) as stream:
            return stream.read().decode()

    def intact(self) -> bool:
        """Return whether the object is there with its size and digest."""
        try:
            with self.store.open(self.location, self.name) as stream:
                return digest_stream(stream) == self.digest and stream.tell() == self.bytes
        except OSError:
            return False

    @property
    def stem(self) -> str:
        """The name without folder and suffix: `00003` of `kept/00003.parquet`."""
        return Path(self.name).stem

    def identity(self) -> str | list[str | int]:
        """Return what of this handle decides a result."""
        if self.part is None:
            return self.digest
        return [self.digest, type(self.part).__name__, self.part.start, self.part.end]


@dataclass(frozen=True)
class Tree:
    """Named objects of one folder of a store, read together: digests and sizes by name, in the order of the names."""

    store: Objects
    location: str
    files: tuple[tuple[str, str, int], ...]

    @staticmethod
    def of(store: Objects, location: str, files: Iterable[tuple[str, str, int]]) -> "Tree":
        """Return the tree of (name, digest, bytes), given in any order."""
        return Tree(store, location, tuple(sorted(files)))

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[Handle]:
        return (Handle(self.store, self.location, *file) for file in self.files)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the objects."""
        return tuple(name for name, _, _ in self.files)

    def __getitem__(self, name: str) -> Handle:
        if name not in self._handles:
            raise DataError(f"{self.location}: there is no {name} in what was published here. Run that stage again.")
        return self._handles[name]

    def under(self, *prefixes: str) -> "Tree":
        """Return the objects whose name begins with one of `prefixes`."""
        chosen = tuple(file for file in self.files if file[0].startswith(prefixes))
        return Tree(self.store, self.location, chosen)

    def local(self) -> Path:
        """Return a local folder that holds the objects under their names; nobody may change them."""
        return self.store.local(self.location, self.names)

    @cached_property
    def digest(self) -> str:
        """The digest of names and contents."""
        return digest_tree({name: digest for name, digest, _ in self.files})

    @cached_property
    def _handles(self) -> Mapping[str, Handle]:
        return {handle.name: handle for handle in self}

    def identity(self) -> str:
        """Return what of this tree decides a result."""
        return self.digest
