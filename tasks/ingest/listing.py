"""Finds the input files: what folders, globs and addresses name, each with its source, digest and kind."""

import hashlib
import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from tasks.core.credentials import complaint_about
from tasks.core.errors import DataError
from tasks.ingest.companions import COMPANION, MARKER, companions, is_marker
from tasks.ingest.config import IngestParams
from tasks.ingest.folders import HIDDEN, Walk, require_plain, walk
from tasks.ingest.formats import WHOLE, Format, hint_of
from tasks.ingest.places import (
    FileSystemOf,
    file_system_of,
    name_of,
    opened,
    printable,
    protocol_of,
    readable,
    storable,
)
from tasks.ingest.raw import PassedOver, RawFile, RawListing, in_order
from tasks.ingest.recognition import HEAD_BYTES, recognised

_BLOCK = 1 << 20
_MAGIC = re.compile(r"[*?\[]")
# `-000`, `_00012`, `.00000-of-00010` number the shards of one source.
_SHARD_NUMBER = re.compile(r"(?:[-_.]\d{2,}(?:-of-\d+)?)+$")
# So many names of what was passed over are told, for each reason.
_EXAMPLES = 10

Progress = Callable[[int, int], None]


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
        return printable("/".join([*above[len(above) - min(parents, len(above)) :], self.below]))


@dataclass
class _Inputs:
    """What the inputs named together: files by their address, and what was passed over, by reason."""

    files: dict[str, _Found] = field(default_factory=dict)
    passed: dict[str, set[str]] = field(default_factory=dict)

    def pass_over(self, why: str, path: str, root: str) -> None:
        self.passed.setdefault(why, set()).add(printable(posixpath.relpath(path, root)))

    def told(self) -> dict[str, PassedOver]:
        return {
            why: PassedOver(len(names), tuple(sorted(names)[:_EXAMPLES])) for why, names in sorted(self.passed.items())
        }


def list_inputs(
    uris: Sequence[str],
    params: IngestParams | None = None,
    *,
    file_system_of: FileSystemOf = file_system_of,
    progress: Progress | None = None,
) -> RawListing:
    """Return the listing of files, folders (with all below them) and globs, each a local path or a URI.

    A web address is a file, or, if it ends in a slash, the folder whose files its page links to. A file counts once,
    however often it is named or linked. Passed over, and told, are: what is hidden (a name that begins with a dot),
    markers and checksums, links that lead outside the folder and `link_roots`, and the README of a dataset. The source
    of a file is the first folder below its input; right in the input, its own name without shard number, and of text
    and HTML files in a folder that folder's name.

    Raises:
        DataError: a path does not exist or is no file, an address holds a credential, a folder or glob holds no file,
            or a file cannot be read.
    """
    if not uris:
        raise DataError("no input: name at least one file, folder or glob, here or remote (s3://, hf://, https://).")
    params = params or IngestParams()
    _require_no_credentials(uris)
    inputs = _Inputs()
    for uri in uris:
        _resolve(uri, file_system_of, params.link_roots, inputs)
    chosen = [inputs.files[key] for key in sorted(inputs.files, key=lambda key: inputs.files[key].uri)]
    _require_no_credentials(found.uri for found in chosen)
    read = []
    for number, found in enumerate(chosen):
        read.append(_read(found, params))
        if progress is not None:
            progress(number + 1, len(chosen))
    kept = _without_companions(chosen, [chosen_format for _, _, chosen_format in read], inputs)
    names = _names([chosen[index] for index in kept])
    files = [
        RawFile(
            _source(chosen[index], read[index][2]), name, None, storable(chosen[index].uri), size, digest, chosen_format
        )
        for index, name in zip(kept, names, strict=True)
        for digest, size, chosen_format in [read[index]]
    ]
    return RawListing(in_order(files), inputs.told())


def _require_no_credentials(uris: Iterable[str]) -> None:
    for uri in uris:
        if complaint := complaint_about(uri):
            raise DataError(complaint)


def _resolve(uri: str, file_system_of: FileSystemOf, link_roots: Sequence[str], inputs: _Inputs) -> None:
    """Add the files that one input names, and what was passed over in it."""
    file_system, path = file_system_of(uri)
    given = False
    with readable(uri):
        if _is_folder(file_system, path):
            root, found = path.rstrip("/") or "/", _below(file_system, [path], path, link_roots)
        elif _exists(file_system, path):
            root, found, given = path.rpartition("/")[0], Walk([path]), True
            if _is_local(file_system):
                require_plain(path)
        elif magic := _MAGIC.search(path):
            root = path[: magic.start()].rpartition("/")[0]
            found = _below(file_system, file_system.glob(path), root or "/", link_roots)
        else:
            raise FileNotFoundError(path)
    for passed, why in found.passed:
        inputs.pass_over(why, passed, root)
    files = [place for place in found.files if given or not is_marker(posixpath.relpath(place, root))]
    for place in set(found.files).difference(files):
        inputs.pass_over(MARKER, place, root)
    if not files:
        reasons = ", ".join(sorted({why for _, why in found.passed}))
        passed_over = f" but {len(found.passed)} passed over ({reasons})" if found.passed else ""
        raise DataError(
            f"{printable(uri)}: no files here{passed_over}, the source is empty. Name a file, folder or glob that holds "
            "some; links may lead inside the folder, or into a folder of ingest.link_roots."
        )
    for place in files:
        one = _Found(file_system, place, root, given)
        inputs.files.setdefault(_identity(one), one)


def _is_local(file_system: Any) -> bool:
    return "file" in (file_system.protocol if isinstance(file_system.protocol, tuple) else (file_system.protocol,))


def _identity(found: _Found) -> str:
    """Return what is the same for the same file, by whatever name it was found."""
    from os.path import realpath

    return realpath(found.path) if _is_local(found.file_system) else found.uri


def _is_folder(file_system: Any, path: str) -> bool:
    """Return whether a path is a folder. Every web page is both to fsspec; here the slash at its end tells."""
    return path.endswith("/") if protocol_of(path) in {"http", "https"} else bool(file_system.isdir(path))


def _exists(file_system: Any, path: str) -> bool:
    if protocol_of(path) not in {"http", "https"}:
        return bool(file_system.exists(path))
    # `exists` takes a server that does not answer for a file that is not there; this raises what went wrong.
    file_system.info(path)
    return True


def _below(file_system: Any, paths: Sequence[str], root: str, link_roots: Sequence[str]) -> Walk:
    """Return the files among paths and below them, and what was passed over."""
    if _is_local(file_system):
        return walk(paths, root, link_roots)
    found = Walk()
    for path in sorted(paths):
        # S3 has no folders; some tools put an empty object that ends in a slash in their place.
        inner = [str(place) for place in file_system.find(path)] if _is_folder(file_system, path) else [path]
        for place in sorted(place for place in inner if place == path or not place.endswith("/")):
            if place != path and _hidden(posixpath.relpath(place, path)):
                found.passed.append((place, HIDDEN))
            else:
                found.files.append(place)
    return found


def _hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


def _without_companions(found: Sequence[_Found], formats: Sequence[Format], inputs: _Inputs) -> list[int]:
    """Return the places of the files that are input, without those that only describe a dataset."""
    described: set[int] = set()
    for root in {one.root for one in found if not one.given}:
        here = [index for index, one in enumerate(found) if one.root == root and not one.given]
        below = [found[index].below for index in here]
        beside = companions(below, [formats[index].kind for index in here])
        described |= {index for index, path in zip(here, below, strict=True) if path in beside}
    for index in described:
        inputs.pass_over(COMPANION, found[index].below, ".")
    return [index for index in range(len(found)) if index not in described]


def _names(found: Sequence[_Found]) -> list[str]:
    """Return a name for each file; where two would be called the same, all show as many parent folders as it takes."""
    deepest = max(one.path.count("/") for one in found)
    for parents in range(deepest + 1):
        names = [one.name(parents) for one in found]
        if len(set(names)) == len(names):
            return names
    return [printable(one.uri) for one in found]


def _source(found: _Found, chosen: Format) -> str:
    inner = PurePosixPath(printable(found.below))
    if len(inner.parts) > 1:
        return inner.parts[0]
    if chosen.kind in WHOLE and not found.given and (folder := PurePosixPath(printable(found.root)).name):
        return folder
    stem = hint_of(inner.name).stem
    return _SHARD_NUMBER.sub("", stem) or stem


def _read(found: _Found, params: IngestParams) -> tuple[str, int, Format]:
    """Return the digest and size of a file, and its format."""
    state, size, head = hashlib.sha256(), 0, b""
    local = _is_local(found.file_system)
    with (
        readable(found.uri),
        opened(found.uri) if local else found.file_system.open(found.path, "rb") as stream,
    ):
        while block := stream.read(_BLOCK):
            state.update(block)
            size += len(block)
            head += block[: HEAD_BYTES - len(head)]
    chosen = recognised(PurePosixPath(found.below).name, head, whole=size == len(head), kinds=params.kinds)
    return state.hexdigest(), size, chosen
