"""What the command of ingest takes: `--input` is a URI (repeatable), or a folder with a `raw.json`."""

from collections.abc import Mapping
from pathlib import Path

from tasks.ingest.config import IngestParams
from tasks.ingest.raw import RAW
from tasks.ingest.snapshot import raw_input
from tasks.runtime.command import Given, StageExtras, stage_params
from tasks.runtime.context import Workshop


def prepare_inputs(given: Given, workshop: Workshop) -> Mapping[str, Path]:
    """Return the folder of the raw listing: the one given, or a new one under `home` that lists the URIs given."""
    if len(given.values) == 1 and (folder := Path(given.values[0].removeprefix("raw="))).joinpath(RAW).is_file():
        return {"raw": folder}
    params = stage_params("ingest", IngestParams, given.params_file, given.settings)
    raw = raw_input(
        given.values, given.home, params, lambda done, total: workshop.observer.progress("list", done, total)
    )
    return {"raw": raw.folder}


EXTRAS = StageExtras(prepare_inputs=prepare_inputs)
