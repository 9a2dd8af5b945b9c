"""Attempts, blocks and atomic folders: nothing is visible until it is whole.

Finished work lives in a content-keyed store outside the DVC outputs, one folder per key. An attempt writes into a
folder of its own and is moved into place with one rename, so that a crash anywhere leaves nothing half done. A long
unit may keep blocks on its way: the attempt after a crash begins behind the last of them.
"""

import errno
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from infra.errors import SpaceError

_ATTEMPT = ".attempt-"
_BLOCKS = ".blocks-"
_BLOCK = "block.json"
# No unit works for a day without writing; a guess on the safe side.
_ABANDONED_S = 86_400.0


class AttemptStore:
    """Finished attempts by key, in a folder that every worker can reach."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, stage: str, key: str) -> Path | None:
        """Return the folder of a finished attempt, or None."""
        path = self._path(stage, key)
        return path if path.is_dir() else None

    @contextmanager
    def attempt(self, stage: str, key: str) -> Iterator[Path]:
        """Give a new empty folder; when the block ends without error it becomes the attempt called `key`.

        If another attempt was faster its result stays: the same key means the same bytes.

        Raises:
            SpaceError: the disk is full; names the folder.
        """
        final = self._path(stage, key)
        with new_folder(final) as folder:
            yield folder
            fsync_tree(folder)
            _rename(folder, final)
        self.blocks(stage, key).discard()

    def blocks(self, stage: str, key: str) -> "Blocks":
        """Return what earlier attempts called `key` kept on their way; it goes when one of them is finished."""
        return Blocks(self.scratch(stage, key))

    def scratch(self, stage: str, key: str) -> Path:
        """Return where attempts called `key` may keep what they need to go on; it goes when one of them is finished."""
        final = self._path(stage, key)
        return final.parent / f"{_BLOCKS}{final.name}"

    def discard(self, stage: str, key: str) -> None:
        """Remove an attempt, because its content was found to be damaged."""
        shutil.rmtree(self._path(stage, key), ignore_errors=True)

    def sweep(self, older_than_s: float = _ABANDONED_S) -> int:
        """Remove what killed workers left unfinished and nobody has touched for so long; return how many attempts."""
        limit = time.time() - older_than_s
        unfinished = [path for name in (_ATTEMPT, _BLOCKS) for path in self.root.glob(f"*/*/{name}*")]
        stale = [path for path in unfinished if path.stat().st_mtime < limit]
        for path in stale:
            shutil.rmtree(path, ignore_errors=True)
        return len(stale)

    def _path(self, stage: str, key: str) -> Path:
        return self.root / stage / key[:2] / key


class Blocks:
    """The blocks of one unit, each a folder that is there whole or not at all, in the order they were kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, number: int, files: Sequence[Path], state: str) -> None:
        """Keep finished files, and what the unit needs to go on behind them, as block `number`.

        If another attempt was faster its block stays: the same unit gives the same blocks.

        Raises:
            SpaceError: the disk is full; names the folder.
        """
        with new_folder(self._path(number)) as folder:
            for path in files:
                place(path, folder / path.name)
            value = {"state": state, "files": {path.name: _digest(path) for path in files}}
            (folder / _BLOCK).write_text(json.dumps(value, sort_keys=True), encoding="utf-8")
            fsync_tree(folder)
            _rename(folder, self._path(number))

    def restore(self, folder: Path) -> list[str]:
        """Put the files of all kept blocks into `folder`; return their states, in order.

        A damaged block and those behind it are as good as none: they are removed.
        """
        states: list[str] = []
        while (path := self._path(len(states))).is_dir():
            try:
                value = json.loads((path / _BLOCK).read_text(encoding="utf-8"))
                intact = all(_digest(path / name) == digest for name, digest in value["files"].items())
            except (OSError, ValueError, KeyError):
                intact = False
            if not intact:
                self.discard(len(states))
                break
            for name in value["files"]:
                place(path / name, folder / name)
            states.append(value["state"])
        return states

    def discard(self, first: int = 0) -> None:
        """Remove the blocks from a number on, the last one first."""
        paths = [path for path in sorted(self._folder.glob("[0-9]*")) if int(path.name) >= first]
        for path in reversed(paths):
            shutil.rmtree(path, ignore_errors=True)
        if first == 0:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:05}"


@contextmanager
def new_folder(beside: Path) -> Iterator[Path]:
    """Give an empty folder next to `beside` (the same file system), removed at the end if it is still there."""
    folder = beside.parent / f"{_ATTEMPT}{beside.name}-{uuid.uuid4().hex[:8]}"
    try:
        folder.mkdir(parents=True)
        yield folder
    except OSError as error:
        raise _explained(error, folder) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def replace_folder(target: Path) -> Iterator[Path]:
    """Give an empty folder that takes the place of `target` when the block ends without error."""
    for stale in target.parent.glob(f"{_ATTEMPT}{target.name}-*"):
        shutil.rmtree(stale, ignore_errors=True)
    with new_folder(target) as folder:
        yield folder
        fsync_tree(folder)
        # Aside in one step: a kill leaves the old folder or none in its place, never a part of it.
        with new_folder(target) as aside:
            if target.exists():
                target.rename(aside / target.name)
            folder.rename(target)


def place(source: Path, target: Path) -> None:
    """Put a file at `target` without copying where the file system allows it; the content is never edited in place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def keep_first(path: Path, text: str) -> str:
    """Write a small file whole, unless it is there; return what it then holds: the first writer's text stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    try:
        draft.write_text(text, encoding="utf-8")
        _fsync(draft)
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path.read_text(encoding="utf-8")


def require_space(folder: Path, needed: int) -> None:
    """Refuse to start when the disk cannot hold what will be written.

    Raises:
        SpaceError: names the folder, the bytes needed and the bytes free.
    """
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise SpaceError(
            f"{folder}: about {needed / 1e6:,.0f} MB will be written, {free / 1e6:,.0f} MB are free. "
            "Free some space or choose another folder; finished work is kept and the same command goes on from there."
        )


def fsync_tree(folder: Path) -> None:
    """Flush a folder's files and the folder itself to the disk."""
    for path in sorted(folder.rglob("*")):
        _fsync(path)
    _fsync(folder)


def _rename(folder: Path, final: Path) -> None:
    try:
        folder.rename(final)
    except OSError as error:
        if error.errno not in {errno.EEXIST, errno.ENOTEMPTY}:
            raise


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explained(error: OSError, folder: Path) -> OSError | SpaceError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return SpaceError(f"{folder}: no space left on the device. Free some space; the same command then goes on.")
    return error
