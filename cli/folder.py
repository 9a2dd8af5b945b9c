"""The folder of a run: a workspace, or a clone at a version's tag, with what each stage published."""

from dataclasses import dataclass
from pathlib import Path

from infra.settings import load_settings
from tasks.core.errors import DataError
from tasks.core.manifest import MANIFEST, Manifest
from tasks.stages import NAMES


@dataclass(frozen=True)
class RunFolder:
    """A run's published data: a workspace, or a clone at a version's tag."""

    path: Path

    def stage(self, name: str) -> Path:
        """Return the folder a stage published."""
        return self.path / "data" / name

    def manifests(self) -> dict[str, Manifest]:
        """Return the manifests of all stages that have finished, in order."""
        return {name: Manifest.read(self.stage(name)) for name in NAMES if (self.stage(name) / MANIFEST).is_file()}


def run_folder(path: Path | None) -> RunFolder:
    """Return the run at `path`, or the newest workspace.

    Raises:
        DataError: there is no run there, or none at all.
    """
    if path is not None:
        if not (path / "data").is_dir():
            raise DataError(f"{path}: no run here (no folder `data`). Name a workspace or a clone at a version's tag.")
        return RunFolder(path)
    workspaces = load_settings().home / "workspaces"
    found = sorted(workspaces.glob("*/data/ingest/manifest.json"), key=lambda manifest: manifest.stat().st_mtime)
    if not found:
        raise DataError(f"{workspaces}: no run has been made yet. Start one: mixwright run.")
    return RunFolder(found[-1].parents[2])
