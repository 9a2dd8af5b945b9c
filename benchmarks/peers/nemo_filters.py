"""NeMo Curator's own English heuristic filters (28 of them): `nemo_filters.py INPUT_FOLDER OUTPUT_FOLDER`.

Its stages are called one after another in this process, as its in-process tests do, so that no cluster is started.
"""

import gzip
import json
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import nemo_curator
import pandas as pd
import yaml
from nemo_curator.stages.text.filters.score_filter import ScoreFilter
from nemo_curator.tasks import DocumentBatch

PIPELINE = "config/text/heuristic_filter_english_pipeline.yaml"


def main(source: str, target: str) -> None:
    """Read gz JSONL, decide, write what is kept, file by file."""
    start = time.process_time()
    stages = [ScoreFilter(made, text_field="text") for made in filters()]
    Path(target).mkdir(parents=True)
    kept = documents = 0
    for path in sorted(Path(source).glob("*.jsonl.gz")):
        batch = DocumentBatch("benchmark", pd.read_json(path, lines=True, dtype=False))
        documents += len(batch.data)
        for stage in stages:
            batch = stage.process(batch) if batch is not None and len(batch.data) else None
        if batch is not None:
            kept += len(batch.data)
            with gzip.open(Path(target) / path.name, "wt", encoding="utf-8", compresslevel=6) as file:
                batch.data.to_json(file, orient="records", lines=True, force_ascii=False)
    spent = time.process_time() - start
    print(json.dumps({"cpu_s": spent, "filters": len(stages), "documents": documents, "kept": kept}))


def filters() -> list[Any]:
    """Return the filters of its own pipeline file, with their parameters."""
    text = (Path(nemo_curator.__file__).parent / PIPELINE).read_text(encoding="utf-8")
    orders = [dict(stage["filter_obj"]) for stage in yaml.safe_load(text)["stages"] if "filter_obj" in stage]
    made = []
    for order in orders:
        module, _, name = order.pop("_target_").rpartition(".")
        made.append(getattr(import_module(module), name)(**order))
    return made


main(*sys.argv[1:])
