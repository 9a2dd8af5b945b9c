"""Reading what the stages published: strict, and checked against what the manifests say."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.account import Count
from tasks.core.errors import DataError
from tasks.pictures.curves import curve_of
from tasks.report.config import ReportParams
from tasks.report.excerpts import excerpt
from tasks.report.load import PageContent, read_content
from tests.report.folders import FATES, commit, edit
from tests.report.names import DOMAINS, NATURAL, SEARCHED

Folders = dict[str, Path]


def test_the_funnel_of_every_source_adds_up(content: PageContent) -> None:
    found = content.curation
    assert sum((source.taken for source in found.sources), Count()) == found.taken
    for source in found.sources:
        assert sum(source.dropped.values(), source.kept) == source.taken
    code = next(source for source in found.sources if source.name == "code")
    assert {name: count.documents for name, count in code.dropped.items()} == {
        "exact_duplicate": 1,
        "gopher_quality": 1,
    }


def test_reasons_are_counted_and_the_most_frequent_comes_first(content: PageContent) -> None:
    counted = [(reason.name, reason.count.documents) for reason in content.curation.reasons]
    assert counted == [("too_few_words", 3), ("exact_duplicate", 1), ("near_duplicate", 1)]


def test_examples_of_a_reason_come_from_as_many_sources_as_there_are(content: PageContent) -> None:
    reason = content.curation.reasons[0]
    assert [example.source for example in reason.examples] == ["code", "prose"]
    assert len(reason.examples) == ReportParams().examples_per_reason < reason.count.documents


def test_what_curation_warns_of_is_told(content: PageContent) -> None:
    assert content.curation.warnings == ("source nothing: all 3 documents were dropped",)


def test_the_quarantined_are_told_with_their_place(content: PageContent) -> None:
    (refusal,) = content.curation.refusals
    assert (refusal.file, refusal.offset, refusal.reason) == ("code/a.jsonl", 1234567, "no_text")
    assert content.curation.quarantined == {"no_text": Count(1, 40)}


def test_a_run_is_shown_with_the_prediction_of_that_run_and_a_repeat_with_none(content: PageContent) -> None:
    for proxy in content.search.runs:
        expected = None if proxy.kind == "repeat" else proxy.objective + 0.01
        assert proxy.predicted == (expected if expected is None else pytest.approx(expected))


def test_the_mixture_of_several_stages_is_weighted_by_their_tokens(own_folders: Folders) -> None:
    stages = [{"tokens": 4500, "weights": SEARCHED}, {"tokens": 1500, "weights": NATURAL}]
    edit(own_folders["search"] / "recipe.json", lambda recipe: recipe.update(stages=stages))
    commit(own_folders)
    recipe = read_content(own_folders, ReportParams()).recipe
    assert recipe.tokens == 6000
    assert recipe.searched == pytest.approx([0.75 * a + 0.25 * b for a, b in zip(SEARCHED, NATURAL, strict=True)])


@pytest.mark.parametrize(
    ("stage", "file", "change", "told"),
    [
        ("search", "recipe.json", lambda v: v.pop("max_epochs"), "max_epochs: Field required"),
        ("search", "recipe.json", lambda v: v.update(domains=["x", "y", "z"]), "x, y, z"),
        ("search", "recipe.json", lambda v: v["stages"][0].update(weights=[1.0]), "1 weights for 3 domains"),
        ("search", "forecast.json", lambda v: v.update(gain_over_natural="much"), "gain_over_natural: "),
        ("search", "forecast.json", lambda v: v.update(lower=None), "lower: "),
        ("search", "candidates.json", lambda v: v.pop("held_out"), "held_out: Field required"),
        ("search", "candidates.json", lambda v: v["supply"]["target"].pop(), "supply.target has 2 values"),
        ("train", "runs.json", lambda v: v.update(runs=[]), "runs: "),
        ("train", "runs.json", lambda v: v["runs"][0]["consumed"].pop(DOMAINS[0]), DOMAINS[0]),
        ("evaluate", "decision.json", lambda v: v.update(claim="maybe"), "claim: "),
        ("evaluate", "decision.json", lambda v: v["per_domain"].pop(DOMAINS[0]), "its domains are"),
        ("evaluate", "results.json", lambda v: v.update(models=[]), "no model of searched"),
        ("tokenize", "tokens.json", lambda v: v["domains"].pop(), "Run tokenize again"),
        ("cluster", "clusters.json", lambda v: v["clusters"][0].update(position=[1.0]), "clusters.0.position"),
    ],
)
def test_a_field_that_is_missing_or_wrong_is_an_error_that_names_it(
    own_folders: Folders, stage: str, file: str, change: Callable[[Any], object], told: str
) -> None:
    edit(own_folders[stage] / file, change)
    commit(own_folders)
    with pytest.raises(DataError) as caught:
        read_content(own_folders, ReportParams())
    assert told in str(caught.value)
    assert str(own_folders[stage]) in str(caught.value)


def test_a_run_without_its_losses_is_an_error(own_folders: Folders) -> None:
    shutil.rmtree(own_folders["train"] / "models" / "natural-seed1")
    commit(own_folders)
    with pytest.raises(DataError, match="natural-seed1"):
        read_content(own_folders, ReportParams())


def test_dropped_documents_that_are_not_those_of_the_account_are_refused(own_folders: Folders) -> None:
    path = own_folders["curate"] / "dropped" / "00001.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    commit(own_folders)
    with pytest.raises(DataError, match="4 documents"):
        read_content(own_folders, ReportParams())


def test_a_dropped_document_that_ingest_does_not_have_is_refused(own_folders: Folders) -> None:
    path = own_folders["ingest"] / "documents" / "00001.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    commit(own_folders)
    with pytest.raises(DataError, match="are not in it; first: d5"):
        read_content(own_folders, ReportParams())


def test_a_stage_made_from_another_version_of_its_input_is_refused(own_folders: Folders) -> None:
    other = own_folders["search"].parent / "other"
    shutil.copytree(own_folders["search"], other)
    edit(own_folders["search"] / "recipe.json", lambda recipe: recipe.update(max_epochs=2.0))
    commit(own_folders)
    with pytest.raises(DataError, match="train was made from search"):
        read_content({**own_folders, "search": other}, ReportParams())


def test_domains_without_a_quality_and_runs_without_natural_are_told_as_they_are(own_folders: Folders) -> None:
    edit(
        own_folders["cluster"] / "domains.json",
        lambda v: [one["means"].pop("quality") for one in v["domains"]],
    )
    edit(own_folders["evaluate"] / "decision.json", lambda decision: decision.update(forecast=None))
    commit(own_folders)
    content = read_content(own_folders, ReportParams())
    assert {domain.quality for domain in content.map.domains} == {None}
    assert content.evaluation.decision.forecast is None


def test_curves_keep_the_last_step_and_lie_between_the_seeds() -> None:
    losses = [[5.0 - 0.01 * step + seed for step in range(301)] for seed in range(3)]
    curve = curve_of("natural", losses)
    assert curve.steps[-1] == 301
    assert len(curve.steps) <= 120
    assert all(low <= mean <= high for low, mean, high in zip(curve.low, curve.mean, curve.high, strict=True))
    assert curve.mean[-1] == pytest.approx(losses[1][-1])


def test_seeds_of_different_length_have_no_curve() -> None:
    with pytest.raises(DataError, match=r"\[1, 2\] steps"):
        curve_of("natural", [[1.0], [1.0, 2.0]])


@given(st.text(max_size=400), st.integers(min_value=1, max_value=100))
def test_an_excerpt_is_short_and_shows_nothing_invisible(text: str, characters: int) -> None:
    shown = excerpt(text, characters)
    assert len(shown) <= characters + 2
    assert not any(ord(c) < 32 and c != "\n" for c in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\x7f\x85")


def test_control_characters_are_shown_by_their_picture_and_blank_lines_go() -> None:
    assert excerpt("one   two\n\n\nthree\x1b[0m\x00", 40) == "one   two\nthree␛[0m␀"


def test_a_plain_short_text_is_its_own_excerpt() -> None:
    assert excerpt("one two\nthree", 100) == "one two\nthree"
    assert excerpt("a short sentence here", 18) == "a short sentence …"


def test_the_fixture_has_every_fate() -> None:
    assert {reason for _, reason in FATES} == {None, "exact_duplicate", "near_duplicate", "too_few_words"}
