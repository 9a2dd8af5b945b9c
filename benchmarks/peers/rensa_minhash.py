"""rensa's MinHash and LSH on whitespace 5-shingles: `rensa_minhash.py INPUT_FOLDER OUTPUT_FOLDER`."""

import gzip
import json
import sys
import time
from pathlib import Path

from rensa import RMinHash, RMinHashLSH

PERMUTATIONS, BANDS, NGRAM = 112, 14, 5


def main(source: str, _: str) -> None:
    """Read every document, sign it, and look for it among those before; nothing is written."""
    start = time.process_time()
    texts = []
    for path in sorted(Path(source).glob("*.jsonl.gz")):
        with gzip.open(path) as file:
            texts += [json.loads(line)["text"] for line in file]
    read = time.process_time()
    removed = deduplicated(texts)
    first = time.process_time()
    deduplicated(texts)
    again = time.process_time()
    told = {
        "read_s": read - start,
        "first_s": first - read,
        "again_s": again - first,
        "removed": removed,
    }
    print(json.dumps(told))


def deduplicated(texts: list[str]) -> int:
    """Return how many documents have a near duplicate before them."""
    lsh = RMinHashLSH(threshold=0.7, num_perm=PERMUTATIONS, num_bands=BANDS)
    removed = 0
    for number, text in enumerate(texts):
        words = text.lower().split()
        if len(words) < NGRAM:
            continue
        shingles = [" ".join(words[i : i + NGRAM]) for i in range(len(words) - NGRAM + 1)]
        signature = RMinHash(num_perm=PERMUTATIONS, seed=42)
        signature.update(shingles)
        if lsh.query(signature):
            removed += 1
        else:
            lsh.insert(number, signature)
    return removed


main(*sys.argv[1:])
