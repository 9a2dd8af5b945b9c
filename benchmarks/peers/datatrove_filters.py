"""datatrove's default English heuristics: `datatrove_filters.py INPUT_FOLDER OUTPUT_FOLDER`."""

import json
import sys
import time

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter


def main(source: str, target: str) -> None:
    """Read gz JSONL, decide, write what is kept: one task, one worker, in this process."""
    start = time.process_time()
    steps = [
        JsonlReader(source, glob_pattern="*.jsonl.gz"),
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(),
        FineWebQualityFilter(),
        JsonlWriter(target),
    ]
    LocalPipelineExecutor(steps, tasks=1, workers=1, logging_dir=f"{target}-logs").run()
    print(json.dumps({"cpu_s": time.process_time() - start}))


main(*sys.argv[1:])
