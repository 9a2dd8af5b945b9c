"""What the UI's form and `prefect deployment run` send: mistakes are refused before any stage."""

from uuid import UUID

import pytest

from infra.settings import Settings


@pytest.fixture
def pipeline_deployment(connected: Settings, deployed: Settings) -> UUID:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return client.read_deployment_by_name("pipeline/local").id


@pytest.mark.parametrize(
    "config",
    [
        {"nam": "demo"},
        {"name": "demo", "params": {"search": {"num_runs": "many"}}},
        {"name": "demo", "params": {"curate": {"no_such_rule": 1}}},
    ],
)
def test_a_schema_error_is_refused_at_submission(pipeline_deployment: UUID, config: dict[str, object]) -> None:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectHTTPStatusError

    with get_client(sync_client=True) as client, pytest.raises(PrefectHTTPStatusError, match=r"409|422"):
        client.create_flow_run_from_deployment(pipeline_deployment, parameters={"config": config})


def test_params_that_contradict_each_other_fail_before_any_stage(connected: Settings) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter

    from flows.pipeline import pipeline

    state = pipeline({"name": "contradiction", "params": {"search": {"target_tokens": 4096}}}, return_state=True)
    assert state.is_failed() and "target_tokens" in str(state.message)
    run = FlowRunFilter.model_validate({"id": {"any_": [state.state_details.flow_run_id]}})
    with get_client(sync_client=True) as client:
        assert client.read_task_runs(flow_run_filter=run) == []
