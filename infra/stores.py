"""The store of these settings: a folder of the home, or a bucket."""

from infra.object_store import ObjectStore
from infra.s3 import Bucket
from infra.settings import Settings
from infra.storage import FolderStore, Store


def store_of(settings: Settings) -> Store:
    """Return where finished work lies; `begin` of a bucket's is for who works."""
    home = settings.home / "store"
    if settings.store is None:
        return FolderStore(home)
    name, _, prefix = settings.store.removeprefix("s3://").partition("/")
    return ObjectStore(Bucket(name, prefix), home, int(settings.cache_gb * 1e9))
