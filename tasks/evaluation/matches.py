"""Where n-grams of task items stand in a domain's documents: the table between who finds them and who weighs them."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.core.handles import Handle, Tree
from tasks.core.tables import read_table, write_table
from tasks.training.planted.published import PlantedItem, PlantedPlan

Integers = npt.NDArray[np.int64]

_FILE = "matches.parquet"
_SCHEMA = pa.schema(
    [pa.field(name, pa.int64(), nullable=False) for name in ("document", "first_token", "last_token", "ngram")]
)


def write_matches(matches_M4: Integers, folder: Path) -> None:
    """Write matches: the document and its tokens by their places in the domain, and the n-gram's place in the index."""
    write_table(pa.table([pa.array(column) for column in matches_M4.T], schema=_SCHEMA), folder / _FILE)


def read_matches(written: Tree) -> tuple[Integers, Integers, Integers, Integers]:
    """Return documents, first tokens, last tokens and n-grams, each [M]."""
    table = read_table(written[_FILE].local(), _SCHEMA.names, stage="evaluate")
    document, first, last, ngram = (column.to_numpy() for column in table.columns)
    return document, first, last, ngram


def planted_items(plan: Handle) -> list[PlantedItem]:
    """Return the texts that were planted into a run: these are the documents in which matches are found there."""
    experiments = PlantedPlan.parse(plan.text(), plan.name).experiments
    return [item for part in experiments for item in part.items if item.samples]
