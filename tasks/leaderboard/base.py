"""What selectors choose from: the documents that a run trains on, in the form in which ingest publishes documents.

Scorers see nothing else, so that none is fitted on what models are measured on.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from tasks.core.account import Account, Count
from tasks.core.errors import DataError
from tasks.core.handles import Handle
from tasks.core.params import Params
from tasks.core.results import Here, UnitResult
from tasks.core.tables import write_table
from tasks.curate.published.documents import KEPT, read_shard
from tasks.ingest.published.documents import DOCUMENT, DOCUMENTS
from tasks.ingest.published.sources import Sources
from tasks.runtime.context import Workshop
from tasks.runtime.stages import Content, StageRun, stage_input
from tasks.runtime.step import Step
from tasks.tokenize.published_documents import DOCUMENTS_FILE, read_documents
from tasks.training.rows import SPLIT

_FILE = "documents.parquet"


@dataclass(frozen=True)
class TrainedOnArgs:
    """A shard of kept documents, and the table of where documents lie in the token pool."""

    kept: Handle
    packed: Handle


def trained_on(args: TrainedOnArgs, here: Here) -> UnitResult:
    """Write the documents of a shard that are trained on; the summary has documents and bytes by source."""
    packed = read_documents(args.packed.local(), pc.field("split") == SPLIT)
    table = read_shard(args.kept.local(), [*DOCUMENT.names, "bytes"])
    chosen = table.filter(pc.is_in(table["id"], packed["id"].combine_chunks()))
    write_table(chosen.select(DOCUMENT.names).cast(DOCUMENT), here.folder / _FILE)
    return UnitResult(summary={"documents": _by_source(chosen, False), "bytes": _by_source(chosen, True)})


def _by_source(table: pa.Table, in_bytes: bool) -> dict[str, int]:
    sources = table["source"].to_pylist()
    found: Counter[str] = Counter()
    for source, size in zip(sources, table["bytes"].to_pylist() if in_bytes else [1] * len(sources), strict=True):
        found[source] += size
    return dict(found)


TRAINED_ON = Step("leaderboard.base", "leaderboard: documents to select from", trained_on)


def publish_base(curated: Path, tokens: Path, output: Path, workshop: Workshop) -> Path:
    """Publish the documents that are trained on as ingest would, and return the folder.

    Raises:
        DataError: there are none.
    """
    kept, pool = (
        stage_input(workshop, {"curate": curated}, "curate"),
        stage_input(workshop, {"tokenize": tokens}, "tokenize"),
    )
    stage = StageRun(workshop, "ingest", __name__, Params(), {"curate": kept.digest, "tokenize": pool.digest}, output)
    if stage.unchanged() is not None:
        return output
    packed = pool.tree(DOCUMENTS_FILE)[DOCUMENTS_FILE]
    shards = list(kept.tree(f"{KEPT}/"))
    records = TRAINED_ON.map(workshop, [TrainedOnArgs(shard, packed) for shard in shards])
    files: dict[str, Content] = {
        f"{DOCUMENTS}/{shard.stem}.parquet": record.file(_FILE)
        for shard, record in zip(shards, records, strict=True)
        if record.summary["documents"]
    }
    if not files:
        raise DataError(f"{curated}: none of its documents is trained on in {tokens}. Name stages of one run.")
    documents, sizes = (
        sum((Counter(one.summary[name]) for one in records), Counter()) for name in ("documents", "bytes")
    )
    files[Sources.FILE] = Sources(sources={name: Count(documents[name], sizes[name]) for name in sorted(documents)})
    whole = Count(documents.total(), sizes.total())
    stage.publish(files, account=Account(whole, whole))
    return output
