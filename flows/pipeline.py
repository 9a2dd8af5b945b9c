"""The main job: from raw text to a model trained on the best mixture found, and the evidence for it."""

from prefect import flow

from flows.config import PipelineConfig
from flows.run import Outcome, start_run


@flow(name="pipeline", flow_run_name="{config.name}", validate_parameters=True, persist_result=False)
def pipeline(config: PipelineConfig) -> Outcome:
    """From raw text to a model trained on the best mixture found, and the evidence for it.

    What each stage reads of the stages before it stands in tasks/stages.py.
    """
    with start_run("pipeline", config) as run:
        # 1. What there is: every document kept or dropped with a reason, then grouped into domains and counted in tokens.
        documents = run.stage("ingest")
        pool = run.stage("curate")
        domains = run.stage("cluster")
        tokens = run.stage("tokenize")
        # 2. What to train on: proxies measure, a predictor generalises, a recipe with its forecast comes out.
        recipe = run.stage("search")
        # 3. Train on it, and on what it must beat, with the same tokens and seeds.
        models = run.stage("train")
        # 4. Did the forecast come true, and is the difference real?
        decision = run.stage("evaluate")
        # 5. One page to look at, then one version of everything.
        page = run.stage("report")
        return run.publish([documents, pool, domains, tokens, recipe, models, decision, page])
