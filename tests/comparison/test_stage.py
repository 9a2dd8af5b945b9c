"""A whole comparison on a pool of random tokens and runs of a few steps, in this process."""

import json
import re
from pathlib import Path
from statistics import fmean

import pytest

from infra.storage import FolderStore
from tasks.comparison.config import ComparisonParams, Method
from tasks.comparison.page import headline
from tasks.comparison.published import ComparisonTable, MethodGain, read_trained
from tasks.comparison.stage import run
from tasks.core.manifest import Manifest
from tasks.mixture.runs import read_runs
from tasks.mixture.strategies.baselines import Uniform
from tasks.mixture.strategies.random_search import RandomSearch
from tasks.mixture.strategies.regmix import RegMix
from tasks.runtime.context import Workshop
from tests.evaluation.test_stage import pool_with_tokenizer
from tests.mixture.test_stage import PARAMS, PROXY, Here
from tests.mixture.test_task_objective import asked
from tests.report.test_page import Elements

COMPARISON = ComparisonParams(
    search=PARAMS.model_copy(update={"num_runs": 12}),
    training=PROXY.model_copy(update={"num_tokens": 512}),
    methods=(Method(strategy=RandomSearch()), Method(strategy=RegMix(num_draws=500, num_averaged=8))),
    num_search_seeds=2,
    test_tokens_per_domain=64,
)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest, Here]:
    root, executor = tmp_path_factory.mktemp("comparison"), Here()
    workshop = Workshop(executor, FolderStore(root / "store"))
    # Their order in the pool is not that of the alphabet: x9, x8, x7.
    pool = pool_with_tokenizer(root / "tokenize", first_letter="x")
    manifest = run(COMPARISON, inputs={"tokenize": pool}, output=root / "methods", workshop=workshop)
    return root, manifest, executor


def test_every_method_and_baseline_has_a_row_and_every_search_its_evidence(
    compared: tuple[Path, Manifest, Here],
) -> None:
    root, manifest, _ = compared
    names = {row["method"] for row in manifest.summary["table"]}
    assert names == {"natural", "uniform", "unimax", "random_search", "regmix"}
    for method in ("random_search", "regmix"):
        for search in (0, 1):
            runs = read_runs(root / "methods" / "searches" / f"{method}-{search}" / "runs.csv")
            assert len(runs.rows) >= 10 and {row.seed for row in runs.rows} == {100 * search}
    text = (root / "methods" / "table.md").read_text(encoding="utf-8")
    assert text.count("\n") == 2 + 5 and "| regmix |" in text
    assert (root / "methods" / "methods.svg").read_text(encoding="utf-8").startswith("<svg")


def test_the_page_leads_with_the_decision_and_shows_what_every_search_found(
    compared: tuple[Path, Manifest, Here],
) -> None:
    root = compared[0] / "methods"
    page = (root / "page.html").read_text(encoding="utf-8")
    Elements(page)
    assert f'<p class="headline">{headline("random_search", ComparisonTable.read(root))}</p>' in page
    assert page.partition('id="mixtures"')[2].partition("</table>")[0].count("<tr>") == 1 + 3 + 4
    assert page.partition('id="domains"')[2].partition("</table>")[0].count('<td class="domain">x') == 3
    assert "random search, search 2: " in page and "random_search 1" not in page


def test_methods_are_compared_by_tasks_on_the_items_that_no_search_looked_at(tmp_path: Path) -> None:
    objective = {"choices": 1.0, "choices.accuracy": 1.0}
    params = COMPARISON.model_copy(
        update={
            "search": asked(tmp_path, objective, num_runs=6),
            "methods": (Method(strategy=RandomSearch()),),
            "num_search_seeds": 1,
        }
    )
    pool, workshop = pool_with_tokenizer(tmp_path / "tokenize"), Workshop(Here(), FolderStore(tmp_path / "store"))
    root = tmp_path / "methods"
    manifest = run(params, inputs={"tokenize": pool}, output=root, workshop=workshop)
    assert read_runs(root / "searches/random_search-0/runs.csv").sets[3:] == tuple(objective)
    items = json.loads((root / "items.json").read_text(encoding="utf-8"))["tasks"]["choices"]
    kept = [one["scores"]["natural-seed10001"] for one in items if int(one["id"][0], 16) % 2]
    assert 0 < len(kept) < len(items)
    (natural,) = (one for one in read_trained(root / "trained.csv") if (one.method, one.seed) == ("natural", 10_001))
    means = [fmean(one[name] for one in kept) for name in ("log_p_correct", "accuracy")]
    assert natural.objective == pytest.approx((-means[0] + 1 - means[1]) / 2)
    assert "tasks" in manifest.inputs and ComparisonTable.read(root).unit == "loss"
    page = (root / "page.html").read_text(encoding="utf-8")
    assert re.search(r"Random search over natural: \S+ in the objective, from 1 search", page)
    rows = page.partition("Tasks of the objective")[2].partition("</table>")[0]
    assert rows.count('<td class="domain">') == 2 and "choices.accuracy" in rows


def test_the_headline_says_what_to_search_with() -> None:
    def told(**versus: tuple[float, float] | None) -> str:
        gains = {
            other: MethodGain(gain=0.1, lower=ends and ends[0], upper=ends and ends[1], searches=(0.1,) * 3)
            for other, ends in versus.items()
        }
        return headline("default", ComparisonTable(table=(), versus=gains))

    assert told(natural=(0.1, 0.2), climb=(-0.1, 0.2), regmix=(0.1, 0.2)) == (
        "Search with default: it beats natural and regmix."
    )
    assert told(natural=(-0.1, 0.2), climb=(0.1, 0.2)) == "No difference shown between default and natural."
    assert told(natural=(-0.2, -0.1)) == "Do not search with default: natural is better."
    assert told(natural=None).startswith("Nothing is shown")


def test_a_baseline_is_no_method_and_no_method_comes_twice() -> None:
    for methods, message in (
        ([Method(strategy=Uniform())], "uniform is a baseline and searches nothing"),
        ([Method(strategy=RegMix()), Method(strategy=RegMix())], "regmix is named twice"),
    ):
        with pytest.raises(ValueError, match=message):
            ComparisonParams.model_validate({**COMPARISON.model_dump(), "methods": methods})


def test_what_is_trained_is_the_recipe_of_each_search(compared: tuple[Path, Manifest, Here]) -> None:
    root = compared[0] / "methods"
    found = json.loads((root / "mixtures.json").read_text(encoding="utf-8"))["mixtures"]
    searched = [each for each in found if each["search"] is not None]
    assert len(searched) == 4
    for each in searched:
        folder = root / "searches" / f"{each['method']}-{each['search']}"
        recipe = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
        assert each["weights"] == recipe["stages"][0]["weights"]


def test_gains_are_paired_with_natural_and_natural_gains_nothing(compared: tuple[Path, Manifest, Here]) -> None:
    root, manifest, _ = compared
    value = json.loads((root / "methods" / "table.json").read_text(encoding="utf-8"))
    natural = next(row for row in value["table"] if row["method"] == "natural")
    assert (natural["gain"], natural["lower"], natural["upper"]) == (0.0, None, None)
    assert set(value["versus"]) == {"natural", "uniform", "unimax", "regmix"}
    first = next(row for row in value["table"] if row["method"] == "random_search")
    assert value["versus"]["natural"]["gain"] == pytest.approx(first["gain"])
    assert manifest.summary["versus"] == value["versus"]


def test_mixtures_that_are_the_same_are_trained_once_and_baselines_are_measured_once_per_seed(
    compared: tuple[Path, Manifest, Here],
) -> None:
    root, _, executor = compared
    found = json.loads((root / "methods" / "mixtures.json").read_text(encoding="utf-8"))["mixtures"]
    different = {tuple(each["weights"]) for each in found}
    assert executor.done.count("train_run") == executor.done.count("measure") == 3 * len(different)
    # Two methods with two searches of 12 proxies; natural, uniform and UniMax with one seed are the same runs.
    assert executor.done.count("search_proxies") <= 2 * (12 + 9)
