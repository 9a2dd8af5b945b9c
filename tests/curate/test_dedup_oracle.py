"""Near-duplicate clusters beside those of datatrove 0.10.1 (14 x 8, word 5-grams, seed 1) on the corpus.

Oracle: the clusters datatrove found over all 59,745 documents, 999 with 3,507 removed. A sample has every document of a
cluster and every n-th of the others: clusters are made of pairs, so those of the sample are those of the whole.
"""

import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tasks.curate.dedup.config import Duplicates
from tasks.curate.dedup.signing.datatrove import DatatroveMinHash
from tasks.curate.dedup.signing.fast import FastMinHash
from tests import sampling
from tests.curate.dedup_shards import Doc, by_id, found_in

Clusters = set[frozenset[str]]


def lines_of(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


@pytest.fixture(scope="module")
def documents(shared_data: Path) -> list[Doc]:
    paths = sorted((shared_data / "corpus").glob("*.jsonl.gz"))
    return [Doc(str(row["id"]), str(row["text"]), str(row["source"])) for path in paths for row in lines_of(path)]


@pytest.fixture(scope="module")
def oracle(shared_data: Path) -> Clusters:
    rows = lines_of(shared_data / "oracles" / "datatrove_minhash_clusters.jsonl.gz")
    return {frozenset([*row["kept"], *row["removed"]]) for row in rows}


def shards_of(documents: list[Doc], oracle: Clusters, every: int) -> list[list[Doc]]:
    clustered = frozenset[str]().union(*oracle)
    chosen = [doc for number, doc in enumerate(documents) if doc.id in clustered or number % every == 0]
    return [chosen[i::4] for i in range(4)]


def clusters(folder: Path, shards: list[list[Doc]], params: Duplicates) -> Clusters:
    members = defaultdict(set)
    for name, row in by_id(found_in(folder, shards, params), shards).items():
        members[row["survivor"]].add(name)
    return {frozenset(names) for names in members.values() if len(names) > 1}


@sampling.every(20)
def test_the_clusters_are_the_999_of_datatrove(
    tmp_path: Path, documents: list[Doc], oracle: Clusters, every: int
) -> None:
    shards = shards_of(documents, oracle, every)
    found = clusters(tmp_path, shards, Duplicates(documents=False, near=DatatroveMinHash()))
    assert len(oracle) == 999 and sum(map(len, oracle)) - len(oracle) == 3507
    assert found == oracle


@sampling.every(20)
def test_exact_duplicates_change_no_cluster_of_texts_that_have_n_grams(
    tmp_path: Path, documents: list[Doc], oracle: Clusters, every: int
) -> None:
    shards = shards_of(documents, oracle, every)
    found = clusters(tmp_path, shards, Duplicates(near=DatatroveMinHash()))
    assert oracle <= found
    # The rest are equal texts of fewer than five tokens.
    texts = {doc.id: doc.text for shard in shards for doc in shard}
    assert all(len({texts[name] for name in cluster}) == 1 for cluster in found - oracle)


def test_clusters_of_whitespace_words_overlap_with_those_of_datatrove(
    tmp_path: Path, documents: list[Doc], oracle: Clusters
) -> None:
    # Other words, and numbers are told apart: so clusters overlap, and are not equal.
    news = shards_of([doc for doc in documents if doc.id.startswith("news_bbc/")], oracle, every=1)
    near = FastMinHash(verify=None, min_jaccard=None)
    found = {name: cluster for cluster in clusters(tmp_path, news, Duplicates(near=near)) for name in cluster}
    ids = {doc.id for shard in news for doc in shard}
    theirs = [sorted(cluster & ids) for cluster in oracle if len(cluster & ids) > 1]
    pairs = [(one, other) for one, *others in theirs for other in others]
    assert len(pairs) > 100
    assert sum(one in found and other in found[one] for one, other in pairs) >= 0.9 * len(pairs)
