"""Thresholds by language: learned of reference texts, the same for any sharding, and told for each language."""

import gzip
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.core.errors import DataError
from tasks.curate import gather
from tasks.curate.audit.folder import read_curated
from tasks.curate.audit.languages import language_audit, language_table
from tasks.curate.audit.rule_table import rule_audit
from tasks.curate.config import CurateParams
from tasks.curate.languages.params import Languages
from tasks.curate.languages.thresholds import threshold
from tasks.curate.published.languages import LearnedLanguages
from tasks.curate.rules.table import INDEX, RULES
from tasks.curate.stage import run
from tasks.curate.why import why
from tests.curate.folders import Document, document, ingest_folder, rows, workshop

REPEATED = RULES[INDEX["max_duplicate_line_fraction"]]
LONG = RULES[INDEX["min_mean_word_chars"]]
UNSPACED = {"cmn_hans": "zh", "jpn": "ja", "khm": "km", "lao": "lo", "mya": "my", "bod": "bo"}


def learner(**values: Any) -> Languages:
    return Languages.model_validate({"references": {"de": ["a"], "en": ["b"]}, "method": "tail", "tail": 0.1} | values)


def test_a_tail_drops_its_share_of_the_reference_on_the_side_of_the_rule() -> None:
    own = np.linspace(0.0, 1.0, 101)
    assert threshold(learner(), REPEATED, own, None) == pytest.approx(0.9)
    assert threshold(learner(), LONG, own, None) == pytest.approx(0.1)


@pytest.mark.parametrize("method", ["mean_sd", "quantile", "median_ratio"])
def test_a_language_that_is_as_english_has_the_english_threshold(method: str) -> None:
    english = np.random.default_rng(0).gamma(2.0, 0.1, 4_001)
    config = learner(method=method, tail=None)
    assert threshold(config, REPEATED, english, (english, 0.3)) == pytest.approx(0.3, abs=1e-3)
    # One that has twice as much of everything has twice the threshold.
    assert threshold(config, REPEATED, 2 * english, (english, 0.3)) == pytest.approx(0.6, abs=2e-3)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"tail": None}, "belongs to `method: tail`"),
        ({"method": "quantile"}, "belongs to `method: tail`"),
        ({"method": "quantile", "tail": None, "references": {"de": ["a"]}}, "give a reference called en"),
        ({"rules": ["min_english_words"]}, "is no rule on Gopher's statistics"),
        ({"lowest_confidence": 0.95}, "is above highest_confidence"),
    ],
)
def test_what_cannot_be_learned_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        learner(**values)


def test_a_profile_without_a_least_confidence_is_no_profile_by_language() -> None:
    languages = learner(profiles=["prose"]).model_dump()
    with pytest.raises(ValueError, match=r"prose asks for no language\. Give it the rule min_language_score"):
        CurateParams.model_validate({"languages": languages})


def read(shared_data: Path, name: str) -> list[dict[str, Any]]:
    with gzip.open(shared_data / "corpus" / f"{name}-000.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def texts(shared_data: Path) -> dict[str, list[Document]]:
    """German statutes, Korean articles, and the declaration in scripts without blanks: half reference, half pool."""
    german, korean = read(shared_data, "multi_gesetze")[:48], read(shared_data, "multi_kowiki")[:48]
    declarations = [row for row in read(shared_data, "multi_udhr") if row["lang"] in UNSPACED]
    pool = [*german[1::2], *korean[1::2], *declarations]
    return {
        "de": german[::2],
        "ko": korean[::2],
        # Nothing of a record but its text and its id: the language is identified.
        "pool": [document(row["id"], row["text"], "multilingual", None) for row in pool],
    }


def curated(folder: Path, texts: dict[str, list[Document]], bounds: Sequence[int], **more: Any) -> Path:
    folder.mkdir(exist_ok=True)
    references = {}
    for language in ("de", "ko"):
        path = folder / f"{language}.jsonl"
        path.write_text("".join(json.dumps({"text": row["text"]}) + "\n" for row in texts[language]))
        references[language] = [str(path)]
    pool, ends = texts["pool"], [0, *bounds, len(texts["pool"])]
    shards = [pool[a:b] for a, b in pairwise(ends)]
    ingest_folder(folder / "ingest", shards)
    languages = {"references": references, "method": "tail", "tail": 0.1, "min_documents": 10, **more}
    params = CurateParams.model_validate({"profile": "fineweb2", "languages": languages, "duplicates": None})
    run(params, inputs={"ingest": folder / "ingest"}, output=folder / "out", workshop=workshop(folder))
    return folder / "out"


@pytest.fixture(scope="module")
def whole(texts: dict[str, list[Document]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return curated(tmp_path_factory.mktemp("languages"), texts, ())


def test_each_language_is_judged_by_thresholds_of_its_own(whole: Path) -> None:
    learned = LearnedLanguages.read(whole).languages
    german, korean = learned["de"].thresholds, learned["ko"].thresholds
    assert german["max_mean_word_chars"] > korean["max_mean_word_chars"]
    assert 0.3 <= german["min_language_score"] <= 0.9 and learned["de"].reference_documents == 24
    # Without a reference a language has its confidence alone.
    assert learned["ja"].thresholds.keys() == {"min_language_score"} and learned["ja"].reference_documents == 0
    for row in rows(whole, "dropped"):
        story = why(whole, row["id"])
        failed = [check for check in story.checks if not check.passed]
        assert row["reason"] in {check.reason for check in failed}
    kept = why(whole, rows(whole, "kept")[0]["id"])
    assert kept.profile == "fineweb2 in de" and all(check.passed for check in kept.checks)


def test_scripts_without_blanks_lose_no_document_for_too_few_words(
    whole: Path, texts: dict[str, list[Document]]
) -> None:
    declarations = {row["id"] for row in texts["pool"][48:]}
    reasons = {row["id"]: row["reason"] for row in rows(whole, "dropped") if row["id"] in declarations}
    assert len(declarations) >= 6 and "too_few_words" not in reasons.values()
    words = {row["id"]: row["words"] for row in rows(whole, "annotations") if row["id"] in declarations}
    assert min(words.values()) > 800


def test_the_report_counts_every_document_of_every_language_once(whole: Path) -> None:
    found = language_audit(whole)
    assert sum(row.documents for row in found.rows) == len(rows(whole, "annotations"))
    assert sum(row.kept_documents for row in found.rows) == len(rows(whole, "kept"))
    for row in found.rows:
        assert row.documents - row.kept_documents == sum(row.reasons.values())
    assert sum(row.kept_words for row in found.rows) == sum(row["words"] for row in rows(whole, "kept"))
    assert {"de", "ko", "ja"} <= {row.language for row in found.rows}
    assert language_table(found).startswith("language  most dropped for")
    # A rule of a language drops what it says it drops.
    dropped = [row for row in rows(whole, "dropped") if row["reason"] == "too_many_duplicate_lines"]
    audited = [row for row in rule_audit(read_curated(whole)).rows if row.reason == "too_many_duplicate_lines"]
    assert sum(row.first for row in audited) == len(dropped)


def test_shards_change_no_threshold_and_no_fate(
    whole: Path, texts: dict[str, list[Document]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "SMALL_BYTES", 0)
    parts = curated(tmp_path / "parts", texts, (20, 49))
    assert (parts / LearnedLanguages.FILE).read_bytes() == (whole / LearnedLanguages.FILE).read_bytes()
    for kind in ("kept", "dropped"):
        assert [row["id"] for row in rows(parts, kind)] == [row["id"] for row in rows(whole, kind)]


def test_a_reference_of_a_few_documents_is_refused(tmp_path: Path, texts: dict[str, list[Document]]) -> None:
    with pytest.raises(DataError, match=r"languages.references.de: 24 documents with text, at least 60 are needed"):
        curated(tmp_path / "few", texts, (), min_documents=60)
