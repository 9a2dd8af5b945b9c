"""Records of runs: each says in full what MLflow is to hold of one run, and stands in a file until MLflow holds it.

A record is made of what stands finished (a stage's manifest, a trained model), so the same work makes the same record. Those
that MLflow does not hold yet lie in `waiting`, those that it holds in `shown`.
"""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from infra.disk import explained

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Dataset(_Frozen):
    """A data set that a run reads: `digest` in full, `tags` such as `dvc.rev` and `dvc.md5`."""

    name: str
    digest: str
    context: str
    tags: Mapping[str, str] = {}


class Model(_Frozen):
    """A folder of safetensors and JSON to register as a version of the model `name`."""

    name: str
    folder: Path
    aliases: tuple[str, ...] = ()
    tags: Mapping[str, str] = {}


class RunRecord(_Frozen):
    """What MLflow is to hold of a run.

    `key` finds it again, `parent` is the key of the run above it (None: the top one of a lineage). `curves` are (step,
    value) pairs; `artifacts` files, or folders with all that is in them; `texts` become artifacts under their names, and
    `tables` (rows of cells by column) artifacts that MLflow shows as tables.
    """

    key: str
    name: str
    parent: str | None = None
    status: Status = "RUNNING"
    params: Mapping[str, Any] = {}
    metrics: Mapping[str, float] = {}
    curves: Mapping[str, tuple[tuple[int, float], ...]] = {}
    artifacts: tuple[Path, ...] = ()
    texts: Mapping[str, str] = {}
    tables: Mapping[str, tuple[Mapping[str, Any], ...]] = {}
    tags: Mapping[str, str] = {}
    datasets: tuple[Dataset, ...] = ()
    models: tuple[Model, ...] = ()

    def changed(self, **fields: Any) -> "RunRecord":
        """Return the record with other fields."""
        return self.model_validate(self.model_dump() | fields)

    @cached_property
    def content(self) -> str:
        """The digest of what is written once and never changed: params, metrics, curves, artifacts, texts and tables."""
        # Runs without tables are not shown again for the want of them.
        some = {"tables"} if self.tables else set[str]()
        fields = self.model_dump_json(include={"params", "metrics", "curves", "artifacts", "texts", *some})
        files = [hashlib.sha256(path.read_bytes()).hexdigest() for each in self.artifacts for path in _files(each)]
        return hashlib.sha256("\n".join([fields, *files]).encode()).hexdigest()

    @cached_property
    def labels(self) -> str:
        """The digest of what labels the content and may change: tags, data sets and models."""
        return hashlib.sha256(self.model_dump_json(include={"tags", "datasets", "models"}).encode()).hexdigest()


class Records:
    """The records of one workspace, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, key: str) -> RunRecord | None:
        """Return the record of a run as it was put last; None where there is none, or it is damaged."""
        for path in (self._path("waiting", key), self._path("shown", key)):
            with suppress(OSError, ValueError):
                return RunRecord.model_validate_json(path.read_bytes())
        return None

    def put(self, record: RunRecord) -> bool:
        """Keep a record until it is shown; return False where MLflow holds it already, finished and the same."""
        text = record.model_dump_json()
        shown = self._path("shown", record.key)
        if record.status == "FINISHED" and shown.is_file() and shown.read_text(encoding="utf-8") == text:
            return False
        waiting = self._path("waiting", record.key)
        with explained(self._folder):
            waiting.parent.mkdir(parents=True, exist_ok=True)
            draft = waiting.with_suffix(".part")
            draft.write_text(text, encoding="utf-8")
            draft.replace(waiting)
        return True

    def shown(self, record: RunRecord, place: str = "") -> None:
        """Take note that MLflow holds a record now, and where in its pages."""
        with explained(self._folder):
            shown = self._path("shown", record.key)
            shown.parent.mkdir(parents=True, exist_ok=True)
            if place:
                shown.with_suffix(".place").write_text(place, encoding="utf-8")
            self._path("waiting", record.key).replace(shown)

    def place(self, key: str) -> str | None:
        """Return where in MLflow's pages a record was shown last; None where that is not known."""
        with suppress(OSError, ValueError):
            return self._path("shown", key).with_suffix(".place").read_text(encoding="utf-8") or None
        return None

    def waiting(self) -> list[RunRecord]:
        """Return the records that MLflow does not hold yet; a damaged one waits for nothing and is removed."""
        found = []
        for path in sorted((self._folder / "waiting").glob("*.json")):
            try:
                found.append(RunRecord.model_validate_json(path.read_bytes()))
            except (OSError, ValueError):
                path.unlink(missing_ok=True)
        return found

    def forget_shown(self) -> None:
        """Let everything wait again: the server is a new one that holds nothing."""
        for path in sorted((self._folder / "shown").glob("*.json")):
            path.with_suffix(".place").unlink(missing_ok=True)
            waiting = self._folder / "waiting" / path.name
            waiting.parent.mkdir(parents=True, exist_ok=True)
            if not waiting.exists():
                path.replace(waiting)

    def _path(self, state: str, key: str) -> Path:
        return self._folder / state / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"


def _files(path: Path) -> list[Path]:
    return sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
