"""What a killed run left open is closed by who finds its lease free, and by nobody else."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from infra.leases import lease
from infra.open_runs import OpenRun, close_abandoned, close_left_open, noted
from infra.orchestration import lineage_tag
from infra.records import RunRecord
from infra.settings import Settings, load_settings
from infra.tracking import Tracker
from tests.fixtures_servers import free_port

RUN = OpenRun("demo-0123", "key", "demo", "http://127.0.0.1:1", "no such folder")
_WORK = """
import sys, time
from pathlib import Path
from infra.leases import lease
from infra.open_runs import noted
from tests.infra.test_open_runs import RUN
home = Path(sys.argv[1])
with lease(home / "leases" / "demo-0123.lock", "run demo"), noted(home, RUN):
    print("works", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def working(tmp_path: Path, project: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process with an open run of the home `tmp_path`."""
    environment = {**os.environ, "PYTHONPATH": str(project)}
    command = [sys.executable, "-c", _WORK, str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "works\n"
        yield process
        process.kill()


def test_a_run_is_closed_once_when_its_process_is_dead_and_not_before(
    tmp_path: Path, working: "subprocess.Popen[str]"
) -> None:
    closed: list[OpenRun] = []

    def close(run: OpenRun) -> bool:
        closed.append(run)
        return len(closed) > 1

    assert close_abandoned(tmp_path, close) == () and not closed
    working.kill()
    working.wait()
    # A server that is away leaves the note for another time.
    assert close_abandoned(tmp_path, close) == ()
    assert close_abandoned(tmp_path, close) == (RUN,)
    assert close_abandoned(tmp_path, close) == ()
    assert closed == [RUN, RUN]


def test_a_run_that_ends_in_order_leaves_nothing_to_close(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), lease(tmp_path / "leases" / "demo-0123.lock", "run"), noted(tmp_path, RUN):
        raise KeyboardInterrupt
    assert close_abandoned(tmp_path, lambda run: pytest.fail("it was closed already")) == ()


def test_a_run_of_another_machine_is_left_to_it(tmp_path: Path) -> None:
    with lease(tmp_path / "leases" / "demo-0123.lock", "run"):
        pass
    (tmp_path / "leases" / "demo-0123.lock").write_text('{"pid": 1, "host": "elsewhere", "what": "run"}')
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "demo-0123.json").write_text("{}")
    assert close_abandoned(tmp_path, lambda run: pytest.fail("it may be alive")) == ()
    assert (tmp_path / "open" / "demo-0123.json").exists()


def test_a_damaged_note_goes_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "demo-0123.json").write_text('{"workspace": 1')
    assert close_abandoned(tmp_path, lambda run: pytest.fail("nothing is known of it")) == ()
    assert not list((tmp_path / "open").iterdir())


def test_without_servers_nothing_is_waited_for_and_the_note_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.open_runs.apply_client_environment", lambda settings: None)
    settings = load_settings(home=tmp_path, prefect={"port": free_port()}, mlflow={"port": free_port()})
    assert close_left_open(settings) == ()
    with lease(tmp_path / "leases" / "demo-0123.lock", "run"), noted(tmp_path, RUN):
        note = (tmp_path / "open" / "demo-0123.json").read_text()
    (tmp_path / "open" / "demo-0123.json").write_text(note)
    assert close_left_open(settings) == ()
    assert list((tmp_path / "open").iterdir())


def test_prefect_and_mlflow_show_a_killed_run_as_ended(
    connected: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.states import Running

    @flow(name="killed")
    def nothing() -> None:
        """Do nothing."""

    # The home of the note is this test's own; the servers, and what it takes to talk to them, are those of the session.
    monkeypatch.setattr("infra.open_runs.apply_client_environment", lambda settings: None)
    monkeypatch.setenv("MIXWRIGHT_HOME", str(tmp_path))
    key, uri = uuid.uuid4().hex, connected.mlflow.tracking_uri
    tracker = Tracker(uri, "killed", tmp_path / "records")
    tracker.start(key, "killed")
    run = OpenRun("killed-0123", key, "killed", uri, str(tmp_path / "records"))
    with lease(tmp_path / "leases" / "killed-0123.lock", "run"), noted(tmp_path, run):
        note = (tmp_path / "open" / "killed-0123.json").read_text()
    (tmp_path / "open" / "killed-0123.json").write_text(note)
    with get_client(sync_client=True) as client:
        dead = client.create_flow_run(nothing, tags=[lineage_tag(key)], state=Running())
        assert close_left_open(connected.model_copy(update={"home": tmp_path})) == (run,)
        assert client.read_flow_run(dead.id).state_name == "Crashed"
    assert MlflowClient(uri).get_run(tracker.run_url(key).rpartition("/")[2]).info.status == "KILLED"
    assert not list((tmp_path / "open").iterdir())


def test_a_run_that_ended_while_mlflow_was_away_is_in_mlflow_after_the_next_command(
    connected: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setattr("infra.open_runs.apply_client_environment", lambda settings: None)
    key, uri, records = uuid.uuid4().hex, connected.mlflow.tracking_uri, tmp_path / "records"
    Tracker(uri, "ended", records).start(key, "ended")
    away = Tracker(f"http://127.0.0.1:{free_port()}", "ended", records)
    run = OpenRun("ended-0123", key, "ended", uri, str(records))
    with lease(tmp_path / "leases" / "ended-0123.lock", "run"), noted(tmp_path, run):
        away.put(RunRecord(key=f"{key}/train", name="train", parent=key, status="FINISHED", metrics={"loss": 2.0}))
        away.change(key, status="FINISHED")
    settings = connected.model_copy(update={"home": tmp_path})
    assert close_left_open(settings) == (replace(run, ended=True),)
    assert close_left_open(settings) == ()
    client = MlflowClient(uri)
    top = client.get_run(Tracker(uri, "ended", records).run_url(key).rpartition("/")[2])
    (train,) = client.search_runs([top.info.experiment_id], f"tags.`mlflow.parentRunId` = '{top.info.run_id}'")
    assert (top.info.status, train.info.status, train.data.metrics) == ("FINISHED", "FINISHED", {"loss": 2.0})
