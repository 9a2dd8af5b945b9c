"""Balancing over entries: what the recipe of MetaCLIP promises of counts, and which texts have which entry."""

from pathlib import Path

import numpy as np
import pytest

from tasks.core.errors import ConfigError, DataError
from tasks.curate import gather
from tasks.curate.config import CurateParams
from tasks.curate.published.scored import Scored
from tasks.curate.scorers.entries import gini, kept_share, matcher_of
from tasks.curate.selection.apply import number_of
from tasks.curate.selection.method import uniform
from tasks.curate.stage import run
from tests.curate.folders import document, ingest_folder, rows, workshop


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("In Rome, it rains", [0]),
        ("to New\n York!", [1]),
        ("St. Louis,Missouri", [2, 3]),
        ("romelike New Yorkers", []),
        ("new york new york rome", [0, 1]),
        ("", []),
    ],
)
def test_an_entry_is_found_between_blanks_and_marks_and_nowhere_else(text: str, found: list[int]) -> None:
    assert matcher_of(["Rome", "New York", "St. Louis", "missouri", "", "ROME"], lower_case=True).matched(text) == found


def test_capitals_matter_where_asked() -> None:
    assert matcher_of(["Rome"], lower_case=False).matched("rome and ROME") == []


def test_rare_entries_keep_all_frequent_ones_what_is_asked_and_the_counts_are_more_equal() -> None:
    # The check of the recipe, with counts as Zipf's law gives them.
    rng, at_most, number = np.random.default_rng(0), 40.0, 20_000
    weights = 1 / np.arange(1, 301)
    drawn = rng.choice(300, size=(number, 2), p=weights / weights.sum())
    entries = [sorted({*pair}) for pair in drawn.tolist()]
    counts_E = np.bincount(np.concatenate([np.array(one) for one in entries]), minlength=300).astype(np.float64)
    p_E = at_most / np.maximum(counts_E, at_most)
    share_N = np.array([kept_share(p_E, one) for one in entries])
    id_N = np.array([number_of(f"d{i}") for i in range(number)], np.int64)
    kept_N = uniform(0, id_N) < share_N
    kept_E = np.zeros(300)
    for one, kept in zip(entries, kept_N, strict=True):
        kept_E[one] += kept
    rare = counts_E <= at_most
    assert 20 < rare.sum() < 280 and (kept_E[rare] == counts_E[rare]).all()
    assert (kept_E[~rare] >= at_most - 3 * np.sqrt(at_most)).all()
    assert gini(kept_E) < gini(counts_E) - 0.1
    deviation = np.sqrt((share_N * (1 - share_N)).sum())
    assert abs(kept_N.sum() - share_N.sum()) < 3 * deviation


def curate(folder: Path, *texts: str, at_most: float, **more: object) -> Path:
    (folder / "entries.txt").write_text("Rome\nnew york\nParis\n")
    scorer = {"kind": "entries", "name": "topics", "entries": str(folder / "entries.txt"), "at_most": at_most}
    profiles = {"p": {"rules": {}, "select": [{"kind": "bernoulli", "score": "topics"}]}}
    values = {"scorers": [scorer | more], "profile": "p", "profiles": profiles, "duplicates": None}
    documents = [document(f"d{i:02d}", text) for i, text in enumerate(texts)]
    if not (folder / "ingest").exists():
        ingest_folder(folder / "ingest", [documents[:4], documents[4:]])
    params = CurateParams.model_validate(values)
    places = workshop(folder)
    places.touched.clear()
    run(params, inputs={"ingest": folder / "ingest"}, output=folder / "out", workshop=places)
    return folder / "out"


def test_probabilities_are_those_of_counts_over_all_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "SMALL_BYTES", 0)
    texts = [*["Rome is old."] * 6, "Rome and New York", "Paris", "nothing", "none"]
    found = {row["id"]: row for row in rows(curate(tmp_path, *texts, at_most=2), "scores/topics")}
    assert found["d00"]["topics"] == pytest.approx(2 / 7)
    assert (found["d06"]["topics"], found["d06"]["topics_matched"]) == (1, 2)
    assert (found["d07"]["topics"], found["d08"]["topics"], found["d08"]["topics_matched"]) == (1, 1, 0)
    told = Scored.read(tmp_path / "out").scorers["topics"]
    assert told.learned["entries_found"] == 3 and told.learned["entries_thinned"] == 1
    assert told.kept["gini_kept"] <= told.learned["gini"]
    assert told.kept["kept from 2^00 tokens"] == 1
    # By tokens, and without those that have no entry.
    out = curate(tmp_path, at_most=2, count="tokens", unmatched="no_score")
    found = {row["id"]: row for row in rows(out, "scores/topics")}
    assert found["d00"]["topics"] == pytest.approx(2 / 28)
    assert np.isnan(found["d08"]["topics"]) and {"d08", "d09"} <= {row["id"] for row in rows(out, "dropped")}


def test_a_list_without_entries_or_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"scorer topics, entries: .*nowhere.txt is no file"):
        curate(tmp_path, "a", at_most=1, entries=str(tmp_path / "nowhere.txt"))
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(DataError, match=r"scorer topics, entries: .* has no entry"):
        curate(tmp_path, "a", at_most=1, entries=str(tmp_path / "empty.txt"))
