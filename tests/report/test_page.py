"""The page: safe, self-contained, described for those who do not see it, and the same bytes every time."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from infra.local_executor import LocalExecutor
from infra.storage import FolderStore
from tasks.core.manifest import Manifest
from tasks.evaluation.planted.published import PlantedEffects
from tasks.evaluation.published_contamination import Contamination
from tasks.evaluation.published_like import Flatness, Specificity
from tasks.evaluation.published_seen import Memorisation
from tasks.evaluation.tasks.published import Score, ScoredModel, Scores, TaskScores
from tasks.pictures.canvas import palette
from tasks.report.card import model_card
from tasks.report.config import ReportParams
from tasks.report.load import INPUTS, PageContent, read_content
from tasks.report.page import headline, pictures, render
from tasks.report.stage import PAGE, run
from tasks.runtime.context import Workshop
from tasks.training.published import TrainedRuns
from tasks.training.published_experts import DomainUse, ExpertsUsed
from tests.in_process import InProcess
from tests.report.folders import commit, edit, stage_folders
from tests.report.names import DOMAINS

EVEN = [1 / 3, 1 / 3, 1 / 3]
UNTESTED = {"forecast": None, "forecast_statement": "No forecast was tested: natural was not trained."}
VOID = {"meta", "br", "img", "link", "hr", "input"}


class Elements(HTMLParser):
    """Every element with its attributes; and that all are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def elements(page: str) -> list[tuple[str, dict[str, str | None]]]:
    return Elements(page).elements


def test_text_from_documents_names_and_details_stays_text(
    page: str, elements: list[tuple[str, dict[str, str | None]]]
) -> None:
    tags = {tag for tag, _ in elements}
    assert [tag for tag, _ in elements].count("script") == 1, "the page's own, which the policy names by its digest"
    assert not tags & {"img", "iframe", "object", "link", "b", "form"}
    assert not any(name.startswith("on") for _, attributes in elements for name in attributes)
    assert "&lt;script&gt;alert(" in page
    assert "{{ 7*7 }}" in page
    assert not set(page) & set("\x00\x1b\u202e")


def test_a_domain_is_shown_with_its_label_beside_the_name_that_recipes_carry(page: str) -> None:
    # In its card, in the tables of forecasts, mixture, bits per byte and epochs, over its picture and its sample.
    # Others go by their names.
    assert page.count('def-self-return <span class="muted" dir="auto">함수의 정의를 반환</span>') == 10
    assert 'licence-copyright <span class="muted" dir="auto">' not in page


def test_the_page_needs_nothing_from_elsewhere(page: str, elements: list[tuple[str, dict[str, str | None]]]) -> None:
    for _, attributes in elements:
        for name in ("src", "href", "xlink:href", "data", "action"):
            assert (attributes.get(name) or "#").startswith("#")
    assert "default-src 'none'" in page
    assert "@import" not in page
    assert set(re.findall(r"url\((.)", page)) <= {"#"}
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_every_picture_says_in_words_what_it_shows(
    elements: list[tuple[str, dict[str, str | None]]], content: PageContent, searching: PageContent
) -> None:
    labels = [attributes.get("aria-label") for tag, attributes in elements if tag == "svg"]
    assert len(labels) == len(pictures(content)) == 19
    assert len(pictures(searching)) == 22
    assert all(
        len(label) > 40 for svg in pictures(searching).values() for label in re.findall("aria-label=(.*?) xmlns", svg)
    )
    assert all(label is not None and len(label) > 40 for label in labels)
    assert all({"role": "img"}.items() <= attributes.items() for tag, attributes in elements if tag == "svg")


def test_ids_are_unique_and_every_reference_finds_its_target(
    page: str, elements: list[tuple[str, dict[str, str | None]]]
) -> None:
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"(?:url\(|href=\")#([^)\"]+)", page)) <= set(ids)


def test_the_page_tells_the_decision_the_forecast_and_every_digest(page: str, content: PageContent) -> None:
    found = content.evaluation
    assert found.comparisons["natural"].statement in page
    assert found.decision.forecast is not None
    assert found.decision.forecast.statement in page
    for stage in content.lineage:
        assert page.count(stage.output) >= 2
        assert stage.key in page
    assert "threads per worker" in page


def test_every_forecast_stands_beside_its_outcome_with_what_was_said_on_the_way_and_what_missed(page: str) -> None:
    section = page[page.index('id="forecast"') : page.index('id="mixture"')]
    assert section.count("at 75%</th>") == section.count("at 95%</th>") == 2
    assert section.count(", missed</span>") == 3 and "Inside were 2 of 3." in section
    assert section.index("<details>") < section.index('"domain">natural, ')


def test_what_a_guard_foretold_of_forgetting_stands_beside_what_came(page: str) -> None:
    for told in ("What was forgotten of earlier domains", "3.0400 (3.0000 to 3.1000)", "kept", "80 % intervals"):
        assert told in page


def test_the_decision_comes_first_then_the_forecast_then_the_mixture_and_reasons_are_folded(page: str) -> None:
    places = [page.index(told) for told in ('class="headline"', 'id="forecast"', 'id="mixture"', 'id="curation"')]
    assert places == sorted(places)
    assert page.index('<details class="all">') < page.index("Documents dropped by reason:")


def test_the_headline_says_what_to_do(content: PageContent) -> None:
    found = content.evaluation.decision
    natural = found.comparisons["natural"]
    assert headline(found) == "Train on the searched mixture."
    for lower, upper, told in ((-0.2, -0.1, "is worse"), (-0.1, 0.2, "more seeds"), (None, None, "nothing here shows")):
        seen = natural.model_copy(update={"claim": False, "lower": lower, "upper": upper})
        other = found.model_copy(update={"claim": False, "comparisons": found.comparisons | {"natural": seen}})
        assert headline(other).startswith("Keep the natural mixture") and told in headline(other)


def test_scores_of_tasks_are_told_with_their_doubt_where_there_are_any(own_folders: dict[str, Path]) -> None:
    def model(name: str, value: float) -> ScoredModel:
        scores = {
            "accuracy": Score(value=value, standard_error=0.0125, direction="higher"),
            "log_p_correct": Score(value=-value, standard_error=None, direction="higher"),
        }
        task = TaskScores(items=1234, left_out=5, primary="accuracy", scores=scores)
        mean = Score(value=value / 2, standard_error=None, direction="higher")
        return ScoredModel(model=name, tasks={"easy": task}, score_sets={"mean": mean})

    Scores(identities={"easy": "1" * 64}, models=(model("searched-seed0", 0.75), model("natural-seed0", 0.5))).write(
        own_folders["evaluate"]
    )
    commit(own_folders)
    told = render(read_content(own_folders, ReportParams()), ReportParams())
    Elements(told)
    best = '<td class="n best">0.7500<span class="interval">± 0.0125</span></td><td class="n best">0.3750</td>'
    assert best in told and "1,234" in told and "log p correct" in told
    assert "Scores of tasks" in told
    (own_folders["evaluate"] / Scores.FILE).unlink()
    commit(own_folders)
    assert "Scores of tasks" not in render(read_content(own_folders, ReportParams()), ReportParams())


def test_contaminated_items_are_told_with_scores_with_and_without_them_where_they_were_looked_for(
    own_folders: dict[str, Path],
) -> None:
    told = render(read_content(own_folders, ReportParams()), ReportParams())
    assert "21 of 1,000 documents hold 13 consecutive words of an item" in told
    row = told[told.index('<td data-label="task">arc<span class="interval">accuracy</span></td>') :]
    row = row[: row.index("</tr>")]
    assert (
        '<td class="n" data-label="contaminated items">20 of 40<span class="interval">3 not looked for</span></td>'
        in row
    )
    assert 'data-label="without them">0.3500<span class="interval">± 0.0100</span></td>' in row
    assert 'data-label="difference">+0.3000<span class="interval">+0.2000 to +0.4000</span></td>' in row
    # Across models nothing is shown, and there are too few domains.
    assert "−0.1000 to +0.4000, open" in told and "too few" in told
    (own_folders["evaluate"] / Contamination.FILE).unlink()
    commit(own_folders)
    assert "trained on</h3>" not in render(read_content(own_folders, ReportParams()), ReportParams())


def test_every_domain_is_in_the_map_the_mixture_and_the_table_of_results(page: str) -> None:
    for name in DOMAINS[:2]:
        assert page.count(f">{name}<") >= 4
    assert "a&lt;b&gt;&amp;&#34;&#39;-$x_1$" in page


def test_colours_are_the_page_s_so_that_pictures_follow_the_dark_mode(searching: PageContent) -> None:
    css = palette()
    for name, picture in pictures(searching).items():
        used = set(re.findall(r"var\((--[a-z0-9-]+)\)", picture))
        assert used, name
        assert all(css.count(f"{variable}: ") == 2 for variable in used)
        assert re.findall(r"(?:fill|stroke): #[0-9a-f]{6}", picture) == []


def test_the_page_tells_what_the_search_did_not_look_at(page: str, searching: PageContent) -> None:
    missing = ("No candidate was run again with fresh seeds", "All proxies had one size")
    assert all(told in page for told in missing)
    full = render(searching, ReportParams())
    assert not any(told in full for told in missing)
    assert "Claim: it beats natural." in full
    assert "Refused: too uncertain." in full


def test_a_search_without_a_predictor_says_so(own_folders: dict[str, Path]) -> None:
    edit(own_folders["search"] / "candidates.json", lambda candidates: candidates.update(tried=[], held_out=[]))
    commit(own_folders)
    page = render(read_content(own_folders, ReportParams()), ReportParams())
    Elements(page)
    assert "No predictor was fitted" in page
    assert "Predictors, in cross-validation" not in page


def test_unimax_is_told_where_it_is_another_mixture_than_uniform(own_folders: dict[str, Path], page: str) -> None:
    assert "UniMax" not in page
    assert '<th class="n">unimax</th>' not in page
    unimax = {"natural": [0.6, 0.3, 0.1], "uniform": [1 / 3] * 3, "unimax": [0.4, 0.4, 0.2]}
    edit(own_folders["search"] / "recipe.json", lambda recipe: recipe.update(baselines=unimax))
    commit(own_folders)
    other = render(read_content(own_folders, ReportParams()), ReportParams())
    assert '<th class="n">unimax</th>' in other
    assert '<td class="n">20.0%</td>' in other


def test_the_stages_of_a_recipe_are_shown_and_a_ramp_with_both_its_ends(
    own_folders: dict[str, Path], page: str
) -> None:
    ramp = {"tokens": 1500, "weights": EVEN, "end_weights": [1.0, 0.0, 0.0], "sequence_length": 64}
    stages = [{"tokens": 4500, "weights": [0.5, 0.25, 0.25]}, ramp]
    edit(own_folders["search"] / "recipe.json", lambda recipe: recipe.update(stages=stages))
    best = {"name": "more of x", "weights": EVEN, "gains": [0.1, 0.2]}
    decay = {"share": 0.25, "candidates": [best | {"name": "stays"}, best], "best": "more of x", "lower": 0.01}
    decay["chosen"] = "more of x"
    edit(own_folders["search"] / "candidates.json", lambda candidates: candidates.update(decay=decay))
    commit(own_folders)
    table = render(read_content(own_folders, ReportParams()), ReportParams()).partition("<caption>Stages</caption>")[2]
    rows = table.partition("</table>")[0].count("<tr>") - 1
    assert "more of x, which ends the recipe" in render(read_content(own_folders, ReportParams()), ReportParams())
    assert "<td>from samples of 64 tokens</td>" in table
    card = model_card(read_content(own_folders, ReportParams()))
    assert "\n2. 1,500 tokens, 33.3% / 33.3% / 33.3% to 100.0% / 0.0% / 0.0%, samples of 64 tokens\n\n" in card
    assert table.count('<td class="n">0.057</td>') == 1  # log(2/3)/3 + 2 log(4/3)/3
    assert rows == 3 and "<td>to</td>" in table and "<caption>Stages</caption>" not in page


def test_branches_are_shown_beside_what_they_went_on_from(own_folders: dict[str, Path], page: str) -> None:
    def branch(models: dict[str, list[dict[str, Any]]], **changes: Any) -> None:
        key = "runs" if "runs" in models else "models"
        models[key] += [{**one, "mixture": "anneal", **changes} for one in models[key] if one["mixture"] == "searched"]

    def run_of(runs: dict[str, list[dict[str, Any]]]) -> None:
        branch(runs)
        for one in runs["runs"]:
            if one["mixture"] == "anneal":
                one.update(name=f"anneal-seed{one['seed']}", trunk={"run": one["name"], "step": 40})

    edit(own_folders["train"] / "runs.json", run_of)
    edit(own_folders["evaluate"] / "results.json", lambda results: branch(results, mean=1.2345))
    commit(own_folders)
    other = render(read_content(own_folders, ReportParams()), ReportParams())
    Elements(other)
    table = other.partition("<h3>Branches</h3>")[2].partition("</table>")[0]
    assert "anneal, behind step 40 of searched" in table and table.count("<tr") == len(DOMAINS) + 2
    assert '<td class="n">1.2345</td>' in table
    assert "<h3>Branches</h3>" not in page


def test_experts_are_shown_by_domain(own_folders: dict[str, Path], page: str) -> None:
    train = own_folders["train"]
    used = ExpertsUsed.read(train)
    second = DomainUse(tokens=50, shares=(0.1, 0.9), drop_rate=0.0, first_to_second=1.1, second_to_third=None)
    (layer,) = used.layers
    layers = (layer, layer.model_copy(update={"information": 0.5, "domains": {**layer.domains, DOMAINS[1]: second}}))
    used.model_copy(update={"layers": layers}).write(train / TrainedRuns.read(train).runs[0].folder)
    commit(own_folders)
    told = render(read_content(own_folders, ReportParams()), ReportParams())
    Elements(told)
    shown = told.partition("<h3>What the experts are used for</h3>")[2].partition("<h3>")[0]
    assert f"{DOMAINS[1]} goes most to expert 1 (90.0%)" in shown and "every expert of layer 1" in shown
    assert "0.5000" in shown and "5.00 %" in shown and "<title>" in shown
    assert "What the experts are used for" not in page


def test_a_page_without_quality_without_natural_and_without_drops_can_be_written(own_folders: dict[str, Path]) -> None:
    edit(
        own_folders["cluster"] / "domains.json",
        lambda v: [one["means"].pop("quality") for one in v["domains"]],
    )
    edit(own_folders["evaluate"] / "decision.json", lambda decision: decision.update(UNTESTED))
    commit(own_folders)
    bare = ReportParams(examples_per_reason=0, examples_per_domain=0, quarantined_shown=0)
    page = render(read_content(own_folders, bare), bare)
    Elements(page)
    assert UNTESTED["forecast_statement"] in page
    assert "<blockquote" not in page


def test_what_models_are_like_is_told_where_it_was_looked_at(tmp_path: Path) -> None:
    folders = stage_folders(tmp_path)
    page = render(read_content(folders, ReportParams()), ReportParams())
    titles = (
        "How flat the loss is",
        "What more of a domain's own text gave",
        "Whether models give away",
        "What planted texts taught",
    )
    assert all(f"<h3>{title}" in page for title in titles)
    flat = r'searched-seed0</td><td class="n">3\.0000</td><td class="n">40<span class="interval">± 4</span></td>'
    assert re.search(flat, page)
    assert "<li>searched: facts, planted 4 times: a gain of +0.5000 bits per byte.</li>" in page
    assert (
        '4</td><td class="n">2.0000</td><td class="n">+0.5000<span class="interval">+0.4000 to +0.6000</span>' in page
    )
    for contract in (Flatness, Specificity, Memorisation, PlantedEffects):
        (folders["evaluate"] / contract.FILE).unlink()
    commit(folders)
    page = render(read_content(folders, ReportParams()), ReportParams())
    assert not any(f"<h3>{title}" in page for title in titles)


def test_models_of_too_few_pairs_have_a_dash_and_without_any_other_a_sentence(tmp_path: Path) -> None:
    folders = stage_folders(tmp_path)
    told = Memorisation.read(folders["evaluate"]).models[0]
    untold = told.model_copy(update={"model": "natural-seed0", "within_domains": {}})
    Memorisation(confidence=0.95, models=(untold, told)).write(folders["evaluate"])
    commit(folders)
    page = render(read_content(folders, ReportParams()), ReportParams())
    assert '<th>model</th><th class="n">min k 20</th>' in page
    assert 'natural-seed0</td><td class="n">–</td>' in page
    assert 'searched-seed0</td><td class="n">0.700<span class="interval">0.600 to 0.800</span></td>' in page
    Memorisation(confidence=0.95, models=(untold,)).write(folders["evaluate"])
    commit(folders)
    page = render(read_content(folders, ReportParams()), ReportParams())
    assert "Nothing is told: no model saw enough documents whole" in page and ">min k 20</th>" not in page


def test_a_page_of_one_seed_shows_gains_without_intervals(tmp_path: Path) -> None:
    folders = stage_folders(tmp_path, seeds=1)
    for contract in (Scores, Contamination, Flatness, Specificity, Memorisation, PlantedEffects):
        (folders["evaluate"] / contract.FILE).unlink()
    commit(folders)
    found = read_content(folders, ReportParams())
    page = render(found, ReportParams())
    Elements(page)
    assert "No claim: 1 seed is" in page
    assert '<span class="interval">' not in page and "% t interval" not in page
    assert "Outcome gain" not in page and "(1 seed, so" in found.evaluation.decision.forecast_statement
    assert found.evaluation.decision.statement.startswith("No claim: 1 seed is")


def test_the_title_is_escaped(content: PageContent) -> None:
    assert "<h1>A &lt;b&gt; &amp; c</h1>" in render(content, ReportParams(title="A <b> & c"))


def test_two_processes_write_the_same_bytes_and_a_second_run_takes_them(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    manifests = []
    for name in ("one", "two"):
        workshop = Workshop(LocalExecutor(1), FolderStore(tmp_path / name / "store"))
        manifests.append(run(ReportParams(), inputs=folders, output=tmp_path / name / "report", workshop=workshop))
    pages = [(tmp_path / name / "report" / PAGE).read_bytes() for name in ("one", "two")]
    assert pages[0] == pages[1]
    assert manifests[0] == manifests[1]
    assert manifests[0].summary["claim"] is True
    idle = InProcess()
    workshop = Workshop(idle, FolderStore(tmp_path / "one" / "store"))
    assert run(ReportParams(), inputs=folders, output=tmp_path / "one" / "report", workshop=workshop) == manifests[0]
    assert idle.done == [], "nothing was left to do"


def test_a_manifest_that_changed_without_its_output_makes_another_page(
    own_folders: dict[str, Path], tmp_path: Path
) -> None:
    workshop = Workshop(InProcess(), FolderStore(tmp_path / "store"))
    first = run(ReportParams(), inputs=own_folders, output=tmp_path / "report", workshop=workshop)
    trained = Manifest.read(own_folders["train"])
    replace(trained, environment=dict(trained.environment) | {"torch": "9.9"}).write(own_folders["train"])
    second = run(ReportParams(), inputs=own_folders, output=tmp_path / "report", workshop=workshop)
    assert [first.inputs[name] for name in INPUTS] == [second.inputs[name] for name in INPUTS]
    assert first.key != second.key
    assert "9.9" in (tmp_path / "report" / PAGE).read_text(encoding="utf-8")
