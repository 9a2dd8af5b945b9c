"""The main job: from raw text to a model trained on the best mixture found, and the evidence for it."""

from prefect import flow

from flows.config import PipelineConfig
from flows.run import Outcome, start_run
from tasks.cluster.task import cluster
from tasks.curate.task import curate
from tasks.evaluation.task import evaluate
from tasks.ingest.task import ingest
from tasks.mixture.task import search
from tasks.report.task import report
from tasks.tokenize.task import tokenize
from tasks.training.task import train


@flow(name="pipeline", flow_run_name="{config.name}", validate_parameters=True, persist_result=False)
def pipeline(config: PipelineConfig) -> Outcome:
    """From raw text to a model trained on the best mixture found, and the evidence for it."""
    with start_run("pipeline", config) as run:
        params, place = run.config.params, run.place
        # 1. What there is: every document kept or dropped with a reason, then grouped into domains and counted in tokens.
        documents = ingest(params.ingest, place, {"raw": run.raw})
        pool = curate(params.curate, place, {"ingest": documents})
        domains = cluster(params.cluster, place, {"curate": pool})
        tokens = tokenize(params.tokenize, place, {"curate": pool, "cluster": domains})
        # 2. What to train on: proxies measure, a predictor generalises, a recipe with its forecast comes out.
        recipe = search(params.search, place, {"tokenize": tokens})
        # 3. Train on it, and on what it must beat, with the same tokens and seeds.
        models = train(params.train, place, {"tokenize": tokens, "search": recipe})
        # 4. Did the forecast come true, and is the difference real?
        evidence = {"tokenize": tokens, "search": recipe, "train": models}
        decision = evaluate(params.evaluate, place, evidence)
        # 5. One page to look at, then one version of everything.
        story = {"ingest": documents, "curate": pool, "cluster": domains, "evaluate": decision, **evidence}
        page = report(params.report, place, story)
        return run.publish([documents, pool, domains, tokens, recipe, models, decision, page])
