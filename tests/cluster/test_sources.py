"""Domains the user brings: every source is one."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.cluster import stage as cluster
from tasks.cluster.config import ClusterParams, FoundDomains
from tasks.cluster.published.domains import ClusterMap, Domains
from tasks.cluster.sources import SourceDomains, by_source, clear, source_name
from tasks.cluster.split import DomainSplit, Split
from tasks.core.errors import ConfigError, DataError
from tasks.core.manifest import Manifest
from tasks.core.params import override, validate
from tasks.tokenize import stage as tokenize
from tasks.tokenize.config import TokenizeParams
from tasks.tokenize.learning import TrainedBpe
from tasks.tokenize.pool import read_pool, token_path
from tests.cluster.curated import WORDS, Row, three_kinds, write_curated
from tests.cluster.workshop import serial_workshop

SOURCES = SourceDomains(kind="source", min_documents=20)
TENTHS = Split(search_fraction=0.1, test_fraction=0.1)
PARAMS = ClusterParams(domains=SOURCES, split=TENTHS)
EVALS = DomainSplit(search_fraction=0.5, test_fraction=0.5)


def _rows(per_kind: int = 60) -> list[Row]:
    """Prose in one long source, code and legal text in two that are shorter."""
    rows = three_kinds(per_kind)
    return [replace(row, text=row.text * 5) if row.source == "prose" else row for row in rows]


def _cluster(
    tmp_path: Path, shards: Sequence[Sequence[Row]], params: ClusterParams = PARAMS
) -> tuple[Manifest, list[str]]:
    curate = write_curated(tmp_path / "curate", shards)
    workshop, done = serial_workshop(tmp_path)
    manifest = cluster.run(params, inputs={"curate": curate}, output=tmp_path / "cluster", workshop=workshop)
    return manifest, done


def _domains(tmp_path: Path) -> list[dict[str, Any]]:
    return Domains.read(tmp_path / "cluster").model_dump(mode="json")["domains"]


def _assigned(tmp_path: Path) -> list[dict[str, Any]]:
    paths = sorted((tmp_path / "cluster" / "assignments").glob("*.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def test_every_source_is_a_domain_by_its_own_name_the_largest_first(tmp_path: Path) -> None:
    rows = _rows()
    manifest, _ = _cluster(tmp_path, [rows[:70], [], rows[70:]])
    names = [domain["name"] for domain in _domains(tmp_path)]
    assert sorted(names) == ["code", "legal", "prose"]
    assert names[0] == "prose"
    kinds = {row.id: row.source for row in rows}
    assert {names[row["domain"]] == kinds[row["id"]] for row in _assigned(tmp_path)} == {True}
    assert manifest.account is not None
    assert manifest.account.kept == manifest.account.taken


def test_nothing_is_embedded_and_no_cluster_is_made_up(tmp_path: Path) -> None:
    _, done = _cluster(tmp_path, [_rows()])
    assert done == ["assign"]
    assert ClusterMap.read(tmp_path / "cluster").clusters == ()
    assert {row["kmeans_cluster"] for row in _assigned(tmp_path)} == {None}
    assert [domain["kmeans_clusters"] for domain in _domains(tmp_path)] == [[]] * 3


def test_the_records_and_files_have_the_form_of_found_domains(tmp_path: Path) -> None:
    # The first half of a source are copies of one another.
    copies = {f"{kind}-{number}": f"{kind}-0" for kind in WORDS for number in range(30)}
    rows = [replace(row, quality=0.5, duplicate_cluster=copies.get(row.id, row.id)) for row in _rows()]
    manifest, _ = _cluster(tmp_path, [rows])
    assert [record.path for record in manifest.files] == ["assignments/00000.parquet", "clusters.json", "domains.json"]
    texts = {row.id: row for row in rows}
    for domain in _domains(tmp_path):
        assert domain["sources"] == {domain["name"]: 60}
        assert domain["means"] == {"quality": 0.5}
        assert sum(own["documents"] for own in domain["splits"].values()) == domain["documents"] == 60
        examples = [texts[example["id"]] for example in domain["examples"]]
        assert {row.source for row in examples} == {domain["name"]}
        assert len({row.duplicate_cluster for row in examples}) == len(examples) == 5
        assert domain["terms"]


def test_how_the_documents_are_cut_into_shards_moves_nothing(tmp_path: Path) -> None:
    rows, found = _rows(), []
    for name, shards in (("one", [rows]), ("three", [rows[:50], rows[50:51], rows[51:]])):
        _cluster(tmp_path / name, shards)
        found.append((_domains(tmp_path / name), [(row["id"], row["split"]) for row in _assigned(tmp_path / name)]))
    assert found[0] == found[1]


def test_a_document_without_a_score_is_an_error_not_a_zero(tmp_path: Path) -> None:
    rows = _rows()
    rows[3] = replace(rows[3], quality=float("nan"))
    with pytest.raises(DataError, match="1 of 180 kept documents have no score; first: document number 3"):
        _cluster(tmp_path, [rows])


def test_sources_that_are_too_small_are_all_named_and_never_joined() -> None:
    sources = ["web"] * 30 + ["notes"] * 3 + ["mail"] * 19
    with pytest.raises(ConfigError, match=r"2 of 3 sources have fewer than 20 documents: 'notes' 3, 'mail' 19.*lower"):
        by_source(sources, np.ones(len(sources), dtype=np.int64), SOURCES)


def test_a_source_of_another_script_has_a_plain_name_of_its_own_and_itself_for_a_label() -> None:
    found = [
        by_source(sources * 20, np.ones(40, dtype=np.int64), SOURCES) for sources in (["web", "위키"], ["위키", "웹"])
    ]
    named = [dict(zip(one.labels or (), one.names or (), strict=True)) for one in found]
    assert named[0]["web"] == "web" and named[0]["위키"] == named[1]["위키"] != named[1]["웹"]
    assert all(name.isascii() for one in named for name in one.values())


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (["C headers", "C-headers"], "'C headers' and 'C-headers' would both be the domain C-headers"),
        (["web", "-!-"], "1 of 2 sources have no letter or digit to be named by; first: '-!-'"),
        (["web", ""], "1 of 2 sources have no letter"),
    ],
)
def test_a_source_that_cannot_be_told_by_its_name_is_refused(sources: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        by_source(sources * 20, np.ones(40, dtype=np.int64), SOURCES)


@given(st.text(max_size=20))
def test_a_name_is_empty_or_can_be_a_file_of_the_pool(source: str) -> None:
    name = source_name(source)
    if name:
        assert name in token_path("train", 0, name)
    else:
        assert not any(character.isascii() and character.isalnum() for character in source)


def test_sources_of_one_size_are_ordered_by_name() -> None:
    found = by_source(["b", "a", "c"] * 20, np.ones(60, dtype=np.int64), SOURCES)
    assert found.names == ("a", "b", "c")
    assert found.domain_N[:3].tolist() == [1, 0, 2]


def test_a_source_on_one_side_only_is_named_with_the_remedy(tmp_path: Path) -> None:
    rows = [replace(row, duplicate_cluster="one" if row.source == "code" else "") for row in _rows()]
    with pytest.raises(
        ConfigError,
        match=r"2 of 9 pairs.*first: code \(60 documents in 1 duplicate clusters; search 0.1, test 0.1\).*split\.per_domain",
    ):
        _cluster(tmp_path, [rows])


def test_a_domain_held_out_whole_has_nothing_to_train_on_all_the_way_to_the_pool(tmp_path: Path) -> None:
    params = PARAMS.model_copy(update={"split": Split(per_domain={"legal": EVALS})})
    _cluster(tmp_path, [_rows()], params)
    workshop, _ = serial_workshop(tmp_path)
    inputs = {"curate": tmp_path / "curate", "cluster": tmp_path / "cluster"}
    own = TokenizeParams(tokenizer=TrainedBpe(vocab_size=300))
    manifest = tokenize.run(own, inputs=inputs, output=tmp_path / "pool", workshop=workshop)
    pool = read_pool(tmp_path / "pool")
    legal = pool.names.index("legal")
    assert pool.tokens("train")[legal] == 0
    assert min(pool.tokens("search")[legal], pool.tokens("test")[legal]) > 0
    assert (np.delete(pool.tokens("train"), legal) > 0).all()
    assert manifest.account is not None
    assert manifest.account.kept.documents == 180


def test_a_domain_that_keeps_a_train_share_must_have_text_in_it(tmp_path: Path) -> None:
    nearly = DomainSplit(search_fraction=0.5, test_fraction=0.4999)
    params = PARAMS.model_copy(update={"split": Split(per_domain={"legal": nearly})})
    with pytest.raises(ConfigError, match=r"1 of 9 pairs.*first: legal .*split train"):
        _cluster(tmp_path, [_rows()], params)


def test_one_setting_turns_a_preset_with_clusters_into_one_with_sources() -> None:
    values = override({}, ["cluster.domains.kind=source", "cluster.domains.min_documents=5"])
    params = validate(ClusterParams, values["cluster"], "the command line")
    assert params.domains == SourceDomains(kind="source", min_documents=5)
    with pytest.raises(ConfigError, match=r"domains\.source\.kmeans: .*unknown key"):
        validate(ClusterParams, {"domains": {"kind": "source", "kmeans": {}}}, "a file")


def test_sources_are_suggested_as_domains_where_they_are_few_and_each_is_large_enough() -> None:
    sources, sizes = ["law"] * 40 + ["code"] * 60, np.full(100, 1_000)
    assert clear(sources, sizes) == ("code", "law")
    assert clear(["law"] * 100, sizes) == ()
    assert clear(["law"] * 98 + ["code"] * 2, sizes) == ()
    assert clear([f"site-{number % 25}" for number in range(100)], sizes) == ()
    assert clear(sources, np.where(np.arange(100) < 40, 10, 1_000)) == ()


def test_thirty_documents_make_domains_with_nothing_but_defaults(tmp_path: Path) -> None:
    manifest, _ = _cluster(tmp_path, [_rows(10)], ClusterParams(domains=FoundDomains(prune=None)))
    assert 2 <= len(manifest.summary["domains"]) <= 3
    assert manifest.summary["clear_sources"] == ["code", "legal", "prose"]
    assert all(size["documents"] for own in manifest.summary["domains"].values() for size in own["splits"].values())
