"""The tokenize stage, from curated and clustered shards to a token pool."""

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from infra.local_executor import LocalExecutor
from infra.storage import FolderStore
from tasks.cluster import stage as cluster
from tasks.cluster.config import ClusterParams, FoundDomains
from tasks.cluster.kmeans import KMeans
from tasks.cluster.merge import WardMerge
from tasks.cluster.split import Split
from tasks.core.digest import digest_file
from tasks.core.errors import ConfigError, DataError
from tasks.core.manifest import FileRecord, Manifest
from tasks.embedding.tfidf import TfidfEmbedder
from tasks.runtime.context import Workshop
from tasks.tokenize import tokenizer as bpe
from tasks.tokenize.config import TokenizeParams
from tasks.tokenize.learning import TrainedBpe
from tasks.tokenize.pool import read_pool
from tasks.tokenize.prefixed import Metadata, prefix
from tasks.tokenize.stage import run
from tasks.tokenize.taking import TokenizerFile
from tests.cluster.curated import Row, three_kinds, write_curated
from tests.cluster.workshop import serial_workshop

ROWS = [*three_kinds(), Row("odd", "river garden 🏞️\r\n <|document_end|> village\x00 " * 9, "prose")]
CLUSTER = ClusterParams(
    domains=FoundDomains(
        embedder=TfidfEmbedder(dimensions=8, min_term_documents=2),
        kmeans=KMeans(num_clusters_initial=9),
        merge=WardMerge(num_domains=3, min_documents=20),
    ),
    split=Split(search_fraction=0.1, test_fraction=0.1),
)
PARAMS = TokenizeParams(tokenizer=TrainedBpe(vocab_size=320))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    folder = tmp_path_factory.mktemp("inputs")
    curate = write_curated(folder / "curate", [ROWS[:100], [], ROWS[100:]])
    workshop, _ = serial_workshop(folder)
    cluster.run(CLUSTER, inputs={"curate": curate}, output=folder / "cluster", workshop=workshop)
    return {"curate": curate, "cluster": folder / "cluster"}


def _assigned(inputs: Mapping[str, Path]) -> list[dict[str, Any]]:
    return [
        row for path in sorted((inputs["cluster"] / "assignments").iterdir()) for row in pq.read_table(path).to_pylist()
    ]


def test_every_document_lies_once_in_its_domain_and_split_and_reads_as_it_was(
    inputs: Mapping[str, Path], tmp_path: Path
) -> None:
    workshop, _ = serial_workshop(tmp_path)
    run(PARAMS, inputs=inputs, output=tmp_path / "out", workshop=workshop)
    pool, texts = read_pool(tmp_path / "out"), {row.id: row.text for row in ROWS}
    codec = bpe.load(tmp_path / "out" / "tokenizer.json", bpe.DOCUMENT_END)
    table = pq.read_table(tmp_path / "out" / "documents.parquet").to_pylist()
    where = {row["id"]: (row["domain"], row["split"]) for row in table}
    expected = {row["id"]: (pool.names[row["domain"]], row["split"]) for row in _assigned(inputs) if row["domain"] >= 0}
    assert where == expected
    assert len(table) == len(expected)
    for domain in pool.domains:
        for split, packed in domain.splits.items():
            place = (domain.name, split)
            firsts = [row["first_token"] for row in table if (row["domain"], row["split"]) == place]
            assert packed.starts.tolist() == firsts
    for row in table:
        tokens = pool.domains[pool.names.index(row["domain"])].splits[row["split"]].tokens
        own = tokens[row["first_token"] : row["first_token"] + row["tokens"]]
        assert own[-1] == pool.document_end
        assert bpe.decode(codec, own[:-1].tolist()) == texts[row["id"]].encode()
        assert row["bytes"] == len(texts[row["id"]].encode()) == int(pool.token_bytes[own].sum())


def test_numbers_of_documents_that_are_asked_for_lie_beside_their_tokens(
    inputs: Mapping[str, Path], tmp_path: Path
) -> None:
    workshop, _ = serial_workshop(tmp_path)
    asked = PARAMS.model_copy(update={"document_columns": ("quality",)})
    run(asked, inputs=inputs, output=tmp_path / "out", workshop=workshop)
    pool, quality = read_pool(tmp_path / "out", "train"), {row.id: row.quality for row in ROWS}
    table = pq.read_table(tmp_path / "out" / "documents.parquet").to_pylist()
    for domain in pool.domains:
        ids = [row["id"] for row in table if (row["domain"], row["split"]) == (domain.name, "train")]
        own = domain.splits["train"]
        assert own.columns["quality"].tolist() == [quality[one] for one in ids]
        assert len(set(own.ids.tolist())) == len(ids)


@pytest.mark.parametrize("metadata", ["host", "source"])
def test_documents_stand_once_more_behind_their_metadata_where_that_is_asked_for(
    inputs: Mapping[str, Path], tmp_path: Path, metadata: Metadata
) -> None:
    workshop, _ = serial_workshop(tmp_path)
    asked = PARAMS.model_copy(update={"metadata": metadata})
    manifest = run(asked, inputs=inputs, output=tmp_path / "out", workshop=workshop)
    run(PARAMS, inputs=inputs, output=tmp_path / "plain", workshop=workshop)
    before = {path.relative_to(tmp_path / "plain") for path in (tmp_path / "plain").rglob("*.*")}
    added = {path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.*")} - before
    manifest.verify(tmp_path / "out")
    pool, rows = read_pool(tmp_path / "out"), {row.id: row for row in ROWS}
    assert len(added) == 2 * len(pool.domains) and all("metadata/train/" in str(path) for path in added)
    for path in before - {Path("manifest.json")}:
        assert (tmp_path / "out" / path).read_bytes() == (tmp_path / "plain" / path).read_bytes()
    codec = bpe.load(tmp_path / "out" / "tokenizer.json", bpe.DOCUMENT_END)
    table = pq.read_table(tmp_path / "out" / "documents.parquet").to_pylist()
    for domain in pool.domains:
        own, split = domain.splits["train"].prefixed, domain.splits["train"]
        assert own is not None and domain.splits["test"].prefixed is None
        place = 0
        for number, (size, first) in enumerate(zip(own.sizes.tolist(), split.starts.tolist(), strict=True)):
            (row,) = (
                one
                for one in table
                if (one["domain"], one["split"], one["first_token"]) == (domain.name, "train", first)
            )
            told = {"host": "URL: unknown\n\n", "source": f"Source: {rows[row['id']].source}\n\n"}[metadata]
            assert bpe.decode(codec, own.tokens[place : place + size].tolist()) == told.encode(), number
            text = own.tokens[place + size : place + size + row["tokens"]]
            assert text.tolist() == split.tokens[first : first + row["tokens"]].tolist()
            place += size + row["tokens"]
        assert place == own.tokens.size


def test_the_host_of_an_address_is_its_metadata_however_it_is_written() -> None:
    addresses = ("http://a.org:80/b?c", "a.org/b", "https://A.org", "", None, "http://[bad")
    assert [prefix("host", each).strip() for each in addresses] == [
        "URL: a.org", "URL: a.org", "URL: a.org", "URL: unknown", "URL: unknown", "URL: unknown"
    ]  # fmt: skip


def test_a_column_of_text_is_refused(inputs: Mapping[str, Path], tmp_path: Path) -> None:
    workshop, _ = serial_workshop(tmp_path)
    asked = PARAMS.model_copy(update={"document_columns": ("duplicate_cluster",)})
    with pytest.raises(DataError, match=r"tokenize\.document_columns: duplicate_cluster is string"):
        run(asked, inputs=inputs, output=tmp_path / "out", workshop=workshop)


def test_a_column_that_no_document_has_is_named_with_those_that_there_are(
    inputs: Mapping[str, Path], tmp_path: Path
) -> None:
    workshop, _ = serial_workshop(tmp_path)
    asked = PARAMS.model_copy(update={"document_columns": ("quality", "qualty")})
    with pytest.raises(ConfigError, match=r"1 of 2 are columns of no document; first: qualty\. .* quality") as told:
        run(asked, inputs=inputs, output=tmp_path / "out", workshop=workshop)
    assert "Run curate again" not in str(told.value)


def test_tokens_bytes_and_documents_are_counted_and_the_account_closes(
    inputs: Mapping[str, Path], tmp_path: Path
) -> None:
    workshop, _ = serial_workshop(tmp_path)
    manifest = run(PARAMS, inputs=inputs, output=tmp_path / "out", workshop=workshop)
    pool = read_pool(tmp_path / "out")
    documents: Counter[str] = Counter()
    for domain in pool.domains:
        for split, own in domain.splits.items():
            counted = manifest.summary["domains"][domain.name][split]
            assert counted == {"tokens": own.tokens.size, "bytes": own.bytes, "documents": own.starts.size}
            assert own.starts.size == int((own.tokens == pool.document_end).sum())
            assert own.bytes == int(pool.token_bytes[own.tokens].sum())
            documents["all"] += own.starts.size
    assert manifest.account is not None
    assert manifest.account.kept == manifest.account.taken
    assert manifest.account.kept.documents == documents["all"]
    assert manifest.summary["vocab_size"] == 320


def test_the_tokenizer_sees_only_the_train_split(tmp_path: Path) -> None:
    rows = three_kinds()
    digests = []
    for name in ("as-it-is", "another-test-text"):
        folder = tmp_path / name
        curate = write_curated(folder / "curate", [rows])
        workshop, _ = serial_workshop(folder)
        cluster.run(CLUSTER, inputs={"curate": curate}, output=folder / "cluster", workshop=workshop)
        run(PARAMS, inputs={"curate": curate, "cluster": folder / "cluster"}, output=folder / "out", workshop=workshop)
        digests.append((folder / "out" / "tokenizer.json").read_bytes())
        assigned = {row["id"]: row["split"] for row in _assigned({"cluster": folder / "cluster"})}
        rows = [Row(row.id, f"{row.text} held out", row.source) if assigned[row.id] == "test" else row for row in rows]
    assert digests[0] == digests[1]


def test_another_seed_packs_the_same_documents_in_another_order(inputs: Mapping[str, Path], tmp_path: Path) -> None:
    workshop, done = serial_workshop(tmp_path)
    train = []
    tokenizer = _users_tokenizer(tmp_path)
    for seed in (0, 1):
        params = TokenizeParams(seed=seed, tokenizer=tokenizer)
        run(params, inputs=inputs, output=tmp_path / f"{seed}", workshop=workshop)
        train.append(np.array(read_pool(tmp_path / f"{seed}").domains[0].splits["train"].tokens))
    assert train[0].tolist() != train[1].tolist()
    assert sorted(train[0].tolist()) == sorted(train[1].tolist())
    assert done.count("encode_shard") == 3, "the documents are the same: encoding is not done again"


def _users_tokenizer(folder: Path) -> TokenizerFile:
    path = folder / "mine.json"
    path.write_text(bpe.train([row.text for row in ROWS], 300), encoding="utf-8")
    return TokenizerFile(kind="file", path=str(path), document_end=bpe.DOCUMENT_END)


def test_the_users_tokenizer_is_taken_as_it_is(inputs: Mapping[str, Path], tmp_path: Path) -> None:
    workshop, _ = serial_workshop(tmp_path)
    tokenizer = _users_tokenizer(tmp_path)
    manifest = run(TokenizeParams(tokenizer=tokenizer), inputs=inputs, output=tmp_path / "out", workshop=workshop)
    assert (tmp_path / "out" / "tokenizer.json").read_bytes() == Path(tokenizer.path).read_bytes()
    assert read_pool(tmp_path / "out").vocab_size == 300
    assert set(manifest.inputs) == {"curate", "cluster", "tokenizer"}


def test_a_tokenizer_that_is_not_there_is_refused_before_any_work(inputs: Mapping[str, Path], tmp_path: Path) -> None:
    workshop, done = serial_workshop(tmp_path)
    params = TokenizeParams(tokenizer=TokenizerFile(kind="file", path=str(tmp_path / "none"), document_end="</s>"))
    with pytest.raises(ConfigError, match="does not exist"):
        run(params, inputs=inputs, output=tmp_path / "out", workshop=workshop)
    assert not done


def test_domains_of_another_curate_output_are_refused(inputs: Mapping[str, Path], tmp_path: Path) -> None:
    other = write_curated(tmp_path / "curate", [ROWS[:50]])
    workshop, _ = serial_workshop(tmp_path)
    with pytest.raises(DataError, match="made from another curate output"):
        run(PARAMS, inputs={**inputs, "curate": other}, output=tmp_path / "out", workshop=workshop)


@pytest.mark.parametrize("users", [False, True])
def test_assignments_of_other_documents_are_refused_not_shifted(
    inputs: Mapping[str, Path], tmp_path: Path, users: bool
) -> None:
    clustered = tmp_path / "cluster"
    shutil.copytree(inputs["cluster"], clustered)
    path = clustered / "assignments" / "00000.parquet"
    table = pq.read_table(path)
    path.unlink()
    pq.write_table(table.take(np.arange(table.num_rows)[::-1]), path)
    manifest = Manifest.read(clustered)
    files = [
        FileRecord(file.path, digest_file(clustered / file.path), (clustered / file.path).stat().st_size)
        for file in manifest.files
    ]
    replace(manifest, files=tuple(files)).write(clustered)
    params = TokenizeParams(tokenizer=_users_tokenizer(tmp_path)) if users else PARAMS
    workshop, done = serial_workshop(tmp_path)
    with pytest.raises(DataError, match=r"its 100 rows are not the 100 documents of .*00000\.parquet"):
        run(params, inputs={**inputs, "cluster": clustered}, output=tmp_path / "out", workshop=workshop)
    assert ("encode_shard" in done) == users, "a tokenizer is not trained on rows that do not fit"


def test_a_second_run_does_nothing(inputs: Mapping[str, Path], tmp_path: Path) -> None:
    workshop, done = serial_workshop(tmp_path)
    before = run(PARAMS, inputs=inputs, output=tmp_path / "out", workshop=workshop)
    done.clear()
    assert run(PARAMS, inputs=inputs, output=tmp_path / "out", workshop=workshop).output == before.output
    assert not done


def test_an_output_that_was_deleted_comes_back_from_the_store(inputs: Mapping[str, Path], tmp_path: Path) -> None:
    workshop, done = serial_workshop(tmp_path)
    before = run(PARAMS, inputs=inputs, output=tmp_path / "one", workshop=workshop)
    done.clear()
    assert run(PARAMS, inputs=inputs, output=tmp_path / "two", workshop=workshop).output == before.output
    assert not done


def test_one_and_two_workers_give_the_same_bytes(inputs: Mapping[str, Path], tmp_path: Path) -> None:
    outputs = []
    for workers in (1, 2):
        workshop = Workshop(LocalExecutor(workers), FolderStore(tmp_path / f"store-{workers}"))
        outputs.append(run(PARAMS, inputs=inputs, output=tmp_path / f"out-{workers}", workshop=workshop).output)
    serial, _ = serial_workshop(tmp_path)
    outputs.append(run(PARAMS, inputs=inputs, output=tmp_path / "out-serial", workshop=serial).output)
    assert len(set(outputs)) == 1
