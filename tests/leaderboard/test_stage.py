"""A leaderboard as its user runs it: nano models on a small run, in this process."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

import cli.select
from cli.main import main
from infra.progress import Observer
from tasks.core.errors import ConfigError
from tasks.core.manifest import Manifest
from tasks.core.tables import read_table
from tasks.leaderboard.config import LeaderboardParams
from tasks.leaderboard.published import Leaderboard
from tasks.leaderboard.stage import base_folder, run
from tasks.tokenize.published_documents import DOCUMENTS_FILE, read_documents
from tests.cli.in_this_process import works_in_this_process
from tests.in_process import InProcess
from tests.leaderboard.runs import Heard, finished_run, values, workshop
from tests.report.browser import browser, opened
from tests.report.test_page import Elements


def lead(
    root: Path, output: Path, executor: InProcess, observer: Observer | None = None, **changes: Any
) -> Leaderboard:
    params = LeaderboardParams.model_validate(values(root, **changes))
    inputs = {name: root / "data" / name for name in ("curate", "tokenize")}
    run(params, inputs=inputs, output=output, workshop=workshop(root, executor, observer))
    return Leaderboard.read(output)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def heard() -> Heard:
    return Heard()


@pytest.fixture(scope="module")
def found(root: Path, heard: Heard) -> Leaderboard:
    return lead(root, root / "board", InProcess(), heard)


def test_a_selector_that_finds_the_target_beats_documents_drawn_at_random_twice(found: Leaderboard) -> None:
    first, *others = found.entrants
    assert (first.name, first.role, [one.role for one in others]) == ("dsir-40", "selector", ["null", "null"])
    target, held_out = first.gains["target"], first.gains["held_out"]
    assert target.claim and held_out.gain < 0 and not held_out.claim
    assert not any(gain.claim for one in others for gain in one.gains.values())
    confirmed = found.confirmation
    assert confirmed is not None and confirmed.confirmed and not {*confirmed.seeds} & {*found.seeds}
    assert found.statements[0].startswith("Take dsir-40: it beats documents drawn at random, and did so again")
    assert held_out.multiplier_words == "below 0.25 (beyond range)" and target.multiplier is None
    own = [one.scores["bits_per_byte.medicine"] for one in found.runs if one.arm == "dsir-40"]
    twin = [one.scores["bits_per_byte.medicine"] for one in found.runs if one.arm == "random-40"]
    assert target.differences == pytest.approx([b - a for a, b in zip(own, twin, strict=True)])
    assert {one.tokens for one in found.runs if "-x" not in one.arm} == {found.tokens}


def test_what_was_kept_is_told_and_nothing_that_is_measured_was_looked_at(found: Leaderboard, root: Path) -> None:
    kept, twin = found.entrants[0].kept, found.twins["random-40"]
    assert kept.sources["medicine"] > 0.95 > twin.sources["medicine"]
    assert kept.epochs == pytest.approx(found.tokens / kept.tokens) and kept.documents == twin.documents == 35
    assert kept.diversity["words"] == twin.diversity["words"]
    assert kept.diversity["distance"] < twin.diversity["distance"]
    overlaps = found.entrants[0].overlap
    assert overlaps.keys() == {"random-40", "null1-40", "null2-40"} and all(0 < one < 0.6 for one in overlaps.values())
    packed = read_documents(root / "data" / "tokenize" / DOCUMENTS_FILE).to_pylist()
    base = [read_table(path)["id"].to_pylist() for path in (base_folder(root / "board") / "documents").iterdir()]
    assert sorted(name for ids in base for name in ids) == sorted(
        row["id"] for row in packed if row["split"] == "train"
    )
    drawn = {
        frozenset(read_documents(path / "tokenize" / DOCUMENTS_FILE)["id"].to_pylist())
        for path in (root / "board.pools").glob("random-40-draw*")
    }
    assert len(drawn) == 6, "twins of three seeds and three fresh ones"


def test_people_see_pools_and_models_of_the_whole_and_no_step_of_each(found: Leaderboard, heard: Heard) -> None:
    assert heard.last == {
        "leaderboard: documents to select from": (1, 1),
        "select: pools": (10, 10),
        "select: models": (18, 18),
        "arms: bits per byte": (6, 6),
        "leaderboard: diversity": (4, 4),
        "select: confirmation: pools": (4, 4),
        "select: confirmation: models": (6, 6),
    }
    few = "pool dsir-40: scorer med: the target has 400 words, which say little"
    assert [one[: len(few)] for one in found.warnings] == [few] and found.warnings[0] in heard.said[1]
    assert [one.partition(":")[0] for one in heard.said] == ["select", "select"]


def test_the_page_leads_with_the_decision(found: Leaderboard, root: Path) -> None:
    page = (root / "board" / "page.html").read_text(encoding="utf-8")
    Elements(page)
    assert f'<p class="headline">{found.statements[0]}</p>' in page
    gains = page.partition("What each selection gains</h2>")[2].partition("</table>")[0]
    assert gains.count("<tr>") == 4 and gains.count("at random</span>") == 2
    assert Manifest.read(root / "data" / "tokenize").output in page and "Overlap at 40.0%" in page


@pytest.mark.slow
@pytest.mark.skipif(browser() is None, reason="this machine has no Chromium to open the page in")
def test_no_table_of_the_page_scrolls_sideways_on_a_screen(found: Leaderboard, root: Path, tmp_path: Path) -> None:
    wide = "(one) => one.querySelector('table') && one.scrollWidth > one.clientWidth + 1"
    with opened(tmp_path) as tab:
        tab.open(root / "board" / "page.html", 1280)
        assert tab.value(f"[...document.querySelectorAll('.scroll')].filter({wide}).map(one => one.innerText)") == []


def test_another_selector_is_one_arm_more(found: Leaderboard, root: Path) -> None:
    executor = InProcess()
    more = [
        *values(root)["selectors"],
        {"name": "long", "select": [{"kind": "quantiles", "score": "med_words", "low": "1 - keep"}]},
    ]
    again = lead(root, root / "more", executor, selectors=more, confidence=0.9)
    assert executor.done.count("train_run") == 3 and "score_shard" not in executor.done
    assert {run.model_dump_json() for run in found.runs} < {run.model_dump_json() for run in again.runs}
    executor = InProcess()
    lead(root, root / "more", executor, selectors=more, confidence=0.9)
    assert executor.done == []


def test_the_weights_of_scores_are_searched_and_ranked_as_a_selector_of_its_own(found: Leaderboard, root: Path) -> None:
    executor = InProcess()
    search = {"name": "rater", "scores": ["med_mean", "chance"], "num_runs": 3, "strategy": {"kind": "random_search"}}
    scorers = [*values(root)["scorers"], {"kind": "random", "name": "chance"}]
    again = lead(root, root / "searched", executor, search=search, scorers=scorers, budgets=())
    assert executor.done.count("train_run") >= 3 + 1, "proxies and their twin"
    told = again.searched
    assert told is not None and len(told.proxies) == 3
    assert told.weights == max(told.proxies, key=lambda one: one.gain).weights and sum(told.weights.values()) == 1
    assert {one.selector for one in again.entrants} == {"dsir", "rater", "null1", "null2"} and again.curves == {}
    assert any(one.startswith("rater weighs med_mean ") for one in again.statements)
    assert any("the best other selector, dsir-40" in one for one in again.statements)
    assert "searched at a keep rate of 40.0% with 3 proxies" in (root / "searched" / "page.html").read_text()


def test_the_command_tells_what_scoring_cost_and_gives_it_to_machines(
    found: Leaderboard, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works_in_this_process(cli.select, root, monkeypatch)
    file = tmp_path / "board.yaml"
    file.write_text(json.dumps(values(root)))
    words = ["select", "compare", str(file), "--run", str(root), "--output", str(root / "board")]
    told = CliRunner().invoke(main, words)
    assert told.exit_code == 0, told.output
    assert all(one in told.output for one in (*found.statements, *found.warnings)) and "CPU s per GB" in told.output
    as_json = json.loads(CliRunner().invoke(main, [*words, "--json"]).stdout)
    assert as_json["scoring"][0]["scorer"] == "med" and as_json["scoring"][0]["cpu_s_per_gb"] > 0
    assert as_json["statements"] == [*found.statements]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"keep": [0.005]},
            r"keep: 0\.005 of [0-9,]+ training tokens are .* epochs, more than max_epochs 8\. Raise keep",
        ),
        ({"selectors": [{"name": "x", "select": [{"kind": "quantiles", "score": "med", "low": 0.5}]}]}, "no keep rate"),
        (
            {"selectors": [{"name": "x", "select": [{"kind": "quantiles", "score": "gone", "low": "1 - keep"}]}]},
            "(?s)x at keep 0.4.*there is no score 'gone'",
        ),
        (
            {"selectors": [{"name": "x", "select": [{"kind": "best", "score": "med", "low": "keep"}]}]},
            "(?s)x at keep 0.4.*'best'",
        ),
    ],
)
def test_what_cannot_be_ranked_is_refused_before_anything_is_scored(
    root: Path, tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    executor = InProcess()
    with pytest.raises(ConfigError, match=told):
        lead(root, tmp_path / "board", executor, **changes)
    assert executor.done == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"num_seeds": 1}, "one seed tells no difference from noise"),
        ({"keep": [1.5]}, "1.5 is no share between 0 and 1"),
        ({"budgets": [1.0, 2.0]}, "a multiplier needs three or more budgets"),
        ({"selectors": [{"name": "null1", "select": [{}]}]}, "null1 is what is drawn at random"),
        ({"search": {"name": "dsir", "scores": ["a", "b"]}}, "a selector is called dsir already"),
        ({"search": {"scores": ["a", "b"]}, "target": ["exam"]}, "proxies are measured on the search split"),
        ({"speed": 1}, "Extra inputs are not permitted"),
    ],
)
def test_params_that_make_no_leaderboard_are_refused(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        LeaderboardParams.model_validate(values(tmp_path, **changes))


def test_a_target_that_no_model_is_measured_on_is_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"target: the pool has no domain of bits_per_byte\.law\. It has "):
        lead(root, root / "none", InProcess(), target=["bits_per_byte.law"])
    both = ["bits_per_byte.medicine", "bits_per_byte.code"]
    with pytest.raises(ConfigError, match="held_out: every domain is in `target`"):
        lead(root, root / "none", InProcess(), target=both)
    assert not base_folder(root / "none").exists()
