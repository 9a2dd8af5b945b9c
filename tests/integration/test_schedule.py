"""The whole way of a schedule: server, scheduler, work pool, worker, process, COMPLETED.

With SQLAlchemy 2.1 Prefect's scheduler dies silently: the UI works and no scheduled run ever starts. This test sees it.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from infra.servers import bootstrap, process
from infra.servers.services import worker
from infra.settings import Settings

FLOW = '''"""A flow that leaves a mark."""
from pathlib import Path

from prefect import flow


@flow(name="every-minute")
def every_minute(mark: str) -> None:
    """Write where this ran."""
    Path(mark).write_text(str(Path.cwd()))
'''
PREFECT_YAML = """
name: schedule
build:
  - prefect.deployments.steps.run_shell_script: {{id: checkout, script: pwd, stream_output: false}}
pull:
  - prefect.deployments.steps.set_working_directory: {{directory: "{{{{ checkout.stdout }}}}"}}
deployments:
  - name: local
    entrypoint: flow.py:every_minute
    parameters: {{mark: "{mark}"}}
    work_pool: {{name: local-process}}
    schedules: [{{slug: minute, cron: "* * * * *", timezone: UTC, active: true}}]
"""


@pytest.fixture
def every_minute(connected: Settings, pooled: Settings, tmp_path: Path) -> Iterator[tuple[UUID, Path]]:
    """A deployment that runs every minute, and the mark that it leaves; a worker waits for it."""
    from prefect.client.orchestration import get_client

    mark = tmp_path / "mark"
    (tmp_path / "flow.py").write_text(FLOW)
    (tmp_path / "prefect.yaml").write_text(PREFECT_YAML.format(mark=mark))
    service = worker(connected)
    process.start(service)
    bootstrap.deploy(connected, lambda _: None, tmp_path / "prefect.yaml")
    process.wait_ready(service, 60, lambda _: None)
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("every-minute/local").id
        yield deployment, mark
        client.delete_deployment(deployment)
    process.stop(service, 10)


@pytest.mark.ray
@pytest.mark.dvc
def test_an_active_every_minute_deployment_ends_in_a_completed_scheduled_run(
    every_minute: tuple[UUID, Path], request: pytest.FixtureRequest
) -> None:
    from prefect.client.orchestration import get_client

    # Other tests need this run anyway; the minute passes meanwhile (tests/conftest.py lets this test begin).
    request.getfixturevalue("pipeline_run")
    deployment, mark = every_minute
    with get_client(sync_client=True) as client:
        run = _completed_run(client, deployment, time.monotonic() + 150)
    assert run.auto_scheduled
    assert mark.read_text() == str(mark.parent)


def _completed_run(client, deployment_id, deadline: float):  # type: ignore[no-untyped-def]
    from prefect.client.schemas.filters import FlowRunFilter

    mine = FlowRunFilter.model_validate({"deployment_id": {"any_": [deployment_id]}})
    while True:
        runs = client.read_flow_runs(flow_run_filter=mine)
        ended = [run for run in runs if run.state and run.state.is_final()]
        if ended:
            assert ended[0].state_name == "Completed", ended[0].state
            return ended[0]
        assert time.monotonic() < deadline, [(run.state_name, run.expected_start_time) for run in runs]
        time.sleep(1)
