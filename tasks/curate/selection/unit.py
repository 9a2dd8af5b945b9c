"""A unit: what is kept by scores of the documents of all shards."""

from dataclasses import dataclass

from tasks.core.handles import Handle
from tasks.core.results import Here, UnitResult
from tasks.curate.selection.cuts import Selections, cuts_of, read_candidates, write_cuts

CUTS_FILE = "cuts.json"


@dataclass(frozen=True)
class CutArgs:
    """The candidates of all shards, and the selections of each profile."""

    candidates: tuple[Handle, ...]
    selections: Selections


def cut(args: CutArgs, here: Here) -> UnitResult:
    """Write what each selection keeps of each group."""
    cuts = cuts_of(args.selections, read_candidates([one.local() for one in args.candidates]))
    write_cuts(cuts, here.folder / CUTS_FILE)
    return UnitResult(summary={"selections": len(cuts)})
