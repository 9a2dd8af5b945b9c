"""Each stage as a flow of its own, on what the stages before it published for the same config."""

from prefect import Flow, flow

from flows.config import PipelineConfig
from flows.run import Outcome, start_run
from tasks.stages import stage_named


def stage_flow(name: str) -> Flow[[PipelineConfig], Outcome]:
    """Return the flow of a stage of the table."""

    @flow(name=name, description=stage_named(name).about, flow_run_name="{config.name}", persist_result=False)
    def run_stage(config: PipelineConfig) -> Outcome:
        with start_run(name, config) as run:
            return run.publish([run.stage(name)])

    return run_stage


# What prefect.yaml names.
ingest = stage_flow("ingest")
curate = stage_flow("curate")
cluster = stage_flow("cluster")
tokenize = stage_flow("tokenize")
search = stage_flow("search")
train = stage_flow("train")
evaluate = stage_flow("evaluate")
report = stage_flow("report")
