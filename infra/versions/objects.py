"""The objects of a version in the DVC cache, looked at before they are sent: DVC pushes a damaged one as it is."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from infra.errors import VersionError

_FOLDER = ".dir"


def require_intact(cache: Path, hashes: Mapping[str, str], what: str) -> None:
    """Hash every object of a version that is in the cache; `hashes` are DVC's, by path. One pass of MD5, in threads.

    Raises:
        VersionError: an object is not what its name says; names it, what it is a part of, and how to make it again.
    """
    objects = dict(_objects(cache, hashes))
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as threads:
        intact = list(threads.map(_intact, objects))
    damaged = [path for path, good in zip(objects, intact, strict=True) if not good]
    if damaged:
        raise VersionError(
            f"{what}: {len(damaged)} of {len(objects)} objects in the DVC cache are damaged; first: {damaged[0]} "
            f"({objects[damaged[0]]}). Nothing was pushed: the remote's copy would be lost. Remove the damaged ones, then "
            "record them anew (`dvc commit --force` in the workspace of the run that made them), or get them from a remote "
            "that has them (`dvc fetch`)."
        )


def text_in(cache: Path, folder_hash: str, name: str) -> str | None:
    """Return a text file of a folder, by DVC's hash of the folder; None where the cache has not both, undamaged."""
    listing = _place(cache, folder_hash)
    if not listing.is_file() or not _intact(listing):
        return None
    hashes = {entry["relpath"]: entry["md5"] for entry in json.loads(listing.read_text(encoding="utf-8"))}
    found = _place(cache, hashes[name]) if name in hashes else None
    return found.read_text(encoding="utf-8") if found is not None and found.is_file() and _intact(found) else None


def places(cache: Path, hashes: Mapping[str, str]) -> Iterator[Path]:
    """Yield where the cache holds, or would hold, each object of a version; `hashes` are DVC's, by path."""
    for name in hashes.values():
        listing = _place(cache, name)
        yield listing
        if name.endswith(_FOLDER) and listing.is_file():
            for entry in json.loads(listing.read_text(encoding="utf-8")):
                yield _place(cache, entry["md5"])


def _objects(cache: Path, hashes: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    """Yield every object that is in the cache, and the path of what it holds; what is missing DVC finds itself."""
    for path, name in hashes.items():
        place = _place(cache, name)
        if not place.is_file():
            continue
        yield place, path
        if name.endswith(_FOLDER) and _intact(place):
            for entry in json.loads(place.read_text(encoding="utf-8")):
                inner = _place(cache, entry["md5"])
                if inner.is_file():
                    yield inner, f"{path}/{entry['relpath']}"


def _place(cache: Path, name: str) -> Path:
    return cache / "files" / "md5" / name[:2] / name[2:]


def _intact(path: Path) -> bool:
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return found == f"{path.parent.name}{path.name}".removesuffix(_FOLDER)
