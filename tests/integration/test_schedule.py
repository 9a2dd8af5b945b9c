"""The whole way of a schedule: server, scheduler, work pool, worker, process, COMPLETED.

With SQLAlchemy 2.1 Prefect's scheduler dies silently: the UI works and no scheduled run ever starts. This test sees it.
"""

import time
from collections.abc import Iterator
from pathlib import Path

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
def live_worker(connected: Settings) -> Iterator[Settings]:
    """The live servers with their work pool and a worker."""
    bootstrap.create_pool_and_automation(connected, lambda _: None)
    service = worker(connected)
    process.start(service)
    process.wait_ready(service, 60, lambda _: None)
    yield connected
    process.stop(service, 10)


def test_an_active_every_minute_deployment_ends_in_a_completed_scheduled_run(
    live_worker: Settings, tmp_path: Path
) -> None:
    from prefect.client.orchestration import get_client

    mark = tmp_path / "mark"
    (tmp_path / "flow.py").write_text(FLOW)
    (tmp_path / "prefect.yaml").write_text(PREFECT_YAML.format(mark=mark))
    bootstrap.deploy(live_worker, lambda _: None, tmp_path / "prefect.yaml")
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("every-minute/local")
        try:
            run = _completed_run(client, deployment.id, time.monotonic() + 150)
        finally:
            client.delete_deployment(deployment.id)
    assert run.auto_scheduled
    assert mark.read_text() == str(tmp_path)


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
