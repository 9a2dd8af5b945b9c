"""The stores that give the same guarantees, and what a test does to each as a stranger would: spoil a file, drop copies."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import object_cache, object_store, s3
from infra.object_store import ObjectStore
from infra.s3 import Bucket
from infra.storage import FolderStore, Store
from tests.fixtures_s3 import S3
from tests.runtime.damage import write

CACHE_BYTES = 1_000_000_000


@pytest.fixture
def bucket(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty part of the server's bucket; credentials and address are where every S3 client looks for them."""
    set_environment(s3, monkeypatch)
    yield Bucket(s3.bucket, uuid.uuid4().hex, timeout_s=10.0, deadline_s=60.0)
    forget()


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.s3)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Each kind of store, empty."""
    if request.param == "folder":
        return FolderStore(tmp_path / "store")
    return ObjectStore(request.getfixturevalue("bucket"), tmp_path / "store", CACHE_BYTES)


_CLIENT_OF: list[S3] = []


def set_environment(server: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process and its children use a server; a client is kept for the next who uses the same one."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    if [server] != _CLIENT_OF:
        forget_client()
        _CLIENT_OF.append(server)
    forget()


def forget_client() -> None:
    """Let the next call look for its server and credentials again."""
    s3._client.cache_clear()
    _CLIENT_OF.clear()


def forget() -> None:
    """Forget what this process knows of stores, as a new one would."""
    object_store._LISTINGS.clear()
    object_store._SHARED.clear()
    object_cache._SEEN.clear()
    object_cache._ADDED.clear()


def elsewhere(store: ObjectStore, home: Path) -> ObjectStore:
    """Return the same store as another machine has it, which knows nothing yet."""
    forget()
    return ObjectStore(store.bucket, home, store.cache_bytes)


def spoil(store: Store, area: str, key: str, name: str, data: bytes | None) -> None:
    """Put other bytes in the place of a file of finished work, or none, and forget the copies of it."""
    location = store.find(area, key)
    assert location is not None
    if not isinstance(store, ObjectStore):
        path = Path(location) / name
        path.unlink() if data is None else write(path, data)
        return
    digest, _ = store._file(location, name)
    if data is None:
        store.bucket.delete(object_store._object(digest))
    else:
        store.bucket.put(object_store._object(digest), data)
    shutil.rmtree(store.home / "objects", ignore_errors=True)
    forget()


def notes(store: Store, area: str) -> list[str]:
    """Return the names of the texts that are kept beside an area."""
    if isinstance(store, ObjectStore):
        return sorted(name.rpartition("/")[2] for name, _ in store.bucket.names(f"notes/{area}/"))
    return sorted(path.name for path in (store.home / area).iterdir() if path.is_file())
