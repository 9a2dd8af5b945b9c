"""What documents are annotated with can be selected by as scores are: language, URLs, personal data, counts of words."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tasks.curate.audit.scores import score_ranges, scores_table, write_scores_of
from tasks.curate.config import CurateParams
from tasks.curate.published.scored import Scored
from tasks.curate.stage import run
from tests.curate.folders import document, ingest_folder, rows, workshop

TEXTS = {
    "de": "Der Hafenmeister schrieb dem Rat wegen der Lampe. Ein Jahr lang antwortete ihm niemand, und das Licht blieb "
    "aus. Erst im Frühling kam ein Brief aus der Stadt. Darin stand, dass die Lampe nicht zum Hafen gehöre.",
    "en": "The harbour master wrote to the council about the lamp, and nobody answered him for a year.",
    "mail": "Write to jane.doe@gmail.com or to john.roe@gmail.com, and somebody there will answer you.",
    "none": "12 34 56 78",
}


def curated(folder: Path, *select: dict[str, Any], **more: Any) -> Path:
    if not (folder / "ingest").is_dir():
        texts = [document(name, text, "web" if name == "mail" else "docs", None) for name, text in TEXTS.items()]
        ingest_folder(folder / "ingest", [texts[:2], texts[2:]])
    values = {"profile": "p", "profiles": {"p": {"rules": {}, "select": list(select)}}, "duplicates": None, **more}
    output = folder / "out"
    run(
        CurateParams.model_validate(values),
        inputs={"ingest": folder / "ingest"},
        output=output,
        workshop=workshop(folder),
    )
    return output


def kept(output: Path) -> list[str]:
    return [row["id"] for row in rows(output, "kept")]


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        ({"kind": "threshold", "score": "pii_emails", "at_most": 0}, ["de", "en", "none"]),
        ({"kind": "threshold", "score": "language_score", "at_least": 0.5}, ["de", "en", "mail"]),
        ({"kind": "threshold", "score": "words", "at_least": 5}, ["de", "en", "mail"]),
        ({"kind": "threshold", "score": "pretokens", "at_most": 4}, ["none"]),
        ({"kind": "quantiles", "score": "mean_word_chars", "low": 0.5, "by": ["source"]}, ["de", "mail"]),
    ],
)
def test_a_profile_selects_by_statistics_that_it_has_taken_for_that(
    tmp_path: Path, select: dict[str, Any], expected: list[str]
) -> None:
    output = curated(tmp_path, select)
    assert kept(output) == expected
    (selection, *_) = Scored.read(output).selections
    assert selection.score == select["score"] and not Scored.read(output).scorers
    reasons = {row["reason"] for row in rows(output, "dropped")}
    assert reasons == {f"not_selected_by_{select['score']}"}


def test_a_statistic_that_was_taken_is_not_taken_again_to_be_selected_by(tmp_path: Path) -> None:
    places, made = workshop(tmp_path), []
    curated(tmp_path)
    for select in ((), ({"kind": "threshold", "score": "words", "at_least": 5},)):
        values = {"profile": "p", "profiles": {"p": {"rules": {"min_words": 2}, "select": list(select)}}}
        places.touched.clear()
        run(
            CurateParams.model_validate(values),
            inputs={"ingest": tmp_path / "ingest"},
            output=tmp_path / "out",
            workshop=places,
        )
        made.append(frozenset(places.touched["curate.annotate"]))
    assert made[0] == made[1]


def test_statistics_stand_beside_scores_in_one_table_and_nothing_is_there_twice(tmp_path: Path) -> None:
    output = curated(tmp_path, annotate=["language", "pii"], scorers=[GERMAN])
    assert write_scores_of(output, tmp_path / "all.parquet") == 4
    table = pq.read_table(tmp_path / "all.parquet")
    assert table.column_names[:3] == ["id", "source", "german"]
    assert {"language", "language_score", "pii_emails", "bytes", "pretokens"} <= {*table.column_names}
    assert len({*table.column_names}) == len(table.column_names)
    shown = scores_table(score_ranges(output), Scored.read(output))
    assert "language_score" in shown and "pii_emails" in shown


def test_the_statistics_of_a_folder_without_scores_are_told(tmp_path: Path) -> None:
    output = curated(tmp_path)
    assert not (output / Scored.FILE).exists()
    assert [one.name for one in score_ranges(output)] == ["bytes", "pretokens"]
    assert scores_table(score_ranges(output), None).startswith("score ")


GERMAN = {"kind": "fasttext", "name": "german", "label": "__label__de"}


def test_the_probability_of_a_named_language_is_a_score(tmp_path: Path) -> None:
    output = curated(tmp_path, {"kind": "threshold", "score": "german", "at_least": 0.9}, scorers=[GERMAN])
    assert kept(output) == ["de"]
    german = {row["id"]: row["german"] for row in rows(output, "scores/german")}
    assert german["en"] < 0.05 and np.isfinite(list(german.values())).all()


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ({"select": [{"kind": "threshold", "score": "language", "at_least": 1}]}, "no score 'language'. No scorer is"),
        ({"select": [{"kind": "threshold", "score": "c4_sentences", "at_least": 1}]}, "no score 'c4_sentences'"),
        ({"select": [{"kind": "threshold", "score": "tokens", "at_least": 1}]}, "names no tokenizer to count them"),
    ],
)
def test_a_statistic_that_is_no_number_or_is_not_taken_is_refused(profile: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        CurateParams.model_validate({"profiles": {"p": {"rules": {}, **profile}}})


def test_what_a_rewriting_counts_is_selected_by_where_the_profile_rewrites(tmp_path: Path) -> None:
    select = {"kind": "threshold", "score": "c4_sentences", "at_least": 2}
    profiles = {"p": {"rules": {}, "rewriting": {"kind": "c4"}, "select": [select]}}
    assert kept(curated(tmp_path, profiles=profiles)) == ["de"]


def test_statistics_can_be_combined_into_a_score_without_any_scorer(tmp_path: Path) -> None:
    combined = {"kind": "mean_ranks", "name": "plain", "by": "tokens", "weights": {"words": 1, "pii_emails": -1}}
    output = curated(tmp_path, {"kind": "threshold", "score": "plain", "at_least": 0}, combined=[combined])
    found = {row["id"]: row["plain"] for row in rows(output, "scores/plain")}
    assert min(found, key=lambda name: found[name]) == "mail" and max(found, key=lambda name: found[name]) == "de"
    assert kept(output) == [name for name in TEXTS if found[name] >= 0]
    assert Scored.read(output).scorers["plain"].kind == "mean_ranks"
