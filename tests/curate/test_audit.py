"""Questions to a curate folder: what each rule does, and what another threshold would do, without touching a text."""

from pathlib import Path

import pytest

from tasks.core.errors import ConfigError, DataError
from tasks.curate.audit.folder import read_curated
from tasks.curate.audit.rule_table import rule_audit, rule_table
from tasks.curate.audit.what_if import what_if, what_if_table
from tasks.curate.config import CurateParams
from tests.curate.folders import rows
from tests.curate.test_stage import corpus, curate, split


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit")
    curate(folder, split(corpus(), 8, 7))
    return folder / "curate"


def test_every_rule_says_what_it_drops_first_and_what_only_it_fails(curated: Path) -> None:
    found = {row.rule: row for row in rule_audit(read_curated(curated)).rows}
    few, stop = found["min_words"], found["min_stop_words"]
    # "short" and "empty" have too few words and no stop words; "foreign" has only no stop words.
    assert (few.first, few.fails, few.marginal) == (2, 2, 0)
    assert (stop.first, stop.fails, stop.marginal) == (1, 3, 1)
    foreign = next(row for row in corpus() if row["id"] == "foreign")
    assert stop.marginal_bytes == len(foreign["text"].encode())


def test_rules_that_fail_the_same_documents_are_told_together(curated: Path) -> None:
    pairs = {pair.reasons: (pair.documents, pair.jaccard) for pair in rule_audit(read_curated(curated)).overlaps}
    assert pairs["too_few_words", "too_few_stop_words"] == (2, pytest.approx(2 / 3))


def test_examples_are_the_documents_with_the_smallest_ids(curated: Path) -> None:
    examples = dict(rule_audit(read_curated(curated), num_examples=1).examples)
    assert [name for name, _, _ in examples["too_few_words"]] == ["empty"]
    assert [name for name, _, _ in examples["near_duplicate"]] == ["near-0"]
    assert "too_few_stop_words:" in rule_table(rule_audit(read_curated(curated), num_examples=1))


def test_what_if_answers_what_a_run_with_that_threshold_keeps(curated: Path, tmp_path: Path) -> None:
    answer = what_if(read_curated(curated), ["min_stop_words=0"])
    changed = CurateParams.model_validate({"profiles": {"prose": {"rules": {"min_stop_words": 0}}}})
    curate(tmp_path, split(corpus(), 8, 7), changed)
    kept = len(rows(tmp_path / "curate", "kept"))
    assert sum(row.would_keep.documents for row in answer.rows) == kept == 13
    assert answer.comes_back == {"too_few_stop_words": 1} and answer.goes == {} and answer.unseen == 1
    assert "comes back: too_few_stop_words 1" in what_if_table(answer)


def test_what_if_leaves_duplicates_where_they_are(curated: Path) -> None:
    answer = what_if(read_curated(curated), ["prose.min_words=off", "min_words=off"])
    assert {row.source: row.would_keep.documents for row in answer.rows}["mirror"] == 0


def test_a_stricter_threshold_tells_why_documents_go(curated: Path) -> None:
    answer = what_if(read_curated(curated), ["min_words=1000"])
    assert answer.goes == {"too_few_words": 12} and answer.unseen == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("min_wrods=3", "'min_wrods' is no rule"),
        ("min_words", "expected RULE=VALUE"),
        ("min_words=many", "'many' is no number"),
        ("code.min_words=3", "no document was judged by code"),
        ("max_bullet_line_fraction=7", "from 0 to 1"),
    ],
)
def test_a_mistake_in_what_if_is_told(curated: Path, change: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        what_if(read_curated(curated), [change])
    assert said in str(refused.value)


def test_a_statistic_that_was_not_taken_is_named_with_its_group(curated: Path) -> None:
    with pytest.raises(DataError, match=r"pii_keys was not taken.*\(pii\)"):
        what_if(read_curated(curated), ["max_pii_keys=0"])
