"""Self-cleaning: rounds that make what is kept likelier until they are stable, the same for any sharding."""

import gzip
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tasks.core.errors import DataError
from tasks.curate import gather
from tasks.curate.config import CurateParams
from tasks.curate.published.scored import Scored
from tasks.curate.scorers.self_cleaning import SelfCleaning, cleaned, likeliest, log_shares, mean_log_likelihood
from tasks.curate.stage import run
from tasks.curate.statistics.texts import texts_of
from tests.curate.folders import document, ingest_folder, rows, workshop

WORDS = ("the", "harbour", "of", "town", "was", "closed", "for", "winter", "and", "no", "boat", "came", "until", "ice")


def texts(number: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    plain = [" ".join(rng.choice(WORDS, 40)) for _ in range(number - number // 10)]
    letters = rng.integers(97, 123, (number // 10, 12, 15))
    return [*plain, *(" ".join("".join(map(chr, word)) for word in words) for words in letters.tolist())]


def test_no_round_makes_what_is_kept_less_likely_and_the_rounds_end() -> None:
    config, given = SelfCleaning(name="s", num_buckets=500), texts_of(texts(200))
    likelihoods = []
    for rounds in range(1, 6):
        model, _ = cleaned(config.model_copy(update={"max_rounds": rounds, "stable": 1e-9}), given)
        scores_N = mean_log_likelihood(given, model)
        sizes_N = np.array([79] * 180 + [23] * 20)
        likelihoods.append(scores_N[likeliest(scores_N, sizes_N, config.keep)].mean())
    assert all(later >= earlier - 1e-9 for earlier, later in pairwise(likelihoods))
    _, changes = cleaned(config, given)
    assert len(changes) < config.max_rounds and changes[-1] < config.stable


def curated(folder: Path, bounds: tuple[int, ...], **values: object) -> Path:
    every = [document(f"d{i:03d}", text) for i, text in enumerate(texts(100))]
    ends = (0, *bounds, len(every))
    ingest_folder(folder / "ingest", [every[a:b] for a, b in pairwise(ends)])
    scorer = {"kind": "self_cleaning", "name": "plain", "num_documents": 60, "num_buckets": 500, **values}
    select = {"kind": "quantiles", "score": "plain", "low": 0.1}
    profiles = {"p": {"rules": {}, "select": [select]}}
    params = {"scorers": [scorer], "profile": "p", "profiles": profiles, "duplicates": None}
    run(
        CurateParams.model_validate(params),
        inputs={"ingest": folder / "ingest"},
        output=folder / "out",
        workshop=workshop(folder),
    )
    return folder / "out"


def test_garbage_goes_and_shards_change_no_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "SMALL_BYTES", 0)
    one, three = curated(tmp_path / "one", ()), curated(tmp_path / "three", (30, 71))
    scores = [
        [(row["id"], row["plain"], row["plain_first"]) for row in rows(out, "scores/plain")] for out in (one, three)
    ]
    assert scores[0] == scores[1]
    plain = [score for _, score, _ in scores[0]]
    assert min(plain[:90]) > max(plain[90:])
    told = Scored.read(one).scorers["plain"].learned
    assert told["documents"] == 60 and told["rounds"] >= 2 and "warning" not in told


def test_rounds_that_are_not_stable_are_told_and_a_pool_without_words_is_refused(tmp_path: Path) -> None:
    told = Scored.read(curated(tmp_path / "one", (), max_rounds=1)).scorers["plain"].learned
    assert told["warning"] == "not stable after 1 rounds: raise max_rounds or stable"
    ingest_folder(tmp_path / "empty" / "ingest", [[document("a", " ")]])
    values = {"scorers": [{"kind": "self_cleaning", "name": "plain"}], "profile": "any_language"}
    with pytest.raises(DataError, match="there is no word in the 1 documents of the pool"):
        run(
            CurateParams.model_validate(values),
            inputs={"ingest": tmp_path / "empty" / "ingest"},
            output=tmp_path / "empty" / "out",
            workshop=workshop(tmp_path / "empty"),
        )


@pytest.mark.slow
def test_of_shuffled_texts_in_a_corpus_a_third_is_found_and_hardly_more_by_more_rounds(shared_data: Path) -> None:
    records = []
    for path in sorted((shared_data / "corpus").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            records += [json.loads(line)["text"] for i, line in enumerate(lines) if i % 40 == 0]
    rng = np.random.default_rng(0)
    garbage = ["".join(rng.permutation(list(text[:2_000]))) for text in records[::20]]
    given, config = texts_of([*records, *garbage]), SelfCleaning(name="s")
    first, (last, changes) = log_shares(given, config.num_buckets), cleaned(config, given)
    found = []
    for model in (first, last):
        scores_N = mean_log_likelihood(given, model)
        lowest = np.argsort(scores_N)[: len(scores_N) // 10]
        found.append(float((lowest >= len(records)).sum() / len(garbage)))
    # Three times as many as at random; the rounds after the first add little.
    assert changes[-1] < 0.01 and len(changes) <= 3
    assert 0.2 < found[0] <= found[1] < 0.5
