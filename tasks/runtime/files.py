"""Files a user brings: as handles, so that their content is identity and their place is not."""

from collections.abc import Mapping
from pathlib import Path

from infra.storage import Store
from tasks.core.digest import digest_file
from tasks.core.handles import Handle


def handle_of(store: Store, path: Path) -> Handle:
    """Return a file of this machine, which every worker must see, as a handle."""
    found = path.absolute()
    return Handle(store, str(found.parent), found.name, digest_file(found), found.stat().st_size)


def handles_of(store: Store, paths: Mapping[str, Path]) -> dict[str, Handle]:
    """Return several files by name."""
    return {name: handle_of(store, path) for name, path in paths.items()}
