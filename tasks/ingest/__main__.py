"""`python -m tasks.ingest`: the ingest stage alone. `--input` is a URI (repeatable), or a folder with a `raw.json`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.terminal import TerminalObserver
from tasks.core.command import stage_command
from tasks.ingest.config import IngestParams
from tasks.ingest.raw import RAW
from tasks.ingest.snapshot import raw_input
from tasks.ingest.stage import run


def prepare_inputs(values: Sequence[str], home: Path) -> Mapping[str, Path]:
    """Return the folder of the raw listing: the one given, or a new one under `home` that lists the URIs given."""
    if len(values) == 1 and (folder := Path(values[0].removeprefix("raw="))).joinpath(RAW).is_file():
        return {"raw": folder}
    with TerminalObserver() as observer:
        raw = raw_input(values, home, lambda done, total: observer.progress("ingest: list", done, total))
    return {"raw": raw.folder}


main = stage_command("ingest", IngestParams, run, inputs=("raw",), prepare_inputs=prepare_inputs)

if __name__ == "__main__":
    main()
