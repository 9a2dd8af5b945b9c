"""The raw listing: every input file with its source, size and digest. It fixes what a run reads, wherever it lies.

`raw.json` holds no credentials and no clock. A file has a `path` (relative: it lies beside `raw.json`) or a `uri`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tasks.core.digest import digest_json
from tasks.core.errors import DamagedError, DataError
from tasks.core.sealed import SEAL, read_sealed, write_sealed
from tasks.ingest.formats import Format, hint_of

RAW = "raw.json"


@dataclass(frozen=True)
class RawFile:
    """One input file. `name` is its path below the input it was found in; a text document is called by it.

    `format` is how it is read: it was found in its content when it was listed.
    """

    source: str
    name: str
    path: str | None
    uri: str | None
    bytes: int
    digest: str
    format: Format

    def __post_init__(self) -> None:
        if (self.path is None) == (self.uri is None):
            raise ValueError(f"{self.name}: a raw file has either a path or a uri")

    def location(self, folder: Path) -> str:
        """Return where the file lies, for a listing in `folder`."""
        return self.uri if self.uri is not None else str(folder / str(self.path))


@dataclass(frozen=True)
class PassedOver:
    """Files, links and hidden folders that were met and not read for one reason; the first are named."""

    count: int
    first: tuple[str, ...]


@dataclass(frozen=True)
class RawListing:
    """All input files, sorted by source and place, and what was passed over: why -> number and first names.

    What was passed over is no input, but stands in what is published, so it belongs to the digest.
    """

    files: tuple[RawFile, ...]
    passed_over: Mapping[str, "PassedOver"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if list(self.files) != sorted(self.files, key=_order):
            raise ValueError("files of a raw listing must be sorted by source and place")

    @property
    def digest(self) -> str:
        """The digest of names, contents, how they are read, and what is told: the same wherever the files lie."""
        files = [[file.source, file.name, file.bytes, file.digest, asdict(file.format)] for file in self.files]
        return digest_json([files, {why: asdict(found) for why, found in self.passed_over.items()}])

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(file.bytes for file in self.files)


def write_listing(listing: RawListing, folder: Path) -> None:
    """Write `raw.json` into a folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    passed = {why: asdict(found) for why, found in listing.passed_over.items()}
    value = {"format": 2, "files": [asdict(file) for file in listing.files], "passed_over": passed}
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
        if value["format"] not in (1, 2):
            raise ValueError(f"format {value['format']!r}, this version reads formats 1 and 2")
        if unknown := sorted(set(value) - {"format", "files", "passed_over", SEAL}):
            raise ValueError(f"there is nothing called {unknown[0]!r} in a listing")
        # A listing that was written by hand, or by an earlier version, has no seal.
        value = read_sealed(path) if SEAL in value else value
        passed = {
            why: PassedOver(found["count"], tuple(found["first"]))
            for why, found in value.get("passed_over", {}).items()
        }
        listing = RawListing(tuple(map(_file, value["files"])), passed)
    except DamagedError as error:
        raise DamagedError(f"{error} List the input again.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a raw listing this version can read: {error}. List the input again.") from error
    if not listing.files:
        raise DataError(f"{path}: lists no file. List an input that has some.")
    return listing


def in_order(files: Iterable[RawFile]) -> tuple[RawFile, ...]:
    """Return files in the order of a listing."""
    return tuple(sorted(files, key=_order))


def _order(file: RawFile) -> tuple[str, str]:
    return file.source, file.path or file.uri or ""


def _file(value: dict[str, Any]) -> RawFile:
    """Return a file as it is listed; in format 1 its name told how it is read."""
    if given := value.get("format"):
        return RawFile(**value | {"format": Format(**given)})
    hint = hint_of(value["name"])
    return RawFile(**value, format=Format(hint.kind or "text", hint.compression))
