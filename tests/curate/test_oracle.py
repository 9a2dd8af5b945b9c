"""Near-duplicate clusters beside those of datatrove 0.10.1 (14 x 8, word 5-grams) on real text.

datatrove splits words with spaCy, replaces numbers and does not verify pairs; so clusters overlap, and are not equal.
"""

import gzip
import hashlib
import json
from pathlib import Path

import numpy as np

from tasks.curate.config import NearDuplicates
from tasks.curate.dedup.clusters import clusters
from tasks.curate.dedup.minhash import sign

SOURCE = "news_bbc"


def _lines(path: Path) -> list[dict[str, object]]:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def test_clusters_of_news_overlap_with_those_of_datatrove(shared_data: Path) -> None:
    documents = [row for path in sorted((shared_data / "corpus").glob(f"{SOURCE}-*")) for row in _lines(path)]
    ids, texts = [str(row["id"]) for row in documents], [str(row["text"]) for row in documents]
    near = NearDuplicates(min_jaccard=None)
    signatures = sign(texts, ngram_words=near.ngram_words, num_permutations=near.bands * near.rows, seed=0)
    digests = [hashlib.sha256(text.encode()).digest() for text in texts]
    survivor = dict(
        zip(ids, clusters(ids, np.zeros(len(ids)), digests, signatures, near).survivor_N.tolist(), strict=True)
    )
    oracle = [
        [str(name) for name in (*row["kept"], *row["removed"])]  # type: ignore[misc]
        for row in _lines(shared_data / "oracles" / "datatrove_minhash_clusters.jsonl.gz")
    ]
    theirs = {(group[0], other) for group in oracle if group[0] in survivor for other in group[1:] if other in survivor}
    together = sum(survivor[one] == survivor[other] for one, other in theirs)
    removed = len(ids) - len(set(survivor.values()))
    assert len(theirs) > 100
    assert together >= 0.9 * len(theirs)
    assert abs(removed - len(theirs)) <= 0.15 * len(theirs)
