"""The main job on real servers: one run, seen from Prefect, MLflow, DVC, and another machine."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from infra.secret import home_secret
from infra.settings import Settings
from tasks.core.manifest import Manifest
from tasks.mixture.runs import read_runs
from tasks.stages import NAMES
from tests.fixtures_pipeline import Checkout


def _dvc(folder: Path, *args: str, home: Path) -> str:
    environment = os.environ | {"MIXWRIGHT_HOME": str(home), "PYTHONPATH": str(folder), "DVC_NO_ANALYTICS": "1"}
    environment["MIXWRIGHT_WORKERS"] = "1"
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *args], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"dvc {args}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _digests(data: Path) -> dict[str, str]:
    return {stage: Manifest.read(data / stage).output for stage in NAMES}


def test_a_run_ends_in_a_version_with_a_report_and_every_account_closed(
    checkout: Checkout, pipeline_run: dict[str, Any]
) -> None:
    assert pipeline_run["version"] == "data/tiny/v1"
    assert sorted(pipeline_run["digests"]) == sorted(NAMES)
    assert "<svg" in Path(pipeline_run["report"]).read_text(encoding="utf-8")
    data = Path(pipeline_run["workspace"]) / "data"
    ingest, curate, cluster = (Manifest.read(data / stage).account for stage in ("ingest", "curate", "cluster"))
    assert ingest and curate and cluster
    assert ingest.kept.documents == curate.taken.documents
    assert (curate.kept.documents, curate.kept.bytes) == (cluster.taken.documents, cluster.taken.bytes)


def test_the_same_command_again_does_nothing_and_names_the_same_version(
    checkout: Checkout, pipeline_run: dict[str, Any]
) -> None:
    given = ("run", "--name", "tiny", "--input", str(checkout.text), "--params", str(checkout.params))
    again = checkout.mixwright(*given)
    for stage in NAMES:
        assert f"{stage}: unchanged" in again.stderr
    assert "data/tiny/v1" in again.stdout


def test_dvc_finds_nothing_changed_and_has_nothing_to_do(checkout: Checkout, pipeline_run: dict[str, Any]) -> None:
    workspace = Path(pipeline_run["workspace"])
    assert "up to date" in _dvc(workspace, "status", home=checkout.home)
    assert "Running stage" not in _dvc(workspace, "repro", home=checkout.home)


@pytest.mark.parametrize(
    "stages",
    [
        # Every stage is made again on local workers in tests/chaos/test_kill.py as well; here DVC calls those: one that
        # reads raw input, one that reads a stage.
        pytest.param(("ingest", "tokenize"), id="two"),
        pytest.param(NAMES, id="all", marks=pytest.mark.slow),
    ],
)
def test_another_machine_gets_the_bytes_that_ray_made_and_one_local_worker_makes_them_again(
    tmp_path: Path, checkout: Checkout, pipeline_run: dict[str, Any], stages: tuple[str, ...]
) -> None:
    tag, remote, clone = pipeline_run["version"], tmp_path / "remote", tmp_path / "clone"
    checkout.mixwright("data", "remote", f"store-of-{len(stages)}", str(remote), "--default")
    checkout.mixwright("data", "push", tag)
    subprocess.run(["git", "clone", "--quiet", str(checkout.root), str(clone)], check=True)
    subprocess.run(["git", "checkout", "--quiet", tag], cwd=clone, check=True)
    _dvc(clone, "remote", "add", "--local", "--default", "store", str(remote), home=tmp_path)
    _dvc(clone, "pull", "--quiet", home=tmp_path)
    assert _digests(clone / "data") == pipeline_run["digests"]
    for stage in NAMES:
        Manifest.read(clone / "data" / stage).verify(clone / "data" / stage)
    shutil.rmtree(clone / "data" / "tokenize")
    done = _dvc(clone, "repro", "--force", "--single-item", *stages, home=tmp_path / "other-home")
    assert done.count("Running stage") == len(stages)
    assert _digests(clone / "data") == pipeline_run["digests"]


def test_changed_params_are_a_version_of_their_own(checkout: Checkout, pipeline_run: dict[str, Any]) -> None:
    changed = checkout.run_pipeline("--set", "evaluate.confidence=0.9", MIXWRIGHT_WORKERS="1")
    assert changed["version"] == "data/tiny/v2"
    same = {stage for stage in NAMES if changed["digests"][stage] == pipeline_run["digests"][stage]}
    assert same == set(NAMES) - {"evaluate", "report"}
    assert "up to date" in _dvc(Path(changed["workspace"]), "status", home=checkout.home)


@pytest.mark.slow
def test_thirty_documents_end_in_a_report_with_the_preset_tiny(tmp_path: Path, checkout: Checkout) -> None:
    import pydoc_data.topics

    texts = sorted(text for text in pydoc_data.topics.topics.values() if 700 < len(text) < 8_000)[:30]
    assert len(texts) == 30
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.txt").write_text(text, encoding="utf-8")
    done = checkout.mixwright("run", "--json", "--preset", "tiny", "--name", "first-look", "--input", str(tmp_path))
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert outcome["version"] == "data/first-look/v1"
    assert "<svg" in Path(outcome["report"]).read_text(encoding="utf-8")


def test_prefect_shows_the_stages_as_tasks_of_one_completed_flow(
    connected: Settings, pipeline_run: dict[str, Any]
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter

    tag = {"tags": {"all_": [f"lineage:{pipeline_run['lineage_key']}"]}}
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(tag))
        # The same lineage was killed in several stages by another test: those runs were closed as crashed, none is open.
        assert {run.state_name for run in runs} <= {"Completed", "Crashed"}
        completed = next(run for run in runs if run.state_name == "Completed")
        first = FlowRunFilter.model_validate({"id": {"any_": [completed.id]}})
        tasks = client.read_task_runs(flow_run_filter=first)
    assert sorted(task.name for task in tasks) == sorted(NAMES)


def test_mlflow_holds_stages_proxies_inputs_and_a_registered_model(
    connected: Settings, checkout: Checkout, pipeline_run: dict[str, Any]
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(connected.mlflow.tracking_uri)
    parent = client.get_run(pipeline_run["tracked_run"].rpartition("/")[2])
    assert parent.data.tags["dvc.rev"] == pipeline_run["version"]
    assert parent.data.params["train.num_seeds"] == "2"
    assert {"claim", "gain", "bits_per_byte/searched", "cost/cpu_s", "cost/train/cpu_s"} <= set(parent.data.metrics)
    runs = {run.info.run_name: run for run in client.search_runs([parent.info.experiment_id], max_results=200)}
    assert set(NAMES) <= set(runs)
    table = read_runs(Path(pipeline_run["workspace"]) / "data/search/runs.csv")
    assert sum(name.startswith("proxy-") for name in runs) == len(table.rows)
    assert sum("-seed" in name for name in runs) == 4
    inputs = runs["train"].inputs.dataset_inputs
    tags = [{tag.key: tag.value for tag in each.tags} for each in inputs]
    digests = {each["mixwright.digest"] for each in tags}
    assert digests == {pipeline_run["digests"]["tokenize"], pipeline_run["digests"]["search"]}
    assert all(each["dvc.rev"] == pipeline_run["version"] and each["dvc.md5"].endswith(".dir") for each in tags)
    model = client.get_model_version_by_alias("mixwright-tiny", "newest")
    assert model.tags["mixwright.lineage"]


def test_lineage_goes_from_a_document_to_the_models_and_back(
    mixwright: Callable[..., Result], pipeline_run: dict[str, Any]
) -> None:
    import pyarrow.parquet as pq

    documents = pq.read_table(Path(pipeline_run["workspace"]) / "data/tokenize/documents.parquet").to_pylist()
    trained = next(row["id"] for row in documents if row["split"] == "train")
    held_out = next(row["id"] for row in documents if row["split"] == "test")
    run = ("--run", pipeline_run["workspace"])
    assert "seen by natural-seed0: " in (seen := mixwright("lineage", trained, *run).stdout)
    assert "first in step" in seen or "never" in seen
    assert "no model saw it" in mixwright("lineage", held_out, *run).stdout
    told = mixwright("lineage", "searched-seed0", *run).stdout
    assert pipeline_run["digests"]["tokenize"][:16] in told
    assert "saw, by source:" in told
    assert mixwright("verify", *run).stdout.count(" ok") == len(NAMES)


def test_another_checkout_of_the_packages_is_the_one_that_runs(
    checkout: Checkout, pipeline_run: dict[str, Any]
) -> None:
    code = "import cli, flows, infra, tasks; print(cli.__file__, flows.__file__, infra.__file__, tasks.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=checkout.root,
        env=checkout.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count(str(checkout.root)) == 4


def test_a_run_leaves_the_servers_secret_in_no_file(checkout: Checkout, pipeline_run: dict[str, Any]) -> None:
    password = home_secret(checkout.settings.home).partition(":")[2].encode()

    def holders(folder: Path) -> list[Path]:
        return [path for path in folder.rglob("*") if path.is_file() and password in path.read_bytes()]

    assert checkout.settings.home / "secret" in holders(checkout.settings.home), "it would be found"
    assert holders(checkout.home) == holders(Path(pipeline_run["workspace"])) == []


def test_the_manifests_of_a_run_name_no_path_of_this_machine(checkout: Checkout, pipeline_run: dict[str, Any]) -> None:
    for stage in NAMES:
        text = (Path(pipeline_run["workspace"]) / "data" / stage / "manifest.json").read_text(encoding="utf-8")
        for folder in (Path.home(), checkout.root, checkout.home, checkout.text, Path(sys.prefix)):
            assert str(folder) not in text, stage
