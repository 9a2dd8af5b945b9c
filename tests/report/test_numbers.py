"""The numbers and curves that DVC shows are those of the page, and `dvc.yaml` names them as they are."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.versions.dvc import dvc
from tasks.evaluation.published import Decision
from tasks.mixture.published import MIXTURES
from tasks.report.config import ReportParams
from tasks.report.load import PageContent, read_content
from tasks.report.numbers import GAINS, LOSSES, METRICS, REGRET, files, metrics
from tasks.report.stage import FILES
from tests.infra import dvc_in_forks
from tests.report.folders import stage_folders

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> PageContent:
    return read_content(stage_folders(tmp_path_factory.mktemp("stages")), ReportParams())


@pytest.fixture(scope="module")
def told(content: PageContent) -> dict[str, Any]:
    return {name: json.loads(text) for name, text in files(content).items()}


def test_the_metrics_are_those_of_the_decision(content: PageContent, told: dict[str, Any]) -> None:
    decision, found = content.evaluation.decision, told[METRICS]
    assert found["gain"] == found["gain_over/natural"] == decision.comparisons["natural"].gain
    assert (found["claim"], found["documents"], found["documents_kept"]) == (1.0, 9.0, content.curation.kept.documents)
    assert {name: found[f"bits_per_byte/{name}"] for name in content.evaluation.overall} == content.evaluation.overall
    assert all(isinstance(value, float) for value in found.values()), "DVC compares numbers"


def test_proxies_are_counted_as_on_the_page_without_those_of_another_size(content: PageContent) -> None:
    runs = content.search.runs
    larger = replace(runs[-1], model_parameters=2 * runs[-1].model_parameters)
    search = replace(content.search, runs=(*runs[:-1], larger))
    assert metrics(replace(content, search=search))["proxies"] == len(search.shown) == len(runs) - 1


def test_every_row_of_losses_has_all_mixtures_and_null_for_what_was_not_trained(
    content: PageContent, told: dict[str, Any]
) -> None:
    for row in told[LOSSES]:
        assert [*row] == ["step", *MIXTURES]
    last, trained = told[LOSSES][-1], {curve.name: curve.mean[-1] for curve in content.training.curves}
    assert {name: last[name] for name in MIXTURES} == {name: trained.get(name) for name in MIXTURES}


def test_the_regret_ends_at_the_best_proxy_and_gains_have_their_intervals(told: dict[str, Any]) -> None:
    rows = told[REGRET]
    assert rows[-1]["best_so_far"] == 0.0 <= min(row["best_so_far"] for row in rows)
    (natural,) = (row for row in told[GAINS] if row["where"] == "natural · all domains")
    assert natural["lower"] < natural["gain"] < natural["upper"]


def test_what_dvc_yaml_shows_is_published_with_the_columns_it_names(told: dict[str, Any]) -> None:
    described = yaml.safe_load((PROJECT / "dvc.yaml").read_text(encoding="utf-8"))
    assert described["metrics"] == [f"data/report/{METRICS}"]
    for plot in described["plots"]:
        ((_, how),) = plot.items()
        for axis in (how["x"], how["y"]):
            for path, names in axis.items() if isinstance(axis, dict) else [(next(iter(how["y"])), axis)]:
                name = Path(path).name
                assert path == f"data/report/{name}" and name in FILES
                assert {names} if isinstance(names, str) else {*names} <= {*told[name][0]}


@pytest.mark.dvc
def test_dvc_shows_the_metrics_of_a_version_what_changed_and_the_plots(
    content: PageContent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.versions.dvc.subprocess", dvc_in_forks)
    described = yaml.safe_load((PROJECT / "dvc.yaml").read_text(encoding="utf-8"))
    stages = {"report": {"cmd": "true", "outs": ["data/report"]}}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({**described, "stages": stages}, sort_keys=False))

    def git(*args: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *args], cwd=tmp_path, check=True)

    def version(name: str, written: PageContent) -> None:
        (tmp_path / "data" / "report").mkdir(parents=True, exist_ok=True)
        for file, text in files(written).items():
            (tmp_path / "data" / "report" / file).unlink(missing_ok=True)
            (tmp_path / "data" / "report" / file).write_text(text, encoding="utf-8")
        dvc(tmp_path, "commit", "--force", "--quiet")
        git("add", "--all")
        git("commit", "--quiet", "--message", name)
        git("tag", name)

    git("init", "--quiet")
    dvc(tmp_path, "init", "--quiet")
    decision = content.evaluation.decision
    smaller = {**decision.comparisons, "natural": decision.comparisons["natural"].model_copy(update={"gain": 0.01})}
    other = decision.model_copy(update={"comparisons": smaller})
    version("v1", content)
    version("v2", _with_decision(content, other))
    shown = json.loads(dvc(tmp_path, "metrics", "show", "--json"))
    assert shown[""]["data"][f"data/report/{METRICS}"]["data"]["gain"] == 0.01
    changed = json.loads(dvc(tmp_path, "metrics", "diff", "--json", "v1", "v2"))[f"data/report/{METRICS}"]
    assert {*changed} == {"gain", "gain_over/natural"}
    plots = json.loads(dvc(tmp_path, "plots", "show", "--json"))
    assert "errors" not in plots or not plots["errors"]
    assert {*plots["data"]} == {name for plot in described["plots"] for name in plot}


def _with_decision(content: PageContent, decision: Decision) -> PageContent:
    return replace(content, evaluation=replace(content.evaluation, decision=decision))
