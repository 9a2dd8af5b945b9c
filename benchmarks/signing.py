"""`python -m benchmarks.signing KIND FILES`: sign every document in a fresh process, twice; the CPU seconds as JSON."""

import json
import sys
import time
from pathlib import Path

from benchmarks.inputs import lines_of
from tasks.curate.dedup.signing.datatrove import DatatroveMinHash
from tasks.curate.dedup.signing.fast import FastMinHash
from tasks.curate.dedup.signing.kinds import sign
from tasks.curate.dedup.signing.signatures import shape_of
from tasks.curate.statistics.texts import texts_of

# Texts signed at a time, as a unit of curate does.
_BATCH = 4096


def main(kind: str, *files: str) -> None:
    """Print what reading, signing and signing again took; 14 bands of 8 rows, 5-grams."""
    start = time.process_time()
    texts = [json.loads(line)["text"] for file in files for line in lines_of(Path(file))]
    batches = [texts_of(texts[i : i + _BATCH]) for i in range(0, len(texts), _BATCH)]
    shape = shape_of(FastMinHash() if kind == "fast" else DatatroveMinHash(), seed=1)
    assert shape is not None
    times = [time.process_time()]
    for _ in range(2):
        for batch in batches:
            sign(batch, shape)
        times.append(time.process_time())
    told = {"read_s": times[0] - start, "first_s": times[1] - times[0], "again_s": times[2] - times[1]}
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
