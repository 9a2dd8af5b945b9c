"""A second store, as different from a folder as an object store is: flat objects under hashed names, fetched to be read."""

import io
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from infra.storage import Store
from tasks.core.digest import digest_bytes


@dataclass(frozen=True)
class BucketStore:
    """Objects of `bucket` have names like `work/s/key/out.txt`, which no folder of that name holds; `home` is local."""

    bucket: Path
    home: Path

    @property
    def shared_folders(self) -> bool:
        return True

    def begin(self) -> None:
        pass

    def find(self, area: str, key: str) -> str | None:
        location = f"work/{area}/{key}"
        return location if self._names(location) is not None else None

    @contextmanager
    def attempt(self, area: str, key: str) -> Iterator[Path]:
        with self._folder() as folder:
            yield folder
            if self.find(area, key) is None:
                self._upload(f"work/{area}/{key}", folder)

    @contextmanager
    def scratch(self, area: str, key: str) -> Iterator[Path]:
        folder = self.home / "scratch" / area / key
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        if self.find(area, key) is not None:
            shutil.rmtree(folder)

    @contextmanager
    def borrowed(self) -> Iterator[None]:
        yield

    def seen(self, location: str) -> object:
        return self._get(f"{location}/")

    def discard(self, area: str, key: str, seen: object) -> None:
        if self.seen(f"work/{area}/{key}") == seen:
            self._object(f"work/{area}/{key}/").unlink()

    def sweep(self, area: str = "*") -> int:
        return 0

    def keys(self, area: str) -> list[str]:
        index = self._get("index") or b"[]"
        head = f"work/{area}/"
        return [one.removeprefix(head) for one in reversed(json.loads(index)) if one.startswith(head)]

    def open(self, location: str, name: str) -> BinaryIO:
        if (data := self._get(f"{location}/{name}")) is None:
            raise FileNotFoundError(f"{location}/{name}")
        return io.BytesIO(data)

    def local(self, location: str, names: Sequence[str]) -> Path:
        folder = self.home / "cache" / digest_bytes(location.encode())
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with self.open(location, name) as stream:
                (folder / name).write_bytes(stream.read())
        return folder

    def read(self, location: str, name: str) -> str | None:
        data = self._get(f"{location}/{name}")
        return None if data is None else data.decode(errors="replace")

    def shared(self, location: str, files: Sequence[tuple[str, str, int]]) -> str:
        return location

    def note(self, area: str, name: str, text: str) -> None:
        self._put(f"notes/{area}/{name}", text.encode())

    def noted(self, area: str, name: str) -> str | None:
        return self.read(f"notes/{area}", name)

    @contextmanager
    def publish(self, location: str) -> Iterator[Path]:
        with self._folder() as folder:
            yield folder
            self._upload(location, folder)

    def occupied(self, location: str, proof: str) -> str | None:
        names = self._names(location)
        return None if not names or proof in names else f"{location}: not ours"

    def require_writable(self, location: str) -> None:
        pass

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        self.home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.home) as folder:
            yield Path(folder)

    def _upload(self, location: str, folder: Path) -> None:
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        for name in names:
            self._put(f"{location}/{name}", (folder / name).read_bytes())
        # The list of names comes last: without it nothing is there.
        self._put(f"{location}/", json.dumps(names).encode())
        known = json.loads(self._get("index") or b"[]")
        self._put("index", json.dumps([*known, location]).encode())

    def _names(self, location: str) -> list[str] | None:
        data = self._get(f"{location}/")
        return None if data is None else list(json.loads(data))

    def _object(self, name: str) -> Path:
        return self.bucket / digest_bytes(name.encode())

    def _get(self, name: str) -> bytes | None:
        path = self._object(name)
        return path.read_bytes() if path.is_file() else None

    def _put(self, name: str, data: bytes) -> None:
        self.bucket.mkdir(parents=True, exist_ok=True)
        self._object(name).write_bytes(data)


STORE: type[Store] = BucketStore
