"""DSIR by its authors' package: `data_selection_scores.py POOL.jsonl TARGET.jsonl SCORES.npy`, one process."""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from data_selection import HashedNgramDSIR


def main(pool: str, target: str, scores: str) -> None:
    """Fit both models on all text, and write the log ratio of every document of the pool, in its order."""
    start = time.process_time()
    with tempfile.TemporaryDirectory() as cache:
        dsir = HashedNgramDSIR([pool], [target], cache_dir=cache, num_proc=1)
        dsir.fit_importance_estimator(num_tokens_to_fit="all")
        fitted = time.process_time()
        texts = [json.loads(line)["text"] for line in Path(pool).read_bytes().splitlines()]
        found = [dsir.importance_estimator(dsir.featurizer(text)) for text in texts]
    np.save(scores, np.array(found, np.float64))
    print(json.dumps({"fit_s": fitted - start, "score_s": time.process_time() - fitted}))


main(*sys.argv[1:])
