"""`python -m benchmarks.dsir_scores POOL.jsonl TARGET.jsonl SCORES.npy`: DSIR in a fresh process; CPU seconds as JSON."""

import json
import sys
import time
from pathlib import Path

import numpy as np

from tasks.curate.scorers.dsir import log_ratio, shares
from tasks.curate.scorers.hashed_ngrams import bucket_counts, weight_sums
from tasks.curate.statistics.texts import Texts, texts_of

_BUCKETS = 10_000


def main(pool: str, target: str, scores: str) -> None:
    """Fit both models on all text, and write the log ratio of every document of the pool, in its order."""
    start = time.process_time()
    texts = _texts(pool)
    weights = log_ratio(*(shares(bucket_counts(one, _BUCKETS)) for one in (_texts(target), texts)))
    fitted = time.process_time()
    np.save(scores, weight_sums(texts, weights)[0])
    print(json.dumps({"fit_s": fitted - start, "score_s": time.process_time() - fitted}))


def _texts(file: str) -> Texts:
    return texts_of([json.loads(line)["text"] for line in Path(file).read_bytes().splitlines()])


if __name__ == "__main__":
    main(*sys.argv[1:])
