"""The manifest: what a stage made, from what, and where every document went. It is the commit point.

It holds no clock, host, attempt or absolute path, so that the same work gives the same bytes.
"""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tasks.core.account import Account
from tasks.core.digest import digest_file, digest_json
from tasks.core.errors import DamagedError, DataError
from tasks.core.sealed import parse_sealed, plain, write_sealed

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class FileRecord:
    """One published file: path relative to the stage's folder, SHA-256, size in bytes."""

    path: str
    digest: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """What a stage published.

    `key` is the digest of all that decides the output (see `tasks.core.identity`): `inputs` by name, `params`, `code` (a
    digest over the `modules`), `libraries` by version and, for float stages, the kind of `device`. `output` is the digest
    over (path, digest) of all files, account and summary. `account` is None for a stage whose unit is not the document.
    `summary` is what people want first, as JSON. `environment` names what else float results depend on (threads,
    instruction set); it is no part of `output`, so that the same bytes made elsewhere are the same output. All of it is
    under the seal.
    """

    stage: str
    inputs: Mapping[str, str]
    params: Mapping[str, Any]
    code: str
    files: tuple[FileRecord, ...]
    account: Account | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    modules: Mapping[str, str] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)
    device: str | None = None

    def __post_init__(self) -> None:
        paths = [record.path for record in self.files]
        if paths != sorted(set(paths)):
            raise ValueError("files of a manifest must be sorted by path, each once")

    @property
    def output(self) -> str:
        """The digest of everything that came out."""
        files = {record.path: record.digest for record in self.files}
        return digest_json({"files": files, "account": self._account(), "summary": plain(self.summary)})

    def write(self, folder: Path) -> None:
        """Write `manifest.json` into a folder."""
        write_sealed(folder / MANIFEST, self.to_json(), indent=1)

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as it stands in its file, without the seal."""
        return {
            "stage": self.stage,
            "key": self.key,
            "output": self.output,
            "inputs": dict(self.inputs),
            "params": dict(self.params),
            "code": self.code,
            "modules": dict(self.modules),
            "libraries": dict(self.libraries),
            "device": self.device,
            "account": self._account(),
            "summary": dict(self.summary),
            "environment": dict(self.environment),
            "files": [asdict(record) for record in self.files],
        }

    def _account(self) -> dict[str, Any] | None:
        return self.account.to_json() if self.account else None

    @staticmethod
    def read(folder: Path) -> "Manifest":
        """Read `manifest.json` of a stage's folder.

        Raises:
            DamagedError: it is not what was written.
            DataError: there is none, or it is that of another version.
        """
        path = folder / MANIFEST
        if not path.is_file():
            raise DataError(f"{folder}: no {MANIFEST} here, so no stage has finished in it. Run that stage first.")
        return Manifest.parse(path.read_text(encoding="utf-8", errors="replace"), str(path))

    @staticmethod
    def parse(text: str, where: str) -> "Manifest":
        """Return the manifest that a text holds; `where` names it in errors.

        Raises:
            DamagedError: it is not what was written.
            DataError: it is that of another version.
        """
        try:
            value = parse_sealed(text, where)
            return Manifest(
                stage=value["stage"],
                inputs=value["inputs"],
                params=value["params"],
                code=value["code"],
                files=tuple(FileRecord(**record) for record in value["files"]),
                account=Account.from_json(value["account"]) if value["account"] else None,
                summary=value["summary"],
                environment=value["environment"],
                key=value["key"],
                modules=value["modules"],
                libraries=value["libraries"],
                device=value["device"],
            )
        except DamagedError as error:
            raise DamagedError(
                f"{error} Run the stage again with the same command, which makes anew what is damaged or was written by "
                "an earlier version."
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{where}: not a manifest this version can read: {error}. Run the stage again.") from error

    def verify(self, folder: Path, *read: str) -> None:
        """Check size and digest of every file, or of those whose path begins with one of `read`; hashed in threads.

        Raises:
            DamagedError: how many files are missing or differ, the first of them, and the stage that makes them again.
        """
        records = [record for record in self.files if not read or record.path.startswith(read)]
        with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as threads:
            same = list(threads.map(lambda record: _same(folder / record.path, record), records))
        wrong = [record.path for record, intact in zip(records, same, strict=True) if not intact]
        if wrong:
            raise DamagedError(
                f"{folder}: {len(wrong)} of {len(records)} files are missing or are not what {self.stage} published; "
                f"first: {wrong[0]}. Run {self.stage} again with the same command (`mixwright run` does it by itself), or "
                "get the files again with `dvc checkout` or `dvc pull`."
            )


def _same(path: Path, record: FileRecord) -> bool:
    try:
        return path.stat().st_size == record.bytes and digest_file(path) == record.digest
    except OSError:
        return False
