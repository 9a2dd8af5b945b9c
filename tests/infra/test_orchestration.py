"""Prefect as tasks and flows use it: against a real server."""

import base64
import uuid

import pytest

from infra import orchestration
from infra.orchestration import PrefectProgress, artifact_key, lineage_tag, reap, tag_flow_run
from infra.settings import Settings


def test_artifact_keys_hold_what_prefect_allows() -> None:
    assert artifact_key("search: Proxies, round 1!") == "search-proxies-round-1"


def test_progress_is_written_at_most_every_few_seconds_and_always_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[float, str]] = []
    progress = PrefectProgress("curate")
    monkeypatch.setattr(progress, "_write", lambda percent, description: written.append((percent, description)))
    for done in range(101):
        progress.progress("shards", done, 100)
    progress.progress("nothing", 0, 0)
    assert written == [(0.0, "shards: 0 of 100"), (100.0, "shards: 100 of 100")]
    progress.progress("units", 1, 4)
    assert written[2:] == [(25.0, "shards: 100 of 100\n\nunits: 1 of 4")], "one artifact tells of all labels"


def test_what_a_killed_process_left_open_is_closed_and_the_living_run_is_not(connected: Settings) -> None:
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.states import Crashed, Running

    lineage = uuid.uuid4().hex
    closed: list[uuid.UUID] = []

    @flow(name="lineage")
    def nothing() -> None:
        """Do nothing."""

    @flow(name="lineage")
    def living() -> None:
        """Tag itself and close what others left."""
        own = tag_flow_run(lineage)
        closed.extend(reap(lineage, keep=own))

    with get_client(sync_client=True) as client:
        tags = [lineage_tag(lineage)]
        dead = client.create_flow_run(nothing, tags=tags, state=Running())
        other = client.create_flow_run(nothing, tags=[lineage_tag("another")], state=Running())
        zombie = client.create_flow_run(nothing, tags=tags, state=Crashed())
        task_runs = [_running_task(client, dead.id), _running_task(client, zombie.id)]
        living()
        assert closed == [dead.id]
        assert client.read_flow_run(dead.id).state_name == "Crashed"
        assert [client.read_task_run(task_run).state_name for task_run in task_runs] == ["Crashed", "Crashed"]
        assert client.read_flow_run(other.id).state_name == "Running"
        names = {
            run.state_name for run in client.read_flow_runs() if run.tags == tags and run.id not in {dead.id, zombie.id}
        }
        assert names == {"Completed"}
    assert reap(lineage) == ()


def test_artifacts_of_a_flow_run_can_be_read_back(connected: Settings) -> None:
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    @flow(name="artifacts")
    def show() -> None:
        """Publish one artifact of each kind."""
        progress = PrefectProgress("test", every_s=0.0)
        for done in (0, 5, 10):
            progress.progress("shards", done, 10)
        orchestration.publish_table("test-summary", [{"what": "kept", "documents": 3}], "what was kept")
        orchestration.publish_link("test-mlflow", "http://127.0.0.1/run", "the MLflow run")
        orchestration.publish_markdown("test-note", "**kept** 3")
        orchestration.publish_pictures("test-pictures", {"regret": "<svg>é</svg>"})

    show()
    with get_client(sync_client=True) as client:
        named = ArtifactFilter(key=ArtifactFilterKey(like_="test-%"))
        found = {artifact.key: artifact for artifact in client.read_artifacts(artifact_filter=named)}
    assert float(str(found["test-progress"].data)) == 100.0
    assert found["test-progress"].description == "shards: 10 of 10"
    assert found["test-summary"].type == "table"
    assert "the MLflow run" in str(found["test-mlflow"].data)
    assert found["test-note"].type == "markdown"
    held = base64.b64encode("<svg>é</svg>".encode()).decode()
    assert str(found["test-pictures"].data) == f"## regret\n\n![regret](data:image/svg+xml;base64,{held})"


def _running_task(client: object, flow_run_id: uuid.UUID) -> uuid.UUID:
    """Make a task run that is RUNNING, as a killed process leaves it."""
    from prefect import task
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.states import Running

    @task(name="shards")
    def work() -> None:
        """Do nothing."""

    assert isinstance(client, SyncPrefectClient)
    run = client.create_task_run(work, flow_run_id, dynamic_key="0", state=Running())
    return run.id
