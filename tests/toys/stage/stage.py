"""The driver of the stage `toy`."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tasks.toy.config import ToyParams
from tasks.toy.count import CountArgs, count
from tasks.toy.published import DocumentCounts

from tasks.core.manifest import Manifest
from tasks.runtime.context import Workshop
from tasks.runtime.stages import StageRun, stage_input
from tasks.runtime.step import Step

STAGE = "toy"
COUNT = Step("toy.count", "toy: shards", count)


def run(params: ToyParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Count the documents that ingest published, by source."""
    ingested = stage_input(workshop, inputs, "ingest")
    stage = StageRun(workshop, STAGE, __name__, params, {"ingest": ingested.digest}, output)
    if (found := stage.unchanged()) is not None:
        return found
    records = COUNT.map(workshop, [CountArgs(shard, params) for shard in ingested.tree("documents/")])
    counts = sum((Counter(record.summary) for record in records), Counter[str]())
    published = DocumentCounts(documents=dict(sorted(counts.items())))
    return stage.publish({DocumentCounts.FILE: published}, summary={"documents": counts.total()})
