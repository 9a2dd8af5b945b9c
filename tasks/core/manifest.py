"""The manifest: what a stage made, from what, and where every document went. It is the commit point.

It holds no clock, host, attempt or absolute path, so that the same work gives the same bytes.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tasks.core.account import Account
from tasks.core.digest import digest_file, digest_json, digest_tree
from tasks.core.errors import DataError

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

    `key` is the digest of stage, inputs, params and code; `output` the digest over (path, digest) of all files.
    `account` is None for a stage whose unit is not the document. `summary` is what a reader wants first, as JSON.
    `environment` names what float results depend on (threads, instruction set, library versions), else empty.
    """

    stage: str
    inputs: Mapping[str, str]
    params: Mapping[str, Any]
    code: str
    files: tuple[FileRecord, ...]
    account: Account | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        paths = [record.path for record in self.files]
        if paths != sorted(set(paths)):
            raise ValueError("files of a manifest must be sorted by path, each once")

    @property
    def key(self) -> str:
        """The digest of everything that decides the output."""
        return stage_key(self.stage, self.inputs, self.params, self.code)

    @property
    def output(self) -> str:
        """The digest of everything that came out."""
        return digest_tree({record.path: record.digest for record in self.files})

    def write(self, folder: Path) -> None:
        """Write `manifest.json` into a folder."""
        value = {
            "stage": self.stage,
            "key": self.key,
            "output": self.output,
            "inputs": dict(self.inputs),
            "params": dict(self.params),
            "code": self.code,
            "account": self.account.to_json() if self.account else None,
            "summary": dict(self.summary),
            "environment": dict(self.environment),
            "files": [asdict(record) for record in self.files],
        }
        text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")

    @staticmethod
    def read(folder: Path) -> "Manifest":
        """Read `manifest.json` of a stage's folder.

        Raises:
            DataError: there is none, it cannot be read, or its key or output do not match its content.
        """
        path = folder / MANIFEST
        if not path.is_file():
            raise DataError(f"{folder}: no {MANIFEST} here, so no stage has finished in it. Run that stage first.")
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            manifest = Manifest(
                stage=value["stage"],
                inputs=value["inputs"],
                params=value["params"],
                code=value["code"],
                files=tuple(FileRecord(**record) for record in value["files"]),
                account=Account.from_json(value["account"]) if value["account"] else None,
                summary=value["summary"],
                environment=value["environment"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: not a manifest this version can read: {error}. Run the stage again.") from error
        if (manifest.key, manifest.output) != (value["key"], value["output"]):
            raise DataError(f"{path}: its key or output digest does not match its content; it was edited. Run again.")
        return manifest

    def verify(self, folder: Path) -> None:
        """Check size and digest of every file.

        Raises:
            DataError: how many files are missing or differ, and the first of them.
        """
        wrong = [record.path for record in self.files if not _same(folder / record.path, record)]
        if wrong:
            raise DataError(
                f"{folder}: {len(wrong)} of {len(self.files)} files are missing or differ from the manifest; first: "
                f"{wrong[0]}. Get them again with `dvc checkout` or `dvc pull`, or run the stage again."
            )


def _same(path: Path, record: FileRecord) -> bool:
    return path.is_file() and path.stat().st_size == record.bytes and digest_file(path) == record.digest


def stage_key(stage: str, inputs: Mapping[str, str], params: Mapping[str, Any], code: str) -> str:
    """Return the identity of a stage's work: the same key means the same output."""
    return digest_json({"stage": stage, "inputs": dict(inputs), "params": dict(params), "code": code})
