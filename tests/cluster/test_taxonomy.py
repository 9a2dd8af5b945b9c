"""Topics that a language model finds: asked once, a classifier of its labels, shares corrected by people's labels."""

import gzip
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from infra.errors import BudgetError
from infra.settings import EndpointSettings
from tasks.cluster import stage as cluster
from tasks.cluster.config import ClusterParams
from tasks.cluster.published.domains import Domains
from tasks.cluster.published.taxonomy import Taxonomy
from tasks.cluster.taxonomy import classifier
from tasks.cluster.taxonomy.conversation import batches
from tasks.cluster.taxonomy.grouping import by_topic
from tasks.cluster.taxonomy.shares import corrected
from tasks.core.errors import ConfigError, DataError, EvidenceError
from tasks.runtime.context import Workshop
from tests.cluster.curated import Row, three_kinds, write_curated
from tests.cluster.workshop import serial_workshop
from tests.infra.endpoint_server import Body, EndpointServer, Reply, endpoint_server

# A word of each kind tells the model what a text is.
KINDS = {"river": "Prose and Stories", "return": "Source code", "hereby": "Legal texts"}
TOPICS = json.dumps([{"name": name, "description": "texts of this kind"} for name in KINDS.values()])


@pytest.fixture(autouse=True)
def without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def rows() -> list[Row]:
    words = {"prose": "river ", "code": "return ", "legal": "hereby "}
    return [Row(row.id, words[row.source] + row.text, row.source) for row in three_kinds(60)]


def kind_of(question: str) -> int:
    text = question.partition("<<<\n")[2].split()[0]
    return list(KINDS).index(text)


def model(body: Body, before: int) -> Reply:
    """Knows the true kinds; of one batch it says something else, and some labels cannot be read."""
    asked = str(body["messages"][-1]["content"])
    if "in about 20 words" in asked:
        return Reply(f"A text of kind {kind_of(asked)}.")
    if "number alone" in asked:
        assert re.search(r"^2\. Source code: ", asked, re.MULTILINE)
        return Reply("No idea" if len(asked) % 9 == 0 else f"{kind_of(asked) + 1}.")
    return Reply("Let me think." if "Judge whether" in asked else f"The topics: {TOPICS}")


def params(server: EndpointServer | None, **more: Any) -> ClusterParams:
    domains: dict[str, Any] = {
        "kind": "taxonomy",
        "num_documents": 60,
        "batch_size": 25,
        "num_to_label": 40,
        "num_buckets": 2048,
    }
    domains |= {"num_buckets": 2048} | more
    if server is not None:
        domains["endpoint"] = {"base_url": server.url, "model": "m"}
    return ClusterParams.model_validate({"domains": domains, "split": {"search_fraction": 0.1, "test_fraction": 0.1}})


def clustered(
    place: Path, shards: Sequence[Sequence[Row]], chosen: ClusterParams, workshop: Workshop | None = None
) -> dict[str, str]:
    """The domain of every document."""
    if not (place / "curate").exists():
        write_curated(place / "curate", shards)
    workshop = workshop or serial_workshop(place)[0]
    cluster.run(chosen, inputs={"curate": place / "curate"}, output=place / "cluster", workshop=workshop)
    names = Domains.read(place / "cluster").names
    tables = [pq.read_table(path) for path in sorted((place / "cluster" / "assignments").glob("*.parquet"))]
    return {row["id"]: names[row["domain"]] for table in tables for row in table.to_pylist()}


def test_a_model_that_knows_the_kinds_makes_them_domains_of_all_documents(tmp_path: Path) -> None:
    every = rows()
    workshop = serial_workshop(tmp_path)[0]
    with endpoint_server(model) as server:
        found = clustered(tmp_path / "a", [every], params(server), workshop)
        # 60 summaries, 3 batches and a review, 60 labels.
        assert len(server.asked) == 124
        again = clustered(tmp_path / "b", [every[:50], every[50:]], params(server), workshop)
        assert len(server.asked) == 124
    names = {"prose": "prose-and-stories", "code": "source-code", "legal": "legal-texts"}
    right = sum(found[row.id] == names[row.source] for row in every) / len(every)
    assert right >= 0.95 and found == again
    told = Taxonomy.read(tmp_path / "a" / "cluster")
    assert told.told["unreadable_taxonomies"] == 2 and 0 < told.told["unreadable_labels"] < 20
    assert told.told["labelled"] == 60 - told.told["unreadable_labels"]
    assert [topic.name for topic in told.topics] == [*KINDS.values(), "other"]
    assert sum(topic.documents for topic in told.topics) == 180 and told.topics[0].corrected is None
    answers = str(tmp_path / "a" / "cluster" / "answers.jsonl")
    assert clustered(tmp_path / "c", [every], params(None, answers=answers)) == found


def test_labels_of_people_correct_the_shares_of_a_biased_model(tmp_path: Path) -> None:
    every = rows()

    def biased(body: Body, before: int) -> Reply:
        asked = str(body["messages"][-1]["content"])
        return Reply("2") if "number alone" in asked and len(asked) % 3 else model(body, before)

    with endpoint_server(biased) as server:
        clustered(tmp_path, [every], params(server, num_to_label=60, min_documents=3))
        to_label = (tmp_path / "cluster" / "to_label.jsonl").read_text().splitlines()
        assert len(to_label) == 60
        lines = [json.loads(line) for line in to_label]
        truth = {row.id: KINDS[row.text.split()[0]] for row in every}
        labels = [{**line, "topic": truth[line["id"]]} for line in lines] + [
            {**lines[0], "id": "gone", "topic": "OTHER"}
        ]
        file = tmp_path / "labels.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in labels))
        clustered(tmp_path, [every], params(server, num_to_label=60, min_documents=3, labelled=str(file)))
    told = Taxonomy.read(tmp_path / "cluster")
    assert (told.labelled, told.labelled_not_in_pool) == (60, 1)
    for topic in told.topics[:3]:
        assert topic.low is not None and topic.high is not None and topic.low <= 1 / 3 <= topic.high
        assert topic.corrected is not None and abs(topic.corrected - 1 / 3) < abs(topic.predicted - 1 / 3)


def test_corrected_shares_cover_the_truth_as_often_as_they_say_and_raw_ones_do_not() -> None:
    # The check of the recipe: a biased rater, 200 samples of people's labels, of a topic that is rare, too.
    rng = np.random.default_rng(0)
    true_N = rng.choice(4, 20_000, p=[0.5, 0.3, 0.18, 0.02])
    wrong_N = rng.random(20_000) < np.array([0.1, 0.3, 0.2, 0.4])[true_N]
    predicted_N = np.where(wrong_N, rng.choice(4, 20_000, p=[0.8, 0.1, 0.05, 0.05]), true_N)
    truth_K = np.bincount(true_N) / 20_000
    # Documents of one predicted topic are asked about three times as often.
    probability_N = np.where(predicted_N == 1, 0.03, 0.01)
    covered, raw = np.zeros(4), np.zeros(4)
    means = []
    for _ in range(200):
        rows_n = np.flatnonzero(rng.random(20_000) < probability_N)
        shares = corrected(predicted_N, rows_n, true_N[rows_n], probability_N[rows_n], 4)
        covered += (shares.low_K <= truth_K) & (truth_K <= shares.high_K)
        half_K = (shares.high_K - shares.low_K) / 2
        raw += np.abs(shares.predicted_K - truth_K) <= half_K
        means.append(shares.corrected_K)
    assert (covered / 200 >= 0.92).all()
    assert (raw / 200)[:2].max() < 0.5
    assert np.allclose(np.mean(means, axis=0), truth_K, atol=0.005)


def test_a_sample_without_an_error_has_an_interval_all_the_same() -> None:
    predicted_N = np.arange(1000) % 2
    shares = corrected(predicted_N, np.arange(50), predicted_N[:50], np.full(50, 0.05), 2)
    assert shares.corrected_K.tolist() == [0.5, 0.5]
    # Of 50 without an error the rule of three says up to 6 %.
    assert 0.03 < shares.high_K[0] - 0.5 < 0.08


def test_a_budget_ends_the_conversation_and_it_goes_on_from_there(tmp_path: Path) -> None:
    workshop = serial_workshop(tmp_path)[0]
    limited = Workshop(workshop.executor, workshop.store, asking=EndpointSettings(max_requests=50))
    with endpoint_server(model) as server:
        with pytest.raises(BudgetError, match="50 of 60 requests are answered"):
            clustered(tmp_path, [rows()], params(server), limited)
        clustered(tmp_path, [rows()], params(server), workshop)
        assert len(server.asked) == 124


def test_small_topics_join_what_is_likeliest_next() -> None:
    score_NK = np.array([[3, 1, 0], [3, 2, 0], [0, 3, 1], [1, 3, 0], [0, 1, 3]], float)
    found = by_topic(score_NK, ["A b", "あ", "other"], np.array([1, 1, 5, 5, 5]), 2)
    assert found.domain_N.tolist() == [1, 1, 0, 0, 0]
    assert (found.names, found.labels) == (("topic", "a-b"), ("あ", "A b"))
    with pytest.raises(EvidenceError, match="fewer than two topics have 3 documents"):
        by_topic(score_NK, ["a", "b", "other"], np.ones(5, np.int64), 3)


def test_the_last_batch_is_filled_up_with_others() -> None:
    found = batches(11, 4, 0)
    assert [len(batch) for batch in found] == [4, 4, 4]
    assert len({row for batch in found for row in batch}) == 11


def test_models_and_files_that_are_of_no_use_are_named(tmp_path: Path) -> None:
    shards = [rows()]
    said = "m names no two topics of 25 summaries; it says 'Hello!'"
    with endpoint_server(lambda body, _: Reply("Hello!")) as server, pytest.raises(EvidenceError, match=said):
        clustered(tmp_path / "a", shards, params(server))
    with endpoint_server(model) as server:
        clustered(tmp_path / "b", shards, params(server))
        file = tmp_path / "labels.jsonl"
        for line, said in (
            ({"topic": "Law"}, "expected"),
            ({"id": "x", "topic": "Poetry"}, "there is no topic 'Poetry'. Known: Prose and Stories"),
            ({"id": "x", "topic": "other"}, "probability is None"),
            ({"id": "x", "topic": "other", "probability": 0.1}, r"none of its labels is of a kept document \(1 are"),
        ):
            file.write_text(json.dumps(line) + "\n")
            with pytest.raises(DataError, match=said):
                clustered(tmp_path / "b", shards, params(server, labelled=str(file)))
    with pytest.raises(ConfigError, match=r"cluster.domains.answers: nowhere is no file"):
        clustered(tmp_path / "c", shards, params(None, answers="nowhere"))
    file.write_text('{"id": "x", "answer": "1", "step": "label"}\n')
    with pytest.raises(DataError, match="no line names topics"):
        clustered(tmp_path / "c", shards, params(None, answers=str(file)))
    with pytest.raises(ValueError, match="name an endpoint to be asked, or a file"):
        params(None)


@pytest.mark.slow
def test_a_model_that_knows_the_source_of_real_texts_teaches_it(shared_data: Path) -> None:
    # The check of the recipe.
    texts, sources = [], []
    for path in sorted((shared_data / "corpus").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            texts += [json.loads(line)["text"][:4000] for i, line in enumerate(lines) if i % 12 == 0]
        sources += [path.name.partition("_")[0]] * (len(texts) - len(sources))
    names, source_N = np.unique(sources, return_inverse=True)
    order = np.random.default_rng(0).permutation(len(texts))
    labelled, others = order[:2000], order[2000:]
    features_NB = classifier._features(texts, 1 << 16)
    model = classifier._fitted(features_NB[labelled], source_N[labelled], len(names))
    right_N = classifier._scores(model, features_NB[others]).argmax(axis=1) == source_N[others]
    assert right_N.mean() >= 0.95
