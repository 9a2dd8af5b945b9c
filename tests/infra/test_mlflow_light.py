"""The light client of this home's own MLflow server answers as MLflow's own does, and hands on what it cannot."""

import uuid
from pathlib import Path
from typing import Any, NoReturn

import pytest

from infra import mlflow_light
from infra.mlflow_calls import children, experiment_id, set_status, top, tracked
from infra.mlflow_light import LightClient, client_of
from infra.records import RunRecord
from infra.secret import mlflow_auth
from infra.settings import Settings
from infra.tracking import Tracker


@pytest.fixture
def whole(connected: Settings) -> Any:
    """MLflow's own client of the live server."""
    from mlflow import MlflowClient

    return MlflowClient(connected.mlflow.tracking_uri)


@pytest.fixture
def key(connected: Settings, tmp_path: Path) -> str:
    """The key of a lineage that the live server holds, finished, with two runs below it."""
    key = uuid.uuid4().hex
    tracker = Tracker(connected.mlflow.tracking_uri, "light", tmp_path / "records")
    tracker.start(key, "pipeline")
    for name in "ab":
        tracker.put(RunRecord(key=f"{key}/{name}", name=name, parent=key, status="FINISHED", metrics={"loss": 1.0}))
    tracker.change(key, status="FINISHED")
    return key


def _refused(uri: str) -> NoReturn:
    raise AssertionError(f"MLflow's own client was asked for {uri}")


def test_it_finds_what_mlflows_own_client_finds(connected: Settings, whole: Any, key: str) -> None:
    light: Any = client_of(connected.mlflow.tracking_uri)
    assert isinstance(light, LightClient)
    assert experiment_id(light, "light") == experiment_id(whole, "light")
    run = top(light, "light", key)
    assert run is not None and run == top(whole, "light", key)
    assert len(children(light, run)) == 2 and children(light, run) == children(whole, run)
    query = f"tags.`mlflow.parentRunId` = '{run.id}'"
    first = light.search_runs([run.experiment], query, max_results=1)
    second = light.search_runs([run.experiment], query, max_results=1, page_token=first.token)
    assert {tracked(one).key for one in (*first, *second)} == {f"{key}/a", f"{key}/b"} and second.token is None


def test_a_run_that_goes_on_keeps_when_it_ended_until_it_ends_again(connected: Settings, whole: Any, key: str) -> None:
    light: Any = client_of(connected.mlflow.tracking_uri)
    run = top(light, "light", key)
    assert run is not None
    ended = whole.get_run(run.id).info.end_time
    set_status(light, run.id, "RUNNING")
    assert (whole.get_run(run.id).info.status, whole.get_run(run.id).info.end_time) == ("RUNNING", ended)
    set_status(light, run.id, "FAILED")
    assert whole.get_run(run.id).info.status == "FAILED" and whole.get_run(run.id).info.end_time > ended


def test_a_run_with_nothing_new_needs_no_client_of_mlflow(
    connected: Settings, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_light, "_whole_client", _refused)
    tracker = Tracker(connected.mlflow.tracking_uri, "light", tmp_path / "records")
    tracker.start(key, "pipeline")
    tracker.start(f"{key}/a", "a", key)
    tracker.label(f"{key}/a", {}, status="FINISHED")
    assert tracker.run_url(f"{key}/a").startswith(f"{tracker.uri}/#/experiments/")
    tracker.change(key, status="FINISHED")
    assert tracker.num_waiting == 0


def test_the_address_of_a_run_that_was_shown_is_known_without_a_server_until_the_server_is_another(
    connected: Settings, key: str, tmp_path: Path
) -> None:
    records = tmp_path / "records"
    shown = Tracker(connected.mlflow.tracking_uri, "light", records).run_url(f"{key}/a")
    nobody = Tracker("http://127.0.0.1:9", "light", records)
    address = nobody.run_url(f"{key}/a")
    assert "/runs/" in address and shown.endswith(address.removeprefix(nobody.uri))
    Tracker(connected.mlflow.tracking_uri, "another", records).start(key, "pipeline")
    assert "/runs/" in nobody.run_url(f"{key}/a") != address


def test_a_server_of_a_team_is_asked_by_mlflows_own_client(
    connected: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = connected.mlflow.tracking_uri
    monkeypatch.setenv("MIXWRIGHT_MLFLOW__URL", uri)
    assert not isinstance(client_of(uri), LightClient)


def test_what_is_not_answered_plainly_is_asked_again_by_mlflows_own_client(
    connected: Settings, whole: Any, key: str
) -> None:
    uri, auth = connected.mlflow.tracking_uri, mlflow_auth(connected)
    assert auth is not None
    locked_out: Any = LightClient(uri, f"{auth}?")
    run = top(locked_out, "light", key)
    assert run is not None and run == top(whole, "light", key)
    for status in ("RUNNING", "KILLED"):
        set_status(locked_out, run.id, status)
        assert whole.get_run(run.id).info.status == status
    assert LightClient(uri, auth).get_experiment_by_name(uuid.uuid4().hex) is None
    assert LightClient(uri, auth).get_run(run.id).info.run_id == run.id
