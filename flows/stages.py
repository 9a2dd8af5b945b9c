"""Each stage as a flow of its own, on what the stages before it published for the same config."""

from functools import cache

from prefect import Flow, flow

from flows.config import PipelineConfig
from flows.run import Outcome, start_run
from tasks.stages import NAMES, stage_named


@cache
def stage_flow(name: str) -> Flow[[PipelineConfig], Outcome]:
    """Return the flow of a stage of the table."""

    @flow(name=name, description=stage_named(name).about, flow_run_name="{config.name}", persist_result=False)
    def run_stage(config: PipelineConfig) -> Outcome:
        with start_run(name, config) as run:
            return run.publish([run.stage(name)])

    return run_stage


def __getattr__(name: str) -> Flow[[PipelineConfig], Outcome]:
    """Return the flow that prefect.yaml names, `flows/stages.py:train`.

    It is made when it is asked for: Prefect writes down the schema of all params for each flow that is made, and
    executes this file for each deployment.
    """
    if name not in NAMES:
        raise AttributeError(f"{__name__} has no flow {name}; there are {', '.join(NAMES)}")
    return stage_flow(name)
