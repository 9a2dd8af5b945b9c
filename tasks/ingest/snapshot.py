"""The raw input of a run: found once, kept in the home folder, and placed in the run's workspace.

The default input is copied (a snapshot), so that another machine reproduces from it and not from its own Python. Files
that the user names stay where they are: the listing fixes their digests, and ingest refuses a file that changed.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core.digest import digest_json
from tasks.ingest.config import IngestParams
from tasks.ingest.listing import Progress, list_inputs
from tasks.ingest.places import printable
from tasks.ingest.raw import RAW, RawListing, read_listing, write_listing

DEFAULT = "default"


@dataclass(frozen=True)
class RawInput:
    """A folder with `raw.json`, and the digest of names and contents."""

    folder: Path
    digest: str
    bytes: int


def raw_input(uris: Sequence[str], home: Path, params: IngestParams, progress: Progress | None = None) -> RawInput:
    """Return the raw input: what `uris` name, or the default input of this machine, collected on first use.

    Raises:
        DataError: a path does not exist, an address holds a credential, or a source is empty.
    """
    if not uris:
        return collect_default_input(home, refresh=False, progress=progress)
    listing = list_inputs(uris, params, progress=progress)
    folder = home / "inputs" / digest_json([printable(uri) for uri in uris])[:12]
    write_listing(listing, folder)
    return _input(folder, listing)


def collect_default_input(home: Path, *, refresh: bool, progress: Progress | None = None) -> RawInput:
    """Return the snapshot of the default input; `refresh` makes a new one from this machine's Python."""
    folder = home / "inputs" / DEFAULT
    if refresh or not (folder / RAW).is_file():
        from tasks.ingest.demo import collect

        draft = folder.with_name(f".{DEFAULT}-new")
        shutil.rmtree(draft, ignore_errors=True)
        collect(draft, progress=progress)
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    return _input(folder, read_listing(folder))


def place_raw(raw: RawInput, target: Path, put: Callable[[Path, Path], None]) -> bool:
    """Put `raw.json` and the snapshotted files into a run's workspace; return whether anything had to be put there."""
    if (target / RAW).is_file() and (target / RAW).read_bytes() == (raw.folder / RAW).read_bytes():
        return False
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for file in read_listing(raw.folder).files:
        if file.path is not None:
            put(raw.folder / file.path, target / file.path)
    # The listing comes last: without it there is no input.
    put(raw.folder / RAW, target / RAW)
    return True


def _input(folder: Path, listing: RawListing) -> RawInput:
    return RawInput(folder, listing.digest, listing.bytes)
