"""datatrove's MinHash, stage 1 (signatures): `datatrove_signatures.py INPUT_FOLDER OUTPUT_FOLDER`."""

import json
import sys
import time

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
from datatrove.pipeline.readers import JsonlReader
from datatrove.utils.hashing import HashConfig


def main(source: str, target: str) -> None:
    """Sign every document: 14 bands of 8 rows, word 5-grams, 64-bit hashes."""
    start = time.process_time()
    config = MinhashConfig(hash_config=HashConfig(precision=64), n_grams=5, num_buckets=14, hashes_per_bucket=8)
    steps = [
        JsonlReader(source, glob_pattern="*.jsonl.gz"),
        MinhashDedupSignature(target, config=config),
    ]
    LocalPipelineExecutor(steps, tasks=1, workers=1, logging_dir=f"{target}-logs").run()
    print(json.dumps({"cpu_s": time.process_time() - start}))


main(*sys.argv[1:])
