"""The store in a bucket: nothing is shared but the bucket, and every machine has a folder of its own.

    objects/ab/abcdef...      files, by their SHA-256: who writes one again writes the same bytes
    work/AREA/KEY.json        finished work: which files it has; written last, and once
    trees/DIGEST.json         files of a folder of the driver, for workers on other machines
    notes/AREA/NAME           small texts

A unit is made in a local folder; its files are written, and then the list of them, if there is none yet (`If-None-Match`).
Every file that is read is compared with its digest. Whether something is there is asked for by its name; a listing tells
people what is alike. What stages publish are folders of the driver's machine, as with any store; workers are given it by
content. A list is taken back by one that says so, in the place of the very one that was seen (`If-Match`).
"""

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import file_digest, sha256
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TypeVar

from infra.errors import ObjectError, StoreError
from infra.folders import new_folder, occupied, replace_folder, require_writable, scratch_folder, sweep
from infra.object_cache import Cache, borrowing, lent_folder
from infra.s3 import ABSENT, Bucket

T = TypeVar("T")
_FORMAT = 1
_MARK = "format.json"
_AT_ONCE = 8
# Others commit or take back the same work at the same moment: somebody is always first.
_RACES = 20
# Only people are told what these are compared with.
_LISTED = 20_000


@dataclass(frozen=True)
class _Listing:
    """Files by name, with digest and size, and what tells this list from a later one (its ETag)."""

    files: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    tag: str = ""
    taken_back: bool = False


@dataclass(frozen=True)
class ObjectStore:
    """Finished work in a bucket; `home` is a folder of the machine it is used on, with at most `cache_bytes` of copies.

    Locations are addresses below that of the bucket, or paths of folders of this machine.
    """

    bucket: Bucket
    home: Path
    cache_bytes: int

    @property
    def shared_folders(self) -> bool:
        """No worker need see this machine's folders."""
        return False

    def begin(self) -> None:
        """Make sure, before any work, that the bucket is there, can be written, keeps its promises and is of this format.

        Raises:
            StoreError: it is not; says why, and what to do.
        """
        self.bucket.require_conditions()
        mine = json.dumps({"format": _FORMAT}).encode()
        if (
            not self.bucket.put(_MARK, mine, ABSENT)
            and (found := self.bucket.get(_MARK)) is not None
            and found[0] != mine
        ):
            raise StoreError(
                f"{self.bucket.url}: another version of Mixwright works on this store ({found[0]!r:.80}; this one writes "
                f"format {_FORMAT}). Use the same version everywhere, or another prefix in MIXWRIGHT_STORE."
            )

    def find(self, area: str, key: str) -> str | None:
        """Return the address of finished work, or None."""
        location = self._location(area, key)
        found = self._look(location)
        return None if found is None or found.taken_back else location

    @contextmanager
    def attempt(self, area: str, key: str) -> Iterator[Path]:
        """Give a new empty local folder; when the block ends without error its files become the work called `key`.

        Raises:
            SpaceError: the disk is full; names the folder.
            StoreError: the bucket cannot be written.
        """
        with new_folder(self.home / area / key[:2] / key) as folder:
            yield folder
            self._commit(area, key, self._upload(folder))

    @contextmanager
    def scratch(self, area: str, key: str) -> Iterator[Path]:
        """Give the place on this machine where attempts called `key` keep what they need to go on."""
        final = self.home / area / key[:2] / key
        with scratch_folder(final, f"make {area} {key[:12]}", lambda: self.find(area, key) is not None) as folder:
            yield folder

    def borrowed(self) -> Any:
        """Let go, at the end of a block, of the files that `local` gave in it."""
        return borrowing(self.home)

    def seen(self, location: str) -> object:
        """Return what tells finished work from what is made in its place later."""
        found = self._listing(location)
        return None if found is None or found.taken_back else found.tag

    def discard(self, area: str, key: str, seen: object) -> None:
        """Take finished work back, if it is still the one that was `seen`."""
        location = self._location(area, key)
        _LISTINGS.pop((self.bucket, location), None)
        if seen:
            self.bucket.put(self._name(location), _text({"taken_back": True}), str(seen))

    def keys(self, area: str) -> list[str]:
        """Return the keys of finished work, the newest first, as far as they are listed."""
        begins = f"work/{area}/"
        found = [(when, name) for _, (name, when) in zip(range(_LISTED), self.bucket.names(begins), strict=False)]
        return [name.removeprefix(begins).removesuffix(".json") for _, name in sorted(found, reverse=True)]

    def open(self, location: str, name: str) -> BinaryIO:
        """Return a file as a stream, of a local copy with the right digest."""
        if self._is_folder(location):
            return (Path(location) / name).open("rb")
        digest, size = self._file(location, name)
        return self._told(location, name, partial(self._cache.open, digest, size, self._fetch(digest, size)))

    def local(self, location: str, names: Sequence[str]) -> Path:
        """Return a local folder in which these files are, with the right digests."""
        if self._is_folder(location):
            return Path(location)
        # What is made anew at the same address is another list, and gets a folder of its own.
        version = getattr(self._listing(location), "tag", "")
        folder = lent_folder(self.home) / sha256(f"{location} {version}".encode()).hexdigest()[:32]
        missing = [name for name in names if not (folder / name).is_file()]
        _at_once(partial(self._lend, location, folder), missing)
        return folder

    def read(self, location: str, name: str) -> str | None:
        """Return the text of a small file, or None where there is none that is whole."""
        try:
            with self.open(location, name) as stream:
                return stream.read().decode("utf-8", "replace")
        except OSError:
            return None

    def note(self, area: str, name: str, text: str) -> None:
        """Keep a small text, in the place of one of the same name."""
        self.bucket.put(f"notes/{area}/{name}", text.encode())

    def noted(self, area: str, name: str) -> str | None:
        """Return what `note` kept, or None."""
        found = self.bucket.get(f"notes/{area}/{name}")
        return None if found is None else found[0].decode("utf-8", "replace")

    def shared(self, location: str, files: Sequence[tuple[str, str, int]]) -> str:
        """Return where workers of all machines find files (name, digest, bytes) of a location: what they need is written.

        Raises:
            ObjectError: a file of this machine is missing, or has other bytes by now.
        """
        if not self._is_folder(location):
            return location
        _at_once(lambda file: self._share(Path(location) / file[0], file[1], file[2]), files)
        text = _text({"files": [list(file) for file in sorted(files)]})
        digest = sha256(text).hexdigest()
        if (self.bucket, digest) not in _SHARED:
            self.bucket.put(f"trees/{digest}.json", text)
            _SHARED.add((self.bucket, digest))
        return f"{self.bucket.url}/trees/{digest}"

    @contextmanager
    def publish(self, location: str) -> Iterator[Path]:
        """Give an empty folder that takes the place of the one at `location`, on this machine."""
        with replace_folder(Path(location)) as folder:
            yield folder

    def occupied(self, location: str, proof: str) -> str | None:
        """Return why nothing may be put at `location`."""
        return occupied(Path(location), proof)

    def require_writable(self, location: str) -> None:
        """Make sure that a folder can be put there."""
        require_writable(Path(location))

    def sweep(self, area: str = "*") -> int:
        """Remove what killed processes of this machine left unfinished; return how many folders."""
        return sum(sweep(self.home, name) for name in dict.fromkeys((area, "objects", "lent")))

    @property
    def _cache(self) -> Cache:
        return Cache(self.home, self.cache_bytes)

    def _location(self, area: str, key: str) -> str:
        return f"{self.bucket.url}/work/{area}/{key}"

    def _name(self, location: str) -> str:
        """Return the name of the list of files at a location."""
        return location.removeprefix(f"{self.bucket.url}/") + ".json"

    def _is_folder(self, location: str) -> bool:
        return not location.startswith("s3://")

    def _look(self, location: str) -> _Listing | None:
        """Return the list of files at a location as it is now; one that cannot be read has no files."""
        name = self._name(location)
        found = self.bucket.get(name)
        if found is None:
            _LISTINGS.pop((self.bucket, location), None)
            return None
        whole = not name.startswith("trees/") or sha256(found[0]).hexdigest() == PurePosixPath(name).stem
        listing = _parsed(found[0], found[1]) if whole else _Listing(tag=found[1])
        _LISTINGS[self.bucket, location] = listing
        return listing

    def _listing(self, location: str) -> _Listing | None:
        return _LISTINGS.get((self.bucket, location)) or self._look(location)

    def _file(self, location: str, name: str) -> tuple[str, int]:
        """Return digest and size of a file.

        Raises:
            ObjectError: there is none of this name.
        """
        listing = self._listing(location)
        if listing is None or name not in listing.files:
            raise ObjectError(
                f"{location}: there is no {name}, or the list of these files was changed by somebody else."
            )
        return listing.files[name]

    def _lend(self, location: str, folder: Path, name: str) -> None:
        digest, size = self._file(location, name)
        fetch = self._fetch(digest, size)
        self._told(location, name, partial(self._cache.lend, digest, size, fetch, folder / name))

    def _fetch(self, digest: str, size: int) -> Callable[[Callable[[bytes], object]], bool]:
        return partial(self.bucket.fetch, _object(digest), size)

    def _told(self, location: str, name: str, use: Callable[[], T]) -> T:
        """Use an object; where it is not what was written, take back what needs it, so that it is made again.

        Raises:
            ObjectError: it is missing or has other bytes; says what to do.
        """
        try:
            return use()
        except ObjectError as error:
            digest, _ = self._file(location, name)
            works = f"{self.bucket.url}/work/"
            with suppress(StoreError):
                self.bucket.delete(_object(digest))
                if location.startswith(works):
                    area, _, key = location.removeprefix(works).partition("/")
                    self.discard(area, key, self.seen(location))
            _SHARED.discard((self.bucket, digest))
            raise ObjectError(
                f"{location}/{name}: the object {self.bucket.url}/{_object(digest)} is missing, or was changed by somebody "
                "else: its bytes are not those that were written. It was taken back; start the same command again, which "
                "makes or writes it anew."
            ) from error

    def _upload(self, folder: Path) -> list[tuple[str, str, int]]:
        """Write all files of a folder; return their names, digests and sizes."""
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        return _at_once(lambda path: (path.relative_to(folder).as_posix(), *self._write(path)), paths)

    def _write(self, path: Path) -> tuple[str, int]:
        with path.open("rb") as stream:
            digest, size = file_digest(stream, "sha256").hexdigest(), stream.tell()
            self.bucket.upload(_object(digest), stream, size)
        self._cache.take(path, digest)
        return digest, size

    def _share(self, path: Path, digest: str, size: int) -> None:
        if (self.bucket, digest) in _SHARED:
            return
        if self.bucket.size(_object(digest)) != size:
            with path.open("rb") as stream:
                if file_digest(stream, "sha256").hexdigest() != digest or stream.tell() != size:
                    raise ObjectError(
                        f"{path}: this file has changed since this run looked at it. Start the same command again."
                    )
                self.bucket.upload(_object(digest), stream, size)
        _SHARED.add((self.bucket, digest))

    def _commit(self, area: str, key: str, files: Iterable[tuple[str, str, int]]) -> None:
        """Write the list of a unit's files, if there is none yet; where another was faster, that one stays."""
        location = self._location(area, key)
        text = _text({"attempt": uuid.uuid4().hex, "files": [list(file) for file in files]})
        for _ in range(_RACES):
            if self.bucket.put(self._name(location), text, ABSENT):
                _LISTINGS.pop((self.bucket, location), None)
                return
            found = self._look(location)
            if found is not None and not found.taken_back:
                return
            if found is not None and self.bucket.put(self._name(location), text, found.tag):
                _LISTINGS.pop((self.bucket, location), None)
                return
        raise StoreError(
            f"{location}: others commit and take back this work all the time. Start the same command again."
        )


# What this process knows: lists by bucket and location, and digests of what is in a bucket for workers to read.
_LISTINGS: dict[tuple[Bucket, str], _Listing] = {}
_SHARED: set[tuple[Bucket, str]] = set()


def _object(digest: str) -> str:
    return f"objects/{digest[:2]}/{digest}"


def _text(value: Mapping[str, Any]) -> bytes:
    held = json.dumps({"format": _FORMAT, **value}, sort_keys=True)
    return json.dumps({"seal": sha256(held.encode()).hexdigest(), "of": held}).encode()


def _parsed(data: bytes, tag: str) -> _Listing:
    """Return a list of files; one that is not as it was written has none."""
    try:
        sealed = json.loads(data)
        held = str(sealed["of"])
        if sha256(held.encode()).hexdigest() != sealed["seal"]:
            return _Listing(tag=tag)
        value = json.loads(held)
        if value.get("taken_back"):
            return _Listing(tag=tag, taken_back=True)
        files = {str(name): (str(digest), int(size)) for name, digest, size in value["files"]}
    except (ValueError, KeyError, TypeError):
        return _Listing(tag=tag)
    inside = all(not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts for name in files)
    return _Listing(files if inside else {}, tag)


def _at_once(call: Callable[[Any], T], items: Sequence[Any]) -> list[T]:
    """Return the results of a call for all items, some at a time."""
    if len(items) < 2:
        return [call(item) for item in items]
    with ThreadPoolExecutor(min(_AT_ONCE, len(items))) as threads:
        return list(threads.map(call, items))
