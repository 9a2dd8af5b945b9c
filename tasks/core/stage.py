"""What a stage driver works with: its inputs verified, units of work, and one manifest that publishes them.

A driver (`tasks/<stage>/stage.py`) reads its inputs with `stage_input`, lists its units, maps them with `map_units`, and
calls `publish`. Whoever calls it (a Prefect task, `dvc repro`, a test) gives it a `Workshop`: where work runs, where it
is kept, and who watches.
"""

import logging
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.storage import place, replace_folder, require_writable
from tasks.core.digest import digest_file
from tasks.core.errors import ConfigError, DamagedError, DataError
from tasks.core.inputs import StageInput, stage_input
from tasks.core.manifest import MANIFEST, FileRecord, Manifest, stage_key
from tasks.core.published import Published
from tasks.core.store import Blocks, Placement, UnitRecord, UnitResult
from tasks.core.units import (
    BlockWork,
    GroupWork,
    SharedWork,
    UnitWork,
    grouped,
    map_block_units,
    map_grouped_units,
    map_shared_units,
    map_units,
)
from tasks.runtime.context import Workshop, workshop_of

__all__ = [
    "BlockWork",
    "Blocks",
    "GroupWork",
    "Placement",
    "SharedWork",
    "StageInput",
    "UnitRecord",
    "UnitResult",
    "UnitWork",
    "Workshop",
    "float_environment",
    "grouped",
    "map_block_units",
    "map_grouped_units",
    "map_shared_units",
    "map_units",
    "publish",
    "stage_input",
    "unchanged",
    "workshop_of",
]

_log = logging.getLogger(__name__)


def unchanged(
    output: Path, *, stage: str, inputs: Mapping[str, str], params: Mapping[str, Any], code: str
) -> Manifest | None:
    """Return the manifest in `output` if this very work was published there and its files are all in place.

    Raises:
        ConfigError: `output` holds something that no stage has published, and would be replaced.
        PlaceError: there is work to do and `output` cannot be written.
    """
    _require_replaceable(output)
    try:
        manifest = Manifest.read(output)
        if manifest.key == stage_key(stage, inputs, params, code):
            manifest.verify(output)
            return manifest
    except DamagedError as error:
        _log.warning("%s: %s It is made again now.", stage, error)
    except DataError:
        pass  # nothing is there yet
    require_writable(output)
    return None


def _require_replaceable(output: Path) -> None:
    """Refuse, before any work is done, to publish where that would remove what is not ours."""
    if output.resolve() in (Path.cwd(), *Path.cwd().parents):
        raise ConfigError(f"{output}: the output is the folder this runs in, which it would replace. Name a new one.")
    if output.is_dir() and any(output.iterdir()) and not (output / MANIFEST).is_file():
        raise ConfigError(
            f"{output}: this folder holds {len(list(output.iterdir()))} files or folders but no {MANIFEST}: no stage "
            "has made it, and publishing would replace it. Name a new folder, or empty this one."
        )
    if output.exists() and not output.is_dir():
        raise ConfigError(f"{output}: this is a file, and what is published is a folder. Name another.")


def publish(
    output: Path,
    files: Mapping[str, Placement],
    manifest: Callable[[tuple[FileRecord, ...]], Manifest],
    contracts: Sequence[Published] = (),
) -> Manifest:
    """Put files under their names with one manifest, all at once; return the manifest.

    `files` maps the published path to what is put there; `contracts` are written under names of their own; `manifest`
    makes the manifest from the final file records.
    """
    with replace_folder(output) as folder:
        records = []
        for path in sorted(files):
            place(files[path].source, folder / path)
            records.append(FileRecord(path, files[path].record.digest, files[path].record.bytes))
        for contract in contracts:
            written = contract.write(folder)
            records.append(FileRecord(contract.FILE, digest_file(written), written.stat().st_size))
        made = manifest(tuple(sorted(records, key=lambda record: record.path)))
        if made.account is not None:
            made.account.closed(made.stage)
        made.write(folder)
    return made


def float_environment() -> dict[str, str]:
    """Return what the last bits of float results depend on: instruction set, threads and library versions."""
    import numpy

    versions = {"numpy": numpy.__version__, "threads_per_worker": "1", "machine": platform.machine()}
    try:
        import torch
    except ImportError:
        return versions
    return versions | {
        "torch": torch.__version__,
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "compiled": "false",
    }
