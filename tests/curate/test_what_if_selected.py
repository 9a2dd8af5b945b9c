"""What if another selection: the answer of a run with it, from the scores that were kept; what a reader is told first."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.ask import audit, scores
from tasks.core.errors import ConfigError, DataError, NothingKeptError
from tasks.curate.audit.folder import read_curated
from tasks.curate.audit.selecting import what_if_selected
from tasks.curate.config import CurateParams
from tasks.curate.published.funnel import Funnel
from tasks.curate.published.scored import SelectionTold, Size
from tasks.curate.selection.told import selection_lines
from tasks.curate.stage import run
from tests.curate.folders import document, ingest_folder, rows, workshop

TEXTS = [(f"word{i} " * (3 + i), "web" if i % 3 else "law", "de" if i % 2 else "en") for i in range(24)]


def curate(folder: Path, *select: dict[str, Any], **more: object) -> Path:
    documents = [document(f"d{i:02d}", text, source, lang) for i, (text, source, lang) in enumerate(TEXTS)]
    if not (folder / "ingest").exists():
        ingest_folder(folder / "ingest", [documents[:10], documents[10:]])
    profiles = {"p": {"rules": {"min_words": 4}, "select": list(select)}}
    params = CurateParams.model_validate({"profile": "p", "profiles": profiles, "duplicates": None} | more)
    run(params, inputs={"ingest": folder / "ingest"}, output=folder / "curate", workshop=workshop(folder))
    return folder / "curate"


HALF = {"kind": "quantiles", "score": "words", "low": 0.5}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("selected")


@pytest.fixture(scope="module")
def curated(home: Path) -> Path:
    return curate(home, HALF)


def kept_of(folder: Path) -> dict[str, int]:
    sources = [row["source"] for row in rows(folder, "kept")]
    return {name: sources.count(name) for name in sorted({*sources})}


@pytest.mark.parametrize(
    ("change", "selection"),
    [
        ("select.0.low=0.8", HALF | {"low": 0.8}),
        ("p.select.0.by=[source]", HALF | {"by": ["source"]}),
        (
            "p.select=[{kind: quota, by: [source, language], at_most_tokens: 40}]",
            {"kind": "quota", "by": ["source", "language"], "at_most_tokens": 40},
        ),
        (
            "select=[{kind: threshold, score: bytes, at_least: 100}]",
            {"kind": "threshold", "score": "bytes", "at_least": 100},
        ),
    ],
)
def test_the_answer_is_what_a_run_with_that_selection_keeps(
    curated: Path, tmp_path: Path, change: str, selection: dict[str, Any]
) -> None:
    answer = what_if_selected(read_curated(curated), [change])
    assert {row.source: row.kept.documents for row in answer.rows} == kept_of(curated)
    other = curate(tmp_path, selection)
    assert {row.source: row.would_keep.documents for row in answer.rows if row.would_keep.documents} == kept_of(other)
    # One document has too few words and comes to no selection.
    assert sum(row.passed.documents for row in answer.rows) == 23


def test_the_command_answers_for_selections_and_refuses_both_at_once(curated: Path) -> None:
    asked = [str(curated), "--what-if", "select.0.low=0"]
    told = CliRunner().invoke(audit, asked)
    assert told.exit_code == 0 and "p keeps quantiles 0 to 1 of words, by tokens: 23 of 23 documents" in told.output
    (answer,) = json.loads(CliRunner().invoke(audit, [*asked, "--json"]).output).values()
    assert answer["selections"][0]["kept_documents"] == 23
    of_a_rule = CliRunner().invoke(audit, [str(curated), "--what-if", "min_words=1"]).output
    assert (
        f"{23 - sum(kept_of(curated).values())} stay dropped by selections, which `mixwright curate` does anew"
        in of_a_rule
    )
    both = CliRunner().invoke(audit, [*asked, "--what-if", "min_words=1"])
    assert both.exit_code and "one at a time" in both.output


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("q.select.0.low=1", "profiles in use: p"),
        ("select.3.low=1", "there is no 3 among 1 selections, which are counted from 0"),
        ("select.0.low=[", "is no value"),
        ("select.0.low=2", "less than or equal to 1"),
        ("select.0.score=edu", "there is no score 'edu' here. There are words"),
    ],
)
def test_changes_that_cannot_be_are_refused(curated: Path, change: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        what_if_selected(read_curated(curated), [change])


def test_where_nothing_was_selected_nobody_knows_who_would_be(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing was scored or selected here. Name a scorer"):
        what_if_selected(read_curated(curate(tmp_path)), ["select.0.low=1"])


def test_a_selection_that_keeps_nothing_says_how_to_ask_for_another(tmp_path: Path) -> None:
    with pytest.raises(NothingKeptError, match=r"23 not_selected_by_words.*--what-if select\.0.* answers at once"):
        curate(tmp_path, {"kind": "threshold", "score": "words", "at_least": 1000})


def test_groups_that_a_selection_leaves_empty_and_quotas_it_cannot_fill_are_told_first(tmp_path: Path) -> None:
    long = {"kind": "quantiles", "score": "words", "low": 0.5, "by": ["language"]}
    shares = {"kind": "quota", "by": ["source"], "tokens": {"law": 10_000, "code": 5, "web": 0}}
    folder = curate(tmp_path, long, shares)
    warnings = Funnel.read(folder).warnings
    (lost,) = [told for told in warnings if told.startswith("source web")]
    assert "passed all else and none was selected: select within each source (by: [source]), or keep more." in lost
    (empty,) = [told for told in warnings if "leaves nothing" in told]
    assert empty.startswith("profile p: selecting by quota_by_source leaves nothing of web, ")
    (short,) = [told for told in warnings if "less than their quota" in told]
    assert "2 of 3 groups have less than their quota" in short and "code; law. Nothing is repeated to fill it." in short
    told = CliRunner().invoke(scores, [str(folder)]).output
    assert "at most 5 tokens of code, 10,000 tokens of law, 0 tokens of web, of code: 0 of 0 documents" in told
    assert "its quota is 5, 5 not filled" in told


def test_of_many_groups_the_sum_is_told() -> None:
    one = SelectionTold(
        profile="p", score="s", keeps="the highest s, of a", group="a", considered=Size(documents=4, tokens=40),
        kept=Size(documents=1, tokens=10), allowed_tokens=15,
    )  # fmt: skip
    many = [one.model_copy(update={"group": f"g{i}", "keeps": f"the highest s, of g{i}"}) for i in range(13)]
    assert len(selection_lines(many[:12])) == 12
    (line,) = selection_lines(many)
    assert line.startswith("p keeps the highest s, of 13 groups together: 13 of 52 documents, 130 of 520 tokens")
    assert line.endswith("its quota is 195, 65 not filled")


def test_candidates_without_statistics_are_refused_and_take_no_others(curated: Path) -> None:
    for first, last in ((5, 24), (0, 20)):
        torn = read_curated(curated)
        vars(torn)["annotations"] = torn.annotations.slice(first, last - first)
        with pytest.raises(DataError, match=r"[45] of 23 documents of candidates/ have no statistics in annotations/"):
            what_if_selected(torn, ["p.select=[{kind: threshold, score: bytes, at_least: 1}]"])


def test_one_of_a_folder_and_a_run_is_asked_of(curated: Path) -> None:
    for command in (audit, scores):
        told = CliRunner().invoke(command, [str(curated), "--run", str(curated)])
        assert told.exit_code == 2 and "name one of them, a folder of curate or a run" in told.output
