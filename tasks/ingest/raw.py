"""The raw listing: every input file with its source, size and digest. It fixes what a run reads, wherever it lies.

`raw.json` holds no credentials and no clock. A file has a `path` (relative: it lies beside `raw.json`) or a `uri`.
"""

import hashlib
import json
import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.core.digest import digest_json
from tasks.core.errors import DamagedError, DataError
from tasks.core.sealed import SEAL, read_sealed, write_sealed
from tasks.ingest.formats import WHOLE, format_of
from tasks.ingest.places import FileSystemOf, file_system_of, name_of, protocol_of, readable

RAW = "raw.json"
_BLOCK = 1 << 20
_MAGIC = re.compile(r"[*?\[]")
# `-000`, `_00012` and `-00000-of-00010` number the shards of one source.
_SHARD_NUMBER = re.compile(r"(?:[-_.]\d{2,}(?:-of-\d+)?)+$")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class RawFile:
    """One input file. `name` is its path below the input it was found in; a text document is called by it."""

    source: str
    name: str
    path: str | None
    uri: str | None
    bytes: int
    digest: str

    def __post_init__(self) -> None:
        if (self.path is None) == (self.uri is None):
            raise ValueError(f"{self.name}: a raw file has either a path or a uri")

    def location(self, folder: Path) -> str:
        """Return where the file lies, for a listing in `folder`."""
        return self.uri if self.uri is not None else str(folder / str(self.path))


@dataclass(frozen=True)
class RawListing:
    """All input files, sorted by source and place."""

    files: tuple[RawFile, ...]

    def __post_init__(self) -> None:
        if list(self.files) != sorted(self.files, key=_order):
            raise ValueError("files of a raw listing must be sorted by source and place")

    @property
    def digest(self) -> str:
        """The digest of names and contents: the same wherever the files lie."""
        return digest_json([[file.source, file.name, file.bytes, file.digest] for file in self.files])

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(file.bytes for file in self.files)


@dataclass(frozen=True)
class _Found:
    file_system: Any
    path: str
    root: str
    given: bool  # named itself, not found in a folder or by a glob

    @property
    def uri(self) -> str:
        return str(self.file_system.unstrip_protocol(self.path))

    @property
    def below(self) -> str:
        """The path below the root."""
        protocol = protocol_of(self.uri)
        return posixpath.relpath(name_of(self.path, protocol), name_of(self.root, protocol))

    def name(self, parents: int) -> str:
        """Return the path below the root, with so many of the root's own last folders before it."""
        above = [part for part in self.root.split("/") if part]
        return "/".join([*above[len(above) - min(parents, len(above)) :], self.below])


def list_inputs(
    uris: Sequence[str], *, file_system_of: FileSystemOf = file_system_of, progress: Progress | None = None
) -> RawListing:
    """Return the listing of files, folders (with all below them) and globs, each a local path or a URI.

    A web address is a file, or, if it ends in a slash, the folder whose files its page links to. Hidden files and
    folders (a name that begins with a dot) inside a folder are no input. A file counts once, however often it is named.
    The source of a file is the first folder below its input; right in the input, its own name without shard number, and
    of text and HTML files in a folder that folder's name.

    Raises:
        DataError: a path does not exist, a folder or glob holds no file, or a file cannot be read.
    """
    if not uris:
        raise DataError("no input: name at least one file, folder or glob, here or remote (s3://, hf://, https://).")
    by_uri: dict[str, _Found] = {}
    for uri in uris:
        for found in _resolved(uri, file_system_of):
            by_uri.setdefault(found.uri, found)
    chosen = [by_uri[uri] for uri in sorted(by_uri)]
    files = []
    for number, (found, name) in enumerate(zip(chosen, _names(chosen), strict=True)):
        digest, size = _digest(found)
        files.append(RawFile(_source(found), name, None, found.uri, size, digest))
        if progress is not None:
            progress(number + 1, len(chosen))
    return RawListing(tuple(sorted(files, key=_order)))


def write_listing(listing: RawListing, folder: Path) -> None:
    """Write `raw.json` into a folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    value = {"format": 1, "files": [asdict(file) for file in listing.files]}
    # A new file takes the place of an old one, which may be linked into a version and must keep its bytes.
    draft = folder / f".{RAW}.new"
    write_sealed(draft, value, indent=1)
    draft.replace(folder / RAW)


def read_listing(folder: Path) -> RawListing:
    """Read `raw.json` of a folder.

    Raises:
        DataError: there is none, it is not a listing this version can read, or it lists nothing.
    """
    path = folder / RAW
    if not path.is_file():
        raise DataError(f"{folder}: no {RAW} here. List the input first: `mixwright ingest --input URI ...` does.")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if value["format"] != 1:
            raise ValueError(f"format {value['format']!r}, this version reads format 1")
        if unknown := sorted(set(value) - {"format", "files", SEAL}):
            raise ValueError(f"there is nothing called {unknown[0]!r} in a listing")
        # A listing that was written by hand, or by an earlier version, has no seal.
        value = read_sealed(path) if SEAL in value else value
        listing = RawListing(tuple(RawFile(**file) for file in value["files"]))
    except DamagedError as error:
        raise DamagedError(f"{error} List the input again.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a raw listing this version can read: {error}. List the input again.") from error
    if not listing.files:
        raise DataError(f"{path}: lists no file. List an input that has some.")
    return listing


def _order(file: RawFile) -> tuple[str, str]:
    return file.source, file.path or file.uri or ""


def _resolved(uri: str, file_system_of: FileSystemOf) -> Iterable[_Found]:
    file_system, path = file_system_of(uri)
    with readable(uri):
        magic, given = _MAGIC.search(path), False
        if _is_folder(file_system, path):
            root, places = path.rstrip("/"), _below(file_system, path)
        elif _exists(file_system, path):
            root, places, given = path.rpartition("/")[0], [path], True
        elif magic:
            root = path[: magic.start()].rpartition("/")[0]
            places = [inner for match in sorted(file_system.glob(path)) for inner in _below(file_system, match)]
        else:
            raise FileNotFoundError(path)
        if not places:
            raise DataError(f"{uri}: no files here, the source is empty. Name a file, folder or glob that holds some.")
        return [_Found(file_system, place, root, given) for place in places]


def _is_folder(file_system: Any, path: str) -> bool:
    """Return whether a path is a folder. Every web page is both to fsspec; here the slash at its end tells."""
    return path.endswith("/") if protocol_of(path) in {"http", "https"} else bool(file_system.isdir(path))


def _exists(file_system: Any, path: str) -> bool:
    if protocol_of(path) not in {"http", "https"}:
        return bool(file_system.exists(path))
    # `exists` takes a server that does not answer for a file that is not there; this raises what went wrong.
    file_system.info(path)
    return True


def _below(file_system: Any, path: str) -> list[str]:
    if not _is_folder(file_system, path):
        return [path]
    # S3 has no folders; some tools put an empty object that ends in a slash in their place.
    inner = [str(place) for place in file_system.find(path) if not str(place).endswith("/")]
    return sorted(place for place in inner if not _hidden(posixpath.relpath(place, path)))


def _hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


def _names(found: Sequence[_Found]) -> list[str]:
    """Return a name for each file; where two would be called the same, all show as many parent folders as it takes."""
    deepest = max(one.path.count("/") for one in found)
    for parents in range(deepest + 1):
        names = [one.name(parents) for one in found]
        if len(set(names)) == len(names):
            return names
    return [one.uri for one in found]


def _source(found: _Found) -> str:
    inner = PurePosixPath(found.below)
    if len(inner.parts) > 1:
        return inner.parts[0]
    chosen = format_of(inner.name)
    if chosen.kind in WHOLE and not found.given and (folder := PurePosixPath(found.root).name):
        return folder
    return _SHARD_NUMBER.sub("", chosen.stem) or chosen.stem


def _digest(found: _Found) -> tuple[str, int]:
    state, size = hashlib.sha256(), 0
    with readable(found.uri), found.file_system.open(found.path, "rb") as stream:
        while block := stream.read(_BLOCK):
            state.update(block)
            size += len(block)
    return state.hexdigest(), size
