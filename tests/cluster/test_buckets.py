"""Domains of topic and quality: buckets by tokens, named, told with their edges, small ones merged."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tasks.cluster.buckets import Bucket, Buckets, bucketed, edges
from tasks.cluster.config import ClusterParams
from tasks.cluster.grouping import PRUNED, Grouping
from tasks.cluster.published.buckets import DomainBuckets
from tasks.cluster.published.domains import ClusterMap, Domains
from tasks.cluster.sources import SourceDomains
from tasks.cluster.stage import run
from tasks.core.errors import ConfigError
from tests.cluster.curated import Row, three_kinds, write_curated
from tests.cluster.test_stage import SMALL, _assigned
from tests.cluster.workshop import serial_workshop

BY_SOURCE = ClusterParams(domains=SourceDomains(kind="source"), split=SMALL.split)


def cut(
    config: Buckets, topic_N: Sequence[int], score_N: Sequence[float], names: Sequence[str] = ("a", "b")
) -> tuple[Grouping, tuple[Bucket, ...]]:
    number = len(score_N)
    topics = Grouping(np.array(topic_N, np.int32), len(names), names=tuple(names), labels=tuple(names))
    sizes = np.full(number, 10)
    return bucketed(config, topics, names, names, np.array(score_N, float), sizes, sizes)


def test_buckets_have_equal_tokens_and_documents_of_one_score_stay_together() -> None:
    rng = np.random.default_rng(0)
    scores, tokens = rng.normal(size=2_000), rng.integers(1, 100, 2_000)
    place = np.searchsorted(edges(scores, tokens, 4), scores, side="right")
    shares = np.bincount(place, weights=tokens) / tokens.sum()
    assert np.allclose(shares, 0.25, atol=100 / tokens.sum())
    assert edges(np.array([0.0] * 9 + [1.0]), np.ones(10, np.int64), 3).tolist() == [0.0, 0.0]


def test_edges_of_the_corpus_mean_the_same_in_every_topic_and_those_of_a_topic_do_not() -> None:
    topics = [0] * 60 + [1] * 60
    scores = [*range(60), *range(100, 160)]
    grouping, buckets = cut(Buckets(score="s", num_buckets=2, min_documents=5), topics, scores)
    # A topic that lies in one bucket is that topic.
    assert sorted(grouping.names or ()) == ["a", "b"]
    grouping, buckets = cut(Buckets(score="s", num_buckets=2, min_documents=5, within="topic"), topics, scores)
    assert sorted(grouping.names or ()) == ["a-high", "a-low", "b-high", "b-low"]
    assert {one.at_least for one in buckets} == {None, 30.0, 130.0}


def test_a_small_bucket_joins_its_smaller_neighbour_and_a_pruned_document_stays_out() -> None:
    # Of topic a 40 are low, 30 middle, 2 high; the 2 join the middle.
    scores = [0.0] * 40 + [1.0] * 30 + [2.0] * 2 + [0.0] * 10 + [1.0] * 20 + [2.0] * 48 + [9.0] * 50
    topics = [0] * 72 + [1] * 78 + [PRUNED] * 50
    grouping, buckets = cut(Buckets(score="s", min_documents=5), topics, scores)
    assert dict(zip(grouping.names or (), (one.buckets for one in buckets), strict=True)) == {
        "a-low": ("low",),
        "a-middle-high": ("middle", "high"),
        "b-low": ("low",),
        "b-middle": ("middle",),
        "b-high": ("high",),
    }
    assert (grouping.domain_N[-50:] == PRUNED).all() and (grouping.domain_N[:-50] != PRUNED).all()
    # The largest first, as domains are.
    sizes = np.bincount(grouping.domain_N[:-50]).tolist()
    assert sizes == sorted(sizes, reverse=True)


def test_two_domains_of_one_name_are_refused() -> None:
    config = Buckets(score="s", num_buckets=2, min_documents=1, within="topic")
    scores = [*range(10), *[0.0] * 10]
    with pytest.raises(ConfigError, match="two domains would both be called a-low"):
        cut(config, [0] * 10 + [1] * 10, scores, ("a", "a-low"))


def scored() -> list[Row]:
    rng = np.random.default_rng(0)
    return [replace(row, scores={"edu": float(rng.normal())}) for row in three_kinds()]


def cluster(folder: Path, shards: Sequence[Sequence[Row]], params: ClusterParams) -> Path:
    curate = write_curated(folder / "curate", shards)
    workshop, _ = serial_workshop(folder)
    run(params, inputs={"curate": curate}, output=folder / "cluster", workshop=workshop)
    return folder / "cluster"


def test_sources_by_quality_are_domains_for_any_sharding(tmp_path: Path) -> None:
    params = BY_SOURCE.model_copy(update={"buckets": Buckets(score="edu")})
    rows = scored()
    output = cluster(tmp_path / "one", [rows], params)
    told, domains = DomainBuckets.read(output), Domains.read(output)
    kinds, levels = ("prose", "code", "legal"), ("low", "middle", "high")
    assert {*domains.names} == {f"{kind}-{level}" for kind in kinds for level in levels}
    assert tuple(one.domain for one in told.domains) == domains.names
    assert sum(one.documents for one in told.domains) == len(rows)
    limits = {one.domain: (one.at_least, one.below) for one in told.domains}
    assert limits["code-low"][0] is None and limits["code-low"][1] == limits["legal-middle"][0]
    edu = {row.id: row.scores["edu"] for row in rows}
    for row in _assigned(tmp_path / "one"):
        low, high = limits[domains.names[row["domain"]]]
        assert (low is None or edu[row["id"]] >= low) and (high is None or edu[row["id"]] < high)
    other = cluster(tmp_path / "two", [rows[:100], rows[100:]], params)
    assert (other / DomainBuckets.FILE).read_bytes() == (output / DomainBuckets.FILE).read_bytes()
    assert [row["domain"] for row in _assigned(tmp_path / "two")] == [
        row["domain"] for row in _assigned(tmp_path / "one")
    ]


def test_topics_that_are_found_are_cut_too_and_every_cluster_lies_in_a_domain(tmp_path: Path) -> None:
    output = cluster(tmp_path, [scored()], SMALL.model_copy(update={"buckets": Buckets(score="edu", num_buckets=2)}))
    names = Domains.read(output).names
    assert len(names) == 6 and all(name.endswith(("-low", "-high")) for name in names)
    labels = {domain.label for domain in Domains.read(output).domains}
    assert len(labels) == 6 and all(label.endswith((", low", ", high")) for label in labels)
    clusters = ClusterMap.read(output).clusters
    assert {cluster.domain for cluster in clusters} <= {*range(6)}
    assert all(domain.kmeans_clusters for domain in Domains.read(output).domains)


def test_a_score_that_kept_documents_lack_is_named(tmp_path: Path) -> None:
    params = BY_SOURCE.model_copy(update={"buckets": Buckets(score="taste")})
    with pytest.raises(
        ConfigError, match=r"cluster\.domains\.prune or buckets: .* has no column of numbers called taste; it has"
    ):
        cluster(tmp_path, [three_kinds()], params)


def test_without_buckets_nothing_of_them_is_published(tmp_path: Path) -> None:
    assert not (cluster(tmp_path, [three_kinds()], BY_SOURCE) / DomainBuckets.FILE).exists()
