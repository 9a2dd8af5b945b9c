"""What the command of curate takes: `--input` is a folder that ingest published, or URIs, which are ingested first."""

from collections.abc import Mapping
from pathlib import Path

from tasks.core.digest import digest_json
from tasks.core.manifest import MANIFEST
from tasks.ingest.config import IngestParams
from tasks.ingest.snapshot import raw_input
from tasks.ingest.stage import run as ingest
from tasks.runtime.command import Given, StageExtras, short_for, stage_params
from tasks.runtime.context import Workshop


def prepare_inputs(given: Given, workshop: Workshop) -> Mapping[str, Path]:
    """Return the folder that ingest published: the one given, or a new one made of the URIs given."""
    if (
        len(given.values) == 1
        and (folder := Path(given.values[0].removeprefix("ingest="))).joinpath(MANIFEST).is_file()
    ):
        return {"ingest": folder}
    own = [setting for setting in given.settings if setting.startswith("ingest.")]
    params = stage_params("ingest", IngestParams, given.params_file, own)
    raw = raw_input(
        given.values, given.home, params, lambda done, total: workshop.observer.progress("list", done, total)
    )
    output = given.home / "ingested" / digest_json([raw.digest, params.model_dump(mode="json")])[:12]
    ingest(params, inputs={"raw": raw.folder}, output=output, workshop=workshop)
    return {"ingest": output}


EXTRAS = StageExtras(
    prepare_inputs=prepare_inputs,
    prepared=("ingest",),
    options=(
        short_for(
            lambda name: [f"curate.profile={name}"],
            "--profile",
            metavar="NAME",
            help="Judge every source by this profile; default: each by its own.",
        ),
        short_for(
            lambda _: ["curate.duplicates=null"], "--no-dedup", is_flag=True, help="Keep duplicates: rules only."
        ),
    ),
)
