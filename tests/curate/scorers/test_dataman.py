"""DataMan: ratings of 14 criteria and a domain; a student for all documents, and what is missing stays missing."""

import gzip
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from tasks.core.errors import DataError, EvidenceError
from tasks.curate import gather
from tasks.curate.config import CurateParams
from tasks.curate.published.scored import Scored
from tasks.curate.scorers.ratings import CRITERIA, DOMAINS, read_answer
from tasks.curate.scorers.students import regress, shares
from tasks.curate.stage import run
from tests.curate.folders import Document, document, ingest_folder, rows, workshop
from tests.curate.scorers.latent import texts_shown
from tests.infra.endpoint_server import Body, Reply, endpoint_server


@pytest.fixture(autouse=True)
def small_shards_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "SMALL_BYTES", 0)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def curate(
    place: Path, shards: Sequence[Sequence[Document]], scorer: dict[str, Any], *select: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    ingest_folder(place / "ingest", shards)
    scorers = [{"kind": "dataman", "name": "dm", "num_buckets": 1 << 14} | scorer]
    profiles = {"all": {"rules": {}, "select": list(select)}}
    values = {"scorers": scorers, "profile": "all", "profiles": profiles, "duplicates": None}
    inputs = {"ingest": place / "ingest"}
    run(CurateParams.model_validate(values), inputs=inputs, output=place / "out", workshop=workshop(place))
    return {row["id"]: row for row in rows(place / "out", "scores/dm")}


def rating_file(path: Path, lines: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def planted(count: int, seed: int = 0) -> tuple[list[Document], list[dict[str, Any]]]:
    """Texts of two domains that say word after word what follows, shuffled the more the lower their rating."""
    rng = np.random.default_rng(seed)
    documents, ratings = [], []
    for i in range(count):
        level, domain = int(rng.integers(1, 6)), int(rng.integers(2))
        at, words = int(rng.integers(40)), []
        for _ in range(120):
            at = (3 * at + int(rng.integers(3))) % 40
            words.append(f"{'ab'[domain]}{at}")
        moved = np.flatnonzero(rng.random(120) < (5 - level) / 4)
        text = np.array(words)
        text[moved] = text[rng.permutation(moved)]
        name = f"p{seed}-{i:03d}"
        documents.append(document(name, " ".join(text), "ab"[domain]))
        ratings.append({"id": name, "overall": level, "accuracy": 6 - level, "domain": ["law", "coding"][domain]})
    return documents, ratings


def test_a_student_orders_documents_nobody_rated_as_their_planted_ratings(tmp_path: Path) -> None:
    # The check of the recipe: clean copies are 5, token shuffles of growing rate 4 to 1.
    documents, ratings = planted(500)
    file = rating_file(tmp_path / "ratings.jsonl", [*ratings[:350], {"id": "nobody", "overall": 3}])
    found = curate(tmp_path, [documents[:200], documents[200:]], {"ratings": [str(file)]})
    unseen = [(found[one["id"]], one) for one in ratings[350:]]
    assert spearmanr([row["dm"] for row, _ in unseen], [one["overall"] for _, one in unseen]).statistic >= 0.9
    assert spearmanr([row["dm_accuracy"] for row, _ in unseen], [one["overall"] for _, one in unseen]).statistic <= -0.9
    assert all(DOMAINS[int(row["dm_domain"]) - 1] == one["domain"] for row, one in unseen)
    # What nobody rated has no student, and no sum.
    assert all(math.isnan(row["dm_coherence"]) and math.isnan(row["dm_sum"]) for row, _ in unseen)
    told = Scored.read(tmp_path / "out").scorers["dm"].learned
    assert (told["rated"], told["not_in_pool"]) == (350, 1)
    assert told["held_out_rank_correlation"] > 0.85 and told["held_out_domain_accuracy"] == 1
    assert told["missing"]["coherence"] == 351 and told["missing"]["domain"] == 1


def test_ratings_stand_as_they_are_and_missing_is_no_number(tmp_path: Path) -> None:
    documents = [document(f"d{i}", f"text number {i}") for i in range(4)]
    full = {"id": "d0", "domain": "Law", **dict.fromkeys(CRITERIA, 4), "accuracy": 2.4, "coherence": 3.2}
    file = rating_file(tmp_path / "r.jsonl", [full, {"id": "d2", "overall": None, "accuracy": 5}])
    found = curate(tmp_path, [documents[:1], documents[1:]], {"ratings": [str(file)], "student": False})
    assert (found["d0"]["dm"], found["d0"]["dm_accuracy"], found["d0"]["dm_coherence"]) == (4, 2, 4)
    assert (found["d0"]["dm_sum"], found["d0"]["dm_domain"]) == (4 * 13 + 2, 3)
    assert found["d2"]["dm_accuracy"] == 5 and math.isnan(found["d2"]["dm"]) and math.isnan(found["d2"]["dm_sum"])
    for name in ("d1", "d3"):
        assert all(math.isnan(value) for column, value in found[name].items() if column.startswith("dm"))
    assert Scored.read(tmp_path / "out").scorers["dm"].without == 3


def test_quotas_of_source_and_domain_are_met_within_a_document(tmp_path: Path) -> None:
    # The recipe's other check: tokens by source, then by domain inside it, no document twice.
    documents = [document(f"d{i:03d}", "word " * (20 + i % 7), "ab"[i % 2]) for i in range(200)]
    lines = [{"id": f"d{i:03d}", "overall": 5 if i % 5 else 3, "domain": DOMAINS[i % 3]} for i in range(200)]
    file = rating_file(tmp_path / "r.jsonl", lines)
    shares_of = {
        f"{source}, dm_domain {domain}": share for source in "ab" for domain, share in ((1, 0.25), (2, 0.15), (3, 0.1))
    }
    select = (
        {"kind": "threshold", "score": "dm", "at_least": 5},
        {"kind": "quota", "by": ["source", "dm_domain"], "shares": shares_of},
    )
    curate(tmp_path, [documents], {"ratings": [str(file)], "student": False}, *select)
    kept = rows(tmp_path / "out", "kept")
    assert len({row["id"] for row in kept}) == len(kept) > 30 and {row["dm"] for row in kept} == {5.0}
    total = sum(row["pretokens"] for row in kept)
    for name, share in shares_of.items():
        own = [row["pretokens"] for row in kept if f"{row['source']}, dm_domain {row['dm_domain']:.0f}" == name]
        assert abs(sum(own) - share * total) <= 27


def test_an_endpoint_rates_a_sample_and_its_nonsense_is_counted_and_kept_apart(tmp_path: Path) -> None:
    documents, ratings = planted(60)
    by_text = {row["text"]: one for row, one in zip(documents, ratings, strict=True)}

    def reply(body: Body, before: int) -> Reply:
        (text,) = texts_shown(str(body["messages"][-1]["content"]))
        rated = dict(by_text[text])
        if rated.pop("id")[-1] in "37":
            return Reply("It is a fine text.")
        return Reply(f"Here you are: {json.dumps(rated)}")

    with endpoint_server(reply) as server:
        scorer = {"endpoint": {"base_url": server.url, "model": "m"}, "num_documents": 40, "student": False}
        found = curate(tmp_path, [documents[:9], documents[9:]], scorer)
        assert len(server.asked) == 40
    told = Scored.read(tmp_path / "out").scorers["dm"].learned
    rated = {name: row["dm"] for name, row in found.items() if not math.isnan(row["dm"])}
    assert told["rated"] == len(rated) == 40 - told["unreadable"] < 40
    assert rated == {one["id"]: one["overall"] for one in ratings if one["id"] in rated}
    answers = (tmp_path / "out" / "learned" / "dm" / "answers.jsonl").read_text()
    assert answers.count("It is a fine text.") == told["unreadable"] > 0


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('```json\n{"Overall": 3, "Topic Focus": 5}\n```', {"overall": 3, "topic_focus": 5}),
        ('{"overall": "4"}', None),
        ('{"overall": 7, "accuracy": 1}', {"accuracy": 1}),
        ("4", None),
        ('{"overall": 4', None),
        ('{"overall": true}', None),
    ],
)
def test_an_answer_is_read_as_far_as_it_can_be(answer: str, expected: dict[str, float] | None) -> None:
    found = read_answer(answer)
    told = None if found is None else dict(zip(CRITERIA, found.criteria, strict=True))
    assert expected == (None if told is None else {name: one for name, one in told.items() if not math.isnan(one)})


@pytest.mark.parametrize(
    ("lines", "error", "said"),
    [
        ([{"overall": 3}], DataError, "line 1: a rating needs the id"),
        ([{"id": "d0", "overall": 6}], DataError, "overall is 6, expected a number from 1 to 5"),
        ([{"id": "d0", "domain": "poetry"}], DataError, "domain is 'poetry', expected one of medicine"),
        ([{"id": "d0", "beauty": 3}], DataError, "beauty is no criterion. Known: accuracy"),
        ([{"id": "d0", "overall": 3}] * 2, DataError, "line 2: d0 was rated before"),
        ([{"id": "x", "overall": 3}], DataError, "none of its 1 rated documents was ingested; the first is x"),
        ([{"id": "d0", "overall": 3}], EvidenceError, "1 documents are rated, and 10 are the least"),
        ([{"id": "d0", "answer": None}], EvidenceError, "without answer 1"),
    ],
)
def test_ratings_that_cannot_be_used_are_named(
    lines: list[dict[str, Any]], error: type[Exception], said: str, tmp_path: Path
) -> None:
    file = rating_file(tmp_path / "r.jsonl", lines)
    with pytest.raises(error, match=said):
        curate(tmp_path, [[document("d0", "a text")]], {"ratings": [str(file)]})


@pytest.mark.slow
def test_shuffles_of_real_texts_are_ordered_by_how_much_was_shuffled(shared_data: Path) -> None:
    rng = np.random.default_rng(0)
    texts, levels = [], []
    for path in sorted((shared_data / "corpus").glob("*.jsonl.gz")):
        if path.name.startswith(("wikipedia", "news_bbc", "books")):
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                for words in (json.loads(line)["text"].split(" ")[:1500] for line in lines):
                    if len(words) >= 50:
                        level = int(rng.integers(1, 6))
                        moved = np.flatnonzero(rng.random(len(words)) < (5 - level) / 4)
                        text = np.array(words, dtype=object)
                        text[moved] = text[rng.permutation(moved)]
                        texts.append(" ".join(text))
                        levels.append(float(level))
    test_N = np.arange(len(texts)) % 4 == 0
    shares_NB, level_N = shares(texts, 1 << 18), np.array(levels)
    student = regress(shares_NB[np.flatnonzero(~test_N)], level_N[~test_N, None])
    found = student.of_shares(shares_NB[np.flatnonzero(test_N)])[:, 0]
    assert spearmanr(found, level_N[test_N]).statistic >= 0.9
