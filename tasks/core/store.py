"""What the store holds of a unit: its files with a record, and the blocks of one that is under way. Damaged = not there.

Both are sealed: what a later run takes as it is has the bytes that were written, or it is made again.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from infra.storage import Store, discard_folder, new_folder, place, take_place
from tasks.core.account import Account
from tasks.core.digest import digest_file
from tasks.core.errors import DamagedError
from tasks.core.manifest import FileRecord
from tasks.core.sealed import read_sealed, write_sealed

_RECORD = "record.json"
_BLOCK = "block.json"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UnitResult:
    """What a unit's function returns besides the files it wrote: its account and a small JSON summary."""

    account: Account | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Placement:
    """A file with its record, ready to be published under another name."""

    source: Path
    record: FileRecord


@dataclass(frozen=True)
class UnitRecord:
    """A finished unit in the store: its folder, its files, its account and summary."""

    folder: Path
    files: tuple[FileRecord, ...]
    account: Account | None
    summary: Mapping[str, Any]

    def file(self, path: str) -> Placement:
        """Return one of the unit's files, to be published."""
        return next(Placement(self.folder / record.path, record) for record in self.files if record.path == path)


def write_record(folder: Path, result: UnitResult) -> None:
    """Write down what a unit gave and which files it wrote into its folder."""
    value = {
        "files": [asdict(record) for record in _records(folder)],
        "account": result.account.to_json() if result.account else None,
        "summary": dict(result.summary),
    }
    write_sealed(folder / _RECORD, value)


def read_record(folder: Path) -> UnitRecord:
    """Return the record of a finished unit whose files are all as they were written.

    Raises:
        DamagedError: a file or the record is missing, damaged, or written by another version.
    """
    value = read_sealed(folder / _RECORD)
    try:
        files = tuple(FileRecord(**record) for record in value["files"])
        account = Account.from_json(value["account"]) if value["account"] else None
        summary = dict(value["summary"])
        wrong = [record.path for record in files if digest_file(folder / record.path) != record.digest]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{folder}: the record or a file of it cannot be read: {error!r}.") from error
    if wrong:
        raise DamagedError(f"{folder}: {len(wrong)} of {len(files)} files differ from their record; first: {wrong[0]}.")
    return UnitRecord(folder, files, account, summary)


def finished(store: Store, stage: str, key: str, say: Callable[[str], None]) -> UnitRecord | None:
    """Return the record of a finished unit, or None; a damaged one is told and removed, to be made again."""
    found = store.find(stage, key)
    if found is None:
        return None
    folder = Path(found)
    seen = folder.stat()
    try:
        return read_record(folder)
    except DamagedError as error:
        say(f"{stage}: {error} This unit is made again.")
        # Another process may have made it anew meanwhile: only what was seen goes.
        discard_folder(folder, seen)
        return None


def _records(folder: Path) -> list[FileRecord]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [FileRecord(path.relative_to(folder).as_posix(), digest_file(path), path.stat().st_size) for path in paths]


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
            write_sealed(folder / _BLOCK, {"state": state, "files": {path.name: digest_file(path) for path in files}})
            take_place(folder, self._path(number))

    def restore(self, folder: Path) -> list[str]:
        """Put the files of all kept blocks into `folder`; return their states, in order.

        A damaged block and those behind it are as good as none: they are removed.
        """
        states: list[str] = []
        while (path := self._path(len(states))).is_dir():
            try:
                files, state = _block(path)
            except DamagedError as error:
                _log.warning("%s The unit goes on from the block before it.", error)
                self.discard(len(states))
                break
            for name in files:
                place(path / name, folder / name)
            states.append(state)
        return states

    def discard(self, first: int = 0) -> None:
        """Remove the blocks from a number on, the last one first."""
        paths = [path for path in sorted(self._folder.glob("[0-9]*")) if int(path.name) >= first]
        for path in reversed(paths):
            discard_folder(path)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:05}"


def _block(path: Path) -> tuple[list[str], str]:
    """Return the names of a block's files and its state."""
    value = read_sealed(path / _BLOCK)
    try:
        files, state = dict(value["files"]), str(value["state"])
        wrong = [name for name, digest in files.items() if digest_file(path / name) != digest]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{path}: a file of this block cannot be read: {error!r}.") from error
    if wrong:
        raise DamagedError(f"{path}: {len(wrong)} of {len(files)} files of this block differ; first: {wrong[0]}.")
    return list(files), state
