"""A unit: what is kept by scores of the documents of all shards."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from tasks.core.handles import Handle
from tasks.core.results import Here, UnitResult
from tasks.core.tables import write_table
from tasks.curate.selection.choosing import Cut, Selections, choice_of
from tasks.curate.selection.documents import read_candidates

CUTS_FILE = "cuts.json"


@dataclass(frozen=True)
class CutArgs:
    """The candidates of all shards, and the selections of each profile."""

    candidates: tuple[Handle, ...]
    selections: Selections


def cut(args: CutArgs, here: Here) -> UnitResult:
    """Write what each selection keeps of each group, and per shard what becomes of its candidates."""
    candidates, sizes = read_candidates([one.local() for one in args.candidates])
    choice = choice_of(args.selections, candidates)
    (here.folder / CUTS_FILE).write_text(json.dumps([asdict(one) for one in choice.cuts], indent=1) + "\n", "utf-8")
    columns = {
        "reason": pa.array(choice.reason_N, pa.string()).dictionary_encode(),
        "detail": pa.array(choice.detail_N, pa.string()),
        "weight": pa.array(choice.weight_N),
    }
    table = pa.table(columns)
    for number, (end, size) in enumerate(zip(np.cumsum(sizes).tolist(), sizes, strict=True)):
        write_table(table.slice(end - size, size), here.folder / chosen_file(number))
    return UnitResult(summary={"selections": len(choice.cuts)})


def chosen_file(number: int) -> str:
    """Return the name of what becomes of the candidates of a shard."""
    return f"chosen-{number:06d}.parquet"


def read_cuts(path: Path) -> list[Cut]:
    """Return what each selection keeps, as it was written."""
    return [Cut(**one) for one in json.loads(path.read_text(encoding="utf-8"))]
