"""Files a user brings, such as a tokenizer or a model: wherever they lie, their content is what they are."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.storage import FolderStore
from tasks.core.digest import digest_file
from tasks.core.errors import ConfigError
from tasks.core.handles import Handle, Tree


def file_handle(path: Path) -> Handle:
    """Return a file that the user brings; every worker must see it."""
    found = path.absolute()
    return Handle(FolderStore(found.parent), str(found.parent), found.name, digest_file(found), found.stat().st_size)


def file_handles(paths: Mapping[str, Path]) -> dict[str, Handle]:
    """Return several files by name."""
    return {name: file_handle(path) for name, path in paths.items()}


def folder_tree(folder: Path, names: Sequence[str] | None = None) -> Tree:
    """Return files of a folder that the user brings, such as a model: wherever it lies, its content is what it is.

    `names`: those that are read; None: all of them.

    Raises:
        ConfigError: it is no folder, or an empty one.
    """
    paths = sorted(
        path for path in (folder.rglob("*") if names is None else map(folder.joinpath, names)) if path.is_file()
    )
    if not paths or (names is not None and len(paths) < len(names)):
        raise ConfigError(f"{folder}: there is no file in this folder, or no such folder. Name the one that is meant.")
    files = [(path.relative_to(folder).as_posix(), digest_file(path), path.stat().st_size) for path in paths]
    return Tree.of(FolderStore(folder), str(folder.absolute()), files)
