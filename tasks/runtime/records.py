"""What the store holds of a unit: its files with a record, and the blocks of one that is under way. Damaged = not there.

Both are sealed: what a later run takes as it is has the bytes that were written, or it is made again.
"""

import logging
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from infra.folders import discard_folder, new_folder, place, take_place
from infra.machine import instruction_set
from infra.storage import Store
from tasks.core.account import Account
from tasks.core.digest import digest_file, digest_json
from tasks.core.errors import DamagedError
from tasks.core.handles import Handle, Tree
from tasks.core.results import UnitResult
from tasks.core.sealed import parse_sealed, read_sealed, sealed_text, write_sealed

_RECORD = "record.json"
_BLOCK = "block.json"
_DIFFERENT = "different"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UnitRecord:
    """A finished unit in the store: its files, its account and summary, what identified it, and where it was computed.

    `environment` is recorded and in no key: see `environment_of`. `differs`: the same work, done again elsewhere, gave
    other bytes; the first stayed.
    """

    key: str
    tree: Tree
    account: Account | None
    summary: Mapping[str, Any]
    identity: Mapping[str, Any]
    environment: Mapping[str, str]

    @property
    def digest(self) -> str:
        """The digest of all that the unit gave."""
        return _result_digest(self.tree.files, self.account, self.summary)

    @property
    def folder(self) -> Path:
        """The unit's files as a local folder, which nobody may change."""
        return self.tree.local()

    def file(self, name: str) -> Handle:
        """Return one of the unit's files."""
        return self.tree[name]


def environment_of(libraries: Mapping[str, str]) -> dict[str, str]:
    """Return what the last bits of float results depend on besides what is in the key, in this process.

    `instruction_set` is what torch has chosen (or the machine, without torch), `threads` is pinned to 1.
    """
    if "torch" in libraries or "sentence_transformers" in libraries:
        return _float_environment()
    if "sklearn" in libraries or "scipy" in libraries:
        return {"machine": platform.machine(), "blas": _blas(), "threads": "1"}
    return {"machine": platform.machine()}


@cache
def _blas() -> str:
    """Return the BLAS of numpy and scipy, each with the instruction set it chose."""
    # Both bring one of their own; loaded here, they are named whatever else this process has imported.
    import numpy  # noqa: F401
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_info

    found = (lib for lib in threadpool_info() if lib["user_api"] == "blas")
    return ", ".join(sorted({f"{lib['internal_api']} {lib['version']} {lib.get('architecture')}" for lib in found}))


@cache
def _float_environment() -> dict[str, str]:
    return {"machine": platform.machine(), "instruction_set": instruction_set(), "threads": "1"}


def write_record(folder: Path, result: UnitResult, identity: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    """Write down what a unit gave and which files it wrote into its folder; return the digest of it."""
    files = _files(folder)
    value = {
        "files": [list(file) for file in files],
        "account": result.account.to_json() if result.account else None,
        "summary": dict(result.summary),
        "identity": dict(identity),
        "environment": dict(environment),
    }
    write_sealed(folder / _RECORD, value)
    return _result_digest(files, result.account, result.summary)


def read_record(store: Store, key: str, location: str) -> UnitRecord:
    """Return the record of a finished unit whose files are all as they were written.

    Raises:
        DamagedError: a file or the record is missing, damaged, or written by another version.
    """
    record = described(store, key, location)
    wrong = [handle.name for handle in record.tree if not handle.intact()]
    if wrong:
        raise DamagedError(
            f"{location}: {len(wrong)} of {len(record.tree)} files differ from their record; first: {wrong[0]}."
        )
    return record


def described(store: Store, key: str, location: str) -> UnitRecord:
    """Return the record of a finished unit, without a look at its files.

    Raises:
        DamagedError: the record is missing, damaged, or written by another version.
    """
    text = store.read(location, _RECORD)
    value = parse_sealed(text or "", f"{location}/{_RECORD}")
    try:
        files = tuple((str(name), str(digest), int(size)) for name, digest, size in value["files"])
        account = Account.from_json(value["account"]) if value["account"] else None
        return UnitRecord(
            key,
            Tree(store, location, files),
            account,
            dict(value["summary"]),
            dict(value["identity"]),
            dict(value["environment"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{location}: the record cannot be read: {error!r}.") from error


def finished(store: Store, area: str, key: str, say: Callable[[str], None]) -> UnitRecord | None:
    """Return the record of a finished unit, or None; a damaged one is told and removed, to be made again."""
    location = store.find(area, key)
    if location is None:
        return None
    seen = store.seen(location)
    try:
        return read_record(store, key, location)
    except DamagedError as error:
        say(f"{area}: {error} This unit is made again.")
        # Another process may have made it anew meanwhile: only what was seen goes.
        store.discard(area, key, seen)
        return None


def keep(
    store: Store, area: str, key: str, work: Callable[[Path], UnitResult], identity: Mapping[str, Any], libraries: Any
) -> None:
    """Do a unit's work in a new folder and keep it under its key.

    If another attempt was faster that one stays; where it has other bytes, that is noted (see `differences`).
    """
    environment = environment_of(libraries)
    with store.attempt(area, key) as folder:
        made = write_record(folder, work(folder), identity, environment)
    location = store.find(area, key)
    if location is None:
        return
    try:
        first = described(store, key, location)
    except DamagedError:
        return  # whoever looks for it next has it made again
    if first.digest != made:
        value = {"first": dict(first.environment), "second": environment, "digest": made}
        store.note(area, f"{_DIFFERENT}-{key}-{made[:12]}.json", sealed_text(value))
        _log.warning(
            "%s: the same work gave other numbers before, under %s; here: %s. The first result stays.",
            *(area, dict(first.environment), environment),
        )


def _files(folder: Path) -> tuple[tuple[str, str, int], ...]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return tuple(
        sorted((path.relative_to(folder).as_posix(), digest_file(path), path.stat().st_size) for path in paths)
    )


def _result_digest(files: Sequence[tuple[str, str, int]], account: Account | None, summary: Mapping[str, Any]) -> str:
    value = account.to_json() if account else None
    return digest_json({"files": [list(file) for file in files], "account": value, "summary": dict(summary)})


class FolderBlocks:
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
