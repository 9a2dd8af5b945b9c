"""The cluster stage, from curated shards to assignments and domains."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from infra.local_executor import LocalExecutor
from infra.storage import FolderStore
from tasks.cluster.config import ClusterParams, FoundDomains
from tasks.cluster.kmeans import KMeans
from tasks.cluster.merge import WardMerge
from tasks.cluster.prune import QuantilePrune, ThresholdPrune
from tasks.cluster.published.domains import Domains
from tasks.cluster.split import Split
from tasks.cluster.stage import run
from tasks.core.account import Account, Count
from tasks.core.errors import ConfigError, DataError
from tasks.core.manifest import Manifest
from tasks.embedding.tfidf import TfidfEmbedder
from tasks.runtime.context import Workshop
from tests.cluster.curated import Row, three_kinds, write_curated
from tests.cluster.workshop import serial_workshop

FOUND = FoundDomains(
    embedder=TfidfEmbedder(dimensions=8, min_term_documents=2),
    kmeans=KMeans(num_clusters_initial=9),
    prune=None,
    merge=WardMerge(num_domains=3, min_documents=20),
)
SMALL = ClusterParams(domains=FOUND, split=Split(search_fraction=0.1, test_fraction=0.1))


def _with(**changes: object) -> ClusterParams:
    return SMALL.model_copy(update={"domains": FOUND.model_copy(update=changes)})


def _cluster(tmp_path: Path, shards: Sequence[Sequence[Row]], params: ClusterParams = SMALL) -> Manifest:
    curate = write_curated(tmp_path / "curate", shards)
    workshop, _ = serial_workshop(tmp_path)
    return run(params, inputs={"curate": curate}, output=tmp_path / "cluster", workshop=workshop)


def _assigned(tmp_path: Path) -> list[dict[str, Any]]:
    paths = sorted((tmp_path / "cluster" / "assignments").glob("*.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def _domains(tmp_path: Path) -> list[Mapping[str, Any]]:
    return Domains.read(tmp_path / "cluster").model_dump(mode="json")["domains"]


def test_three_kinds_of_text_become_three_domains_named_after_them(tmp_path: Path) -> None:
    rows = three_kinds()
    manifest = _cluster(tmp_path, [rows[:200], [], rows[200:]])
    kinds = {row.id: row.source for row in rows}
    pairs = {(row["domain"], kinds[row["id"]]) for row in _assigned(tmp_path)}
    assert len(pairs) == 3
    for domain in _domains(tmp_path):
        (kind,) = domain["sources"]
        assert domain["name"].startswith(kind)
        assert all(kinds[example["id"]] == kind for example in domain["examples"])
    sizes = [domain["bytes"] for domain in _domains(tmp_path)]
    assert sizes == sorted(sizes, reverse=True)
    assert manifest.account is not None
    assert manifest.account.kept.documents == 450


def test_assignments_stand_beside_their_documents_shard_by_shard(tmp_path: Path) -> None:
    rows = three_kinds()
    _cluster(tmp_path, [rows[:100], rows[100:]])
    for path in sorted((tmp_path / "curate" / "kept").glob("*.parquet")):
        beside = pq.read_table(tmp_path / "cluster" / "assignments" / path.name)
        assert beside["id"].to_pylist() == pq.read_table(path)["id"].to_pylist()
        assert beside.schema.names == ["id", "kmeans_cluster", "domain", "split"]


def test_pruned_documents_are_counted_and_say_why(tmp_path: Path) -> None:
    rows = [replace(row, quality=0.2 if row.source == "code" else 0.9) for row in three_kinds()]
    params = _with(
        prune=ThresholdPrune(kind="thresholds", minimum_means={"quality": 0.5}),
        merge=WardMerge(num_domains=2, min_documents=20),
    )
    manifest = _cluster(tmp_path, [rows], params)
    assert manifest.account is not None
    assert manifest.account.dropped["pruned_low_quality"].documents == 150
    assert {row["split"] for row in _assigned(tmp_path) if row["domain"] == -1} == {""}
    reasons = [cluster["pruned"] for cluster in manifest.summary["pruned"]]
    assert reasons
    assert all(reason["column"] == "quality" and reason["mean"] < reason["minimum"] == 0.5 for reason in reasons)


def test_another_number_of_domains_embeds_nothing_again(tmp_path: Path) -> None:
    curate = write_curated(tmp_path / "curate", [three_kinds()])
    workshop, done = serial_workshop(tmp_path)
    for domains in (3, 2):
        params = _with(merge=WardMerge(num_domains=domains, min_documents=20))
        run(params, inputs={"curate": curate}, output=tmp_path / "cluster", workshop=workshop)
    assert Counter(done) == {"learn": 1, "embed": 1, "group": 1, "assign": 2}
    assert len(_domains(tmp_path)) == 2


def test_a_second_run_does_nothing(tmp_path: Path) -> None:
    curate = write_curated(tmp_path / "curate", [three_kinds()])
    first, done = serial_workshop(tmp_path)
    before = run(SMALL, inputs={"curate": curate}, output=tmp_path / "cluster", workshop=first)
    done.clear()
    assert run(SMALL, inputs={"curate": curate}, output=tmp_path / "cluster", workshop=first).output == before.output
    assert not done


def test_how_the_documents_are_cut_into_shards_moves_no_domain(tmp_path: Path) -> None:
    rows = three_kinds()
    digests = []
    for name, shards in (("one", [rows]), ("three", [rows[:50], rows[50:51], rows[51:]])):
        _cluster(tmp_path / name, shards)
        digests.append([(row["id"], row["domain"], row["split"]) for row in _assigned(tmp_path / name)])
    assert digests[0] == digests[1]


def test_a_column_of_scores_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    params = _with(prune=QuantilePrune(quality_column="educational"))
    rows = [replace(row, scores={"perplexity": 1.0}) for row in three_kinds(30)]
    with pytest.raises(ConfigError, match="called educational; it has quality, pretokens, perplexity"):
        _cluster(tmp_path, [rows], params)


def test_a_document_without_a_score_is_an_error_not_a_zero(tmp_path: Path) -> None:
    rows = three_kinds(50)
    rows[3] = replace(rows[3], quality=float("nan"))
    with pytest.raises(
        DataError, match="column quality: 1 of 150 kept documents have no score; first: document number 3"
    ):
        _cluster(tmp_path, [rows], _with(prune=QuantilePrune()))


def test_fewer_documents_than_the_clusters_need_is_an_error_with_both_numbers(tmp_path: Path) -> None:
    params = _with(kmeans=KMeans(num_clusters_initial=48))
    with pytest.raises(ConfigError, match=r"48 clusters need at least 96 documents.*kept 90 documents"):
        _cluster(tmp_path, [three_kinds(30)], params)


def test_copies_of_a_few_documents_do_not_make_clusters(tmp_path: Path) -> None:
    rows = [Row(f"{row.id}-{copy}", row.text, row.source) for row in three_kinds(2) for copy in range(20)]
    with pytest.raises(ConfigError, match=r"kept 6 different documents \(of 120\)"):
        params = _with(embedder=TfidfEmbedder(dimensions=4, min_term_documents=2))
        _cluster(tmp_path, [rows], params)


def test_a_domain_that_is_missing_on_one_side_of_the_split_is_named(tmp_path: Path) -> None:
    rows = [replace(row, duplicate_cluster="one" if row.source == "code" else "") for row in three_kinds()]
    with pytest.raises(
        ConfigError, match=r"2 of 9 pairs of domain and split have no text; first: code-.*150 documents"
    ):
        _cluster(tmp_path, [rows])


@pytest.mark.parametrize("shards", [0, 2])
def test_where_curate_kept_nothing_the_message_says_so_and_why(tmp_path: Path, shards: int) -> None:
    curate = write_curated(tmp_path / "curate", [[]] * shards)
    lost = Account(Count(1000), dropped={"too_few_words": Count(997), "near_duplicate": Count(3)})
    replace(Manifest.read(curate), account=lost).write(curate)
    with pytest.raises(DataError, match=r"kept none of 1,000 documents \(997 too_few_words, 3 near_duplicate\)"):
        run(SMALL, inputs={"curate": curate}, output=tmp_path / "cluster", workshop=serial_workshop(tmp_path)[0])


def test_one_and_two_workers_give_the_same_bytes(tmp_path: Path) -> None:
    rows = three_kinds()
    curate = write_curated(tmp_path / "curate", [rows[:100], rows[100:250], rows[250:]])
    outputs = []
    for workers in (1, 2):
        workshop = Workshop(LocalExecutor(workers), FolderStore(tmp_path / f"store-{workers}"))
        outputs.append(
            run(SMALL, inputs={"curate": curate}, output=tmp_path / f"out-{workers}", workshop=workshop).output
        )
    assert outputs[0] == outputs[1]
