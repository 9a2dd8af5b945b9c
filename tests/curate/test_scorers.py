"""Scorers: n-grams hashed as DSIR's authors do, scores that shards and workers do not change, and what is told of them."""

import gzip
import json
from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local_executor import LocalExecutor
from tasks.core.errors import ConfigError, DamagedError, DataError
from tasks.core.manifest import Manifest
from tasks.curate import gather
from tasks.curate.audit.scores import score_ranges, write_scores_of
from tasks.curate.config import CurateParams
from tasks.curate.native import kernel
from tasks.curate.published.scored import Scored
from tasks.curate.scorers import hashed_ngrams
from tasks.curate.scorers.dsir import divergence, log_ratio, shares
from tasks.curate.scorers.hashed_ngrams import bucket_counts, bucket_rows, weight_sums
from tasks.curate.stage import run
from tasks.curate.statistics.texts import texts_of
from tasks.curate.why import describe, why
from tests.curate.fasttext_files import plain_model
from tests.curate.folders import Document, document, ingest_folder, rows, workshop
from tests.curate.nasty import PIECES

needs_kernel = pytest.mark.skipif(kernel("buckets") is None, reason="the kernel buckets is not compiled here")
NASTY = st.lists(st.sampled_from([*PIECES, "word", "Word", "İ", "ẞ", "Σ"]), max_size=40).map("".join)
MEDICINE = "the patient was given a dose of the drug and the disease went away within days "
LAW = "the court held that the party shall pay under section four of the act as amended "


def by_hand(texts: Sequence[str], num_buckets: int) -> list[list[int]]:
    """The n-grams of each text by bucket, as the paper's appendix says it."""
    found = []
    for text in texts:
        words = hashed_ngrams._WORD.findall(text.lower())
        ngrams = [*words, *(f"{a} {b}" for a, b in pairwise(words))]
        found.append([int(sha256(ngram.encode()).hexdigest(), 16) % num_buckets for ngram in ngrams])
    return found


def all_of(buckets: Sequence[Sequence[int]]) -> list[int]:
    return [bucket for some in buckets for bucket in some]


@pytest.fixture(scope="module")
def records(shared_data: Path) -> list[dict[str, str]]:
    """Every 20th document of the corpus."""
    found = []
    for path in sorted((shared_data / "corpus").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            found += [json.loads(line) for i, line in enumerate(lines) if i % 20 == 0]
    return found


@needs_kernel
@given(st.lists(NASTY, max_size=6), st.sampled_from([2, 10_000, 2**32 - 1]))
def test_the_kernel_counts_and_sums_what_the_fallback_does(texts: list[str], num_buckets: int) -> None:
    given_texts = texts_of(texts)
    weights = np.random.default_rng(0).normal(size=min(num_buckets, 10_000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashed_ngrams, "kernel", lambda _: None)
        plain_sums, plain_ngrams = weight_sums(given_texts, weights)
        plain_counts = bucket_counts(given_texts, len(weights))
        plain_rows = bucket_rows(given_texts, num_buckets)
    sums, ngrams = weight_sums(given_texts, weights)
    assert sums.tobytes() == plain_sums.tobytes() and ngrams.tolist() == plain_ngrams.tolist()
    assert bucket_counts(given_texts, len(weights)).tolist() == plain_counts.tolist()
    rows = bucket_rows(given_texts, num_buckets)
    assert [one.tolist() for one in rows] == [one.tolist() for one in plain_rows]
    assert [rows[2][a:b].sum() for a, b in pairwise(rows[0])] == weight_sums(given_texts, weights)[1].tolist()


@needs_kernel
def test_words_of_every_length_are_hashed_as_sha_256_does() -> None:
    # 55, 56, 63, 64, 119 and 120 bytes are where a block of the hash ends.
    texts = ["x" * length for length in range(1, 200)]
    sums, _ = weight_sums(texts_of(texts), np.arange(9973.0))
    assert sums.tolist() == [float(buckets[0]) for buckets in by_hand(texts, 9973)]


def test_counts_are_those_of_words_and_neighbours_in_lower_case() -> None:
    texts = ["Don't PANIC: 42!", "", "one", "naïve Größe 部屋"]
    counts = bucket_counts(texts_of(texts), 97)
    assert counts.tolist() == np.bincount(all_of(by_hand(texts, 97)), minlength=97).tolist()
    assert weight_sums(texts_of(texts), np.ones(97))[1].tolist() == [13, 0, 1, 5]


@needs_kernel
def test_what_the_kernel_forgets_between_documents_it_counts_all_the_same(records: list[dict[str, str]]) -> None:
    texts = texts_of([record["text"] for record in records[::60]])
    weights = np.random.default_rng(1).normal(size=10_000)
    alone = [weight_sums(texts_of([text]), weights)[0][0] for text in texts.to_list()]
    assert weight_sums(texts, weights)[0].tolist() == alone


def folder_with(tmp_path: Path, *shards: int) -> tuple[list[Document], list[list[Document]]]:
    texts = [(MEDICINE if i % 3 == 0 else LAW) * (1 + i % 4) + f"case{i} note{i * i} " * 3 for i in range(24)]
    documents = [document(f"d{i:02d}", text, "med" if i % 3 == 0 else "law") for i, text in enumerate(texts)]
    bounds = [0, *shards, len(documents)]
    return documents, [documents[a:b] for a, b in pairwise(bounds)]


@pytest.mark.slow
@needs_kernel
def test_a_text_of_more_words_than_the_kernel_remembers_is_hashed_to_its_end() -> None:
    words = 2**21 + 100  # as many as it remembers, and some
    text = " ".join(f"w{i}" for i in range(words))
    sums, ngrams = weight_sums(texts_of([text]), np.arange(9973.0))
    assert ngrams.tolist() == [2 * words - 1]
    assert sums.tolist() == [float(sum(by_hand([text], 9973)[0]))]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "target.jsonl"
    path.write_text("".join(json.dumps({"question": MEDICINE, "answer": f"dose {i}"}) + "\n" for i in range(5)))
    return path


@pytest.fixture(autouse=True)
def small_shards_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "SMALL_BYTES", 0)


def params(target: Path, *select: dict[str, object], **more: object) -> CurateParams:
    scorer = {"kind": "dsir", "name": "med", "target": [str(target)], "num_buckets": 500}
    profiles = {"chosen": {"rules": {}, "select": list(select)}}
    values = {"scorers": [scorer], "profile": "chosen", "profiles": profiles, "duplicates": None}
    return CurateParams.model_validate(values | more)


def test_scores_are_those_of_the_formula_and_stand_beside_every_document(tmp_path: Path, target: Path) -> None:
    documents, shards = folder_with(tmp_path, 10)
    ingest_folder(tmp_path / "ingest", shards)
    run(params(target), inputs={"ingest": tmp_path / "ingest"}, output=tmp_path / "out", workshop=workshop(tmp_path))
    texts = [row["text"] for row in documents]
    asked = [text for line in target.read_text().splitlines() for text in json.loads(line).values()]
    counts = [np.bincount(all_of(by_hand(some, 500)), minlength=500) for some in (asked, texts)]
    weights = np.log(counts[0] / counts[0].sum() + 1e-8) - np.log(counts[1] / counts[1].sum() + 1e-8)
    expected = [float(weights[buckets].sum()) for buckets in by_hand(texts, 500)]
    found = rows(tmp_path / "out", "scores/med")
    assert [row["id"] for row in found] == [row["id"] for row in documents]
    assert np.allclose([row["med"] for row in found], expected, rtol=0, atol=1e-9)
    kept = rows(tmp_path / "out", "kept")
    assert [row["med"] for row in kept] == [row["med"] for row in found]
    assert [row["med_words"] for row in kept] == [len(hashed_ngrams._WORD.findall(text)) for text in texts]


def test_one_two_and_eight_shards_and_workers_give_the_same_scores_and_the_same_documents(
    tmp_path: Path, target: Path
) -> None:
    found = []
    for number, bounds in enumerate(((), (11,), (3, 6, 9, 12, 15, 18, 21))):
        _, shards = folder_with(tmp_path, *bounds)
        place = tmp_path / str(number)
        ingest_folder(place / "ingest", shards)
        combined = [{"kind": "z_scores", "name": "both", "weights": {"med_mean": 1, "med_words": 0.5}}]
        select: list[dict[str, object]] = [
            {"kind": "sampled", "score": "both", "share": 0.8, "temperature": 0.5},
            {"kind": "quota", "by": ["source"], "at_most_share": 0.6},
            {"kind": "weighted", "score": "both", "steps": [[0, 1], [0.5, 2.5]]},
        ]
        places = workshop(place, LocalExecutor(workers=2) if number == 1 else None)
        chosen = params(target, *select, combined=combined)
        run(chosen, inputs={"ingest": place / "ingest"}, output=place / "out", workshop=places)
        scores = [[(row["id"], row[name]) for row in rows(place / "out", f"scores/{name}")] for name in ("med", "both")]
        found.append((scores, {row["id"]: row["weight"] for row in rows(place / "out", "kept")}))
    assert found[0] == found[1] == found[2]
    assert 0 < len(found[0][1]) < 24 and {*found[0][1].values()} == {1.0, 2.5}
    heavy = next(name for name, weight in found[0][1].items() if weight == 2.5)
    assert "  weight 2.5" in describe(why(tmp_path / "0" / "out", heavy)).splitlines()


def test_another_threshold_or_seed_scores_no_document_again(tmp_path: Path, target: Path) -> None:
    _, shards = folder_with(tmp_path, 10)
    ingest_folder(tmp_path / "ingest", shards)
    places, made, kept = workshop(tmp_path), [], []
    for number in (0, 6, 12):
        at_least = sorted(row["med_mean"] for row in kept[0])[number] if kept else -1e9
        select = {"kind": "threshold", "score": "med_mean", "at_least": at_least}
        places.touched.clear()
        run(params(target, select), inputs={"ingest": tmp_path / "ingest"}, output=tmp_path / "out", workshop=places)
        units = ("curate.learn", "curate.score", "curate.candidates")
        made.append([frozenset(places.touched[name]) for name in units])
        kept.append(rows(tmp_path / "out", "kept"))
    assert made[0] == made[1] == made[2]
    assert [len(documents) for documents in kept] == [24, 18, 12]


def test_what_the_kept_documents_have_of_the_target_is_told(tmp_path: Path, target: Path) -> None:
    _, shards = folder_with(tmp_path, 10)
    ingest_folder(tmp_path / "ingest", shards)
    reductions = []
    for low, high in ((0.66, 1.0), (0.0, 0.33)):
        select = {"kind": "quantiles", "score": "med_mean", "low": low, "high": high}
        out = tmp_path / f"out{low}"
        run(params(target, select), inputs={"ingest": tmp_path / "ingest"}, output=out, workshop=workshop(tmp_path))
        told = Scored.read(out)
        reductions.append(told.scorers["med"].kept["kl_reduction"])
        (selection,) = told.selections
        assert selection.considered.documents == 24
        assert selection.kept.documents == len(rows(out, "kept"))
    assert reductions[0] > 0 > reductions[1]
    assert told.scorers["med"].learned["target_texts"] == 10
    assert "say little" in told.scorers["med"].learned["warning"]


def test_a_profile_selects_from_the_documents_that_it_judges(tmp_path: Path, target: Path) -> None:
    _, shards = folder_with(tmp_path, 10)
    ingest_folder(tmp_path / "ingest", shards)
    half = {"kind": "quantiles", "score": "med_words", "low": 0.5}
    profiles = {"half": {"rules": {}, "select": [half]}, "all": {"rules": {}}}
    chosen = params(target, profile=None, profiles=profiles, profile_of_source={"med": "half"}, default_profile="all")
    run(chosen, inputs={"ingest": tmp_path / "ingest"}, output=tmp_path / "out", workshop=workshop(tmp_path))
    kept = [row["source"] for row in rows(tmp_path / "out", "kept")]
    assert kept.count("law") == 16 and 0 < kept.count("med") < 8


def test_the_divergence_is_that_of_the_two_models() -> None:
    target, pool = shares(np.array([6, 2, 0])), shares(np.array([1, 1, 2]))
    assert divergence(target, pool) == pytest.approx(0.75 * np.log(3) + 0.25 * np.log(1), abs=1e-6)
    assert divergence(target, target) == 0
    assert log_ratio(target, pool).tolist() == pytest.approx([np.log(3), 0, np.log(1e-8 / (0.5 + 1e-8))], abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scorers": [{"kind": "dsir", "name": "quality", "target": ["t"]}]}, "a column is already called quality"),
        ({"scorers": [{"kind": "dsir", "name": "a", "target": ["t"]}] * 2}, "come from two scorers, such as a"),
        ({"scorers": [{"kind": "dsir", "name": "lines", "target": ["t"]}]}, "a column is already called lines"),
        ({"scorers": [{"kind": "dsir", "name": "tokens", "target": ["t"]}]}, "a column is already called tokens"),
        ({"scorers": [{"kind": "dsir", "name": "pii_ips", "target": ["t"]}]}, "a column is already called pii_ips"),
        ({"scorers": [{"kind": "dsir", "name": "A b", "target": ["t"]}]}, "should match pattern"),
        ({"scorers": [{"kind": "dsir", "name": "a", "target": []}]}, "at least 1 item"),
        (
            {"profiles": {"p": {"rules": {}, "select": [{"kind": "threshold", "score": "edu", "at_least": 1}]}}},
            r"profiles.p.select: there is no score 'edu'. No scorer is named \(curate.scorers\)",
        ),
    ],
)
def test_scorers_that_cannot_be_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        CurateParams.model_validate(changes)


def test_a_target_that_is_not_there_or_has_no_word_is_named(tmp_path: Path, target: Path) -> None:
    ingest_folder(tmp_path / "ingest", [[document("a", LAW)]])

    def curate(target: Path) -> None:
        run(
            params(target), inputs={"ingest": tmp_path / "ingest"}, output=tmp_path / "out", workshop=workshop(tmp_path)
        )

    with pytest.raises(ConfigError, match=r"scorer med, target: .*nowhere.jsonl: there is no such file"):
        curate(tmp_path / "nowhere.jsonl")
    target.write_text('{"question": " "}\n')
    with pytest.raises(DataError, match=r"scorer med: there is no word in its target \(target\)"):
        curate(target)

    target.write_text('{"question": "a \\ud83d drug"}\n')
    with pytest.raises(DataError, match=r"target.jsonl, line 1: .*half of a surrogate pair"):
        curate(target)


def test_scores_of_a_folder_that_is_not_whole_are_not_told(tmp_path: Path, target: Path) -> None:
    _, shards = folder_with(tmp_path, 10)
    ingest_folder(tmp_path / "ingest", shards)
    run(params(target), inputs={"ingest": tmp_path / "ingest"}, output=tmp_path / "out", workshop=workshop(tmp_path))
    to = tmp_path / "all.parquet"
    with pytest.raises(ConfigError, match=r"there is no folder .*gone\. Make it"):
        write_scores_of(tmp_path / "out", tmp_path / "gone" / "all.parquet")
    assert write_scores_of(tmp_path / "out", to) == 24
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.parquet", "ingest", "out", "store", "target.jsonl"]
    next((tmp_path / "out" / "scores" / "med").iterdir()).unlink()
    to.unlink()
    with pytest.raises(DamagedError, match=r"scores/med/.*\.parquet"):
        write_scores_of(tmp_path / "out", to)
    with pytest.raises(DamagedError, match=r"scores/med/.*\.parquet"):
        score_ranges(tmp_path / "out")


def test_a_target_is_what_is_in_its_file_and_not_where_it_lies(tmp_path: Path, target: Path) -> None:
    ingest_folder(tmp_path / "ingest", [[document("a", LAW)]])
    elsewhere = tmp_path / "elsewhere" / "target.jsonl"
    elsewhere.parent.mkdir()
    elsewhere.write_text(target.read_text())
    places, keys = workshop(tmp_path), []
    for place in (target, elsewhere):
        places.touched.clear()
        run(params(place), inputs={"ingest": tmp_path / "ingest"}, output=tmp_path / "out", workshop=places)
        keys.append(frozenset(places.touched["curate.learn"]))
    assert keys[0] == keys[1]


def test_medical_questions_are_found_among_fourteen_sources(records: list[dict[str, str]]) -> None:
    # The check of the recipe: half of the questions are the target, the others lie among everything.
    texts = [(record["text"], "medquad" in record["id"]) for record in records]
    medical = [text for text, is_medical in texts if is_medical]
    target, held_out = medical[::2], {*medical[1::2]}
    pool = [text for text, is_medical in texts if not is_medical or text in held_out]
    counts = [bucket_counts(texts_of(some), 10_000) for some in (target, pool)]
    sums, ngrams = weight_sums(texts_of(pool), log_ratio(*map(shares, counts)))
    order = np.argsort(-sums / np.maximum(ngrams, 1))
    top = order[: len(pool) // 20]
    # Ten times as many as at random.
    assert sum(pool[row] in held_out for row in top) / len(held_out) >= 0.5
    random = np.random.default_rng(0).permutation(len(pool))[: len(top)]
    nearness = [
        divergence(shares(counts[0]), shares(bucket_counts(texts_of([pool[row] for row in some]), 10_000)))
        for some in (top, random, order[-len(top) :])
    ]
    assert nearness[0] < nearness[1] < nearness[2]


def test_a_classifier_of_the_user_gives_the_probability_of_its_label(tmp_path: Path) -> None:
    model = tmp_path / "own.bin"
    model.write_bytes(plain_model(("good", "bad"), ("__label__hq", "__label__cc")))
    texts = ["good good\ngood", "bad bad bad", "good bad", "unknown", ""]
    ingest_folder(tmp_path / "ingest", [[document(f"d{i}", text) for i, text in enumerate(texts)]])
    scorer = {"kind": "fasttext", "name": "hq", "model": str(model), "label": "__label__hq"}
    select = {"kind": "threshold", "score": "hq", "at_least": 0.5}
    values = {"scorers": [scorer], "profile": "p", "profiles": {"p": {"rules": {}, "select": [select]}}}
    chosen = CurateParams.model_validate({**values, "duplicates": None})
    run(chosen, inputs={"ingest": tmp_path / "ingest"}, output=tmp_path / "out", workshop=workshop(tmp_path))
    found = {row["id"]: row["hq"] for row in rows(tmp_path / "out", "scores/hq")}
    assert found["d0"] > 0.99 and found["d1"] < 0.01 and found["d2"] == pytest.approx(0.5, abs=1e-3)
    assert np.isnan([found["d3"], found["d4"]]).all()
    told = Scored.read(tmp_path / "out")
    assert told.scorers["hq"].without == 2
    dropped = {row["id"]: (row["filter"], row["reason"], row["detail"]) for row in rows(tmp_path / "out", "dropped")}
    assert dropped["d3"] == ("selection", "not_selected_by_hq", "no hq; kept: hq at least 0.5")
    assert dropped["d1"][2].endswith("; kept: hq at least 0.5")
    story = why(tmp_path / "out", "d3")
    assert story.scores == {"hq": None} and "  score hq none" in describe(story)
    assert why(tmp_path / "out", "d1").scores == {"hq": found["d1"]}
    account = Manifest.read(tmp_path / "out").account
    assert account is not None
    account.closed("here")
    with pytest.raises(ConfigError, match=r"scorer hq: its model has no label 'hq'. It has __label__hq, __label__cc"):
        wrong = values | {"scorers": [scorer | {"label": "hq"}]}
        chosen = CurateParams.model_validate(wrong)
        run(chosen, inputs={"ingest": tmp_path / "ingest"}, output=tmp_path / "out", workshop=workshop(tmp_path))
