"""Each stage as a flow of its own, on what the stages before it published for the same config."""

from prefect import flow

from flows.config import PipelineConfig
from flows.run import Outcome, start_run
from tasks.cluster.task import cluster as cluster_step
from tasks.curate.task import curate as curate_step
from tasks.evaluation.task import evaluate as evaluate_step
from tasks.ingest.task import ingest as ingest_step
from tasks.mixture.task import search as search_step
from tasks.report.task import report as report_step
from tasks.tokenize.task import tokenize as tokenize_step
from tasks.training.task import train as train_step


@flow(name="ingest", flow_run_name="{config.name}", persist_result=False)
def ingest(config: PipelineConfig) -> Outcome:
    """Read the raw input into document shards of one schema."""
    with start_run("ingest", config) as run:
        return run.publish([ingest_step(run.config.params.ingest, run.place, {"raw": run.raw})])


@flow(name="curate", flow_run_name="{config.name}", persist_result=False)
def curate(config: PipelineConfig) -> Outcome:
    """Keep or drop every document, with a reason."""
    with start_run("curate", config) as run:
        return run.publish([curate_step(run.config.params.curate, run.place, run.published("ingest"))])


@flow(name="cluster", flow_run_name="{config.name}", persist_result=False)
def cluster(config: PipelineConfig) -> Outcome:
    """Group the kept documents into named domains."""
    with start_run("cluster", config) as run:
        return run.publish([cluster_step(run.config.params.cluster, run.place, run.published("curate"))])


@flow(name="tokenize", flow_run_name="{config.name}", persist_result=False)
def tokenize(config: PipelineConfig) -> Outcome:
    """Train a tokenizer and pack the domains into token shards."""
    with start_run("tokenize", config) as run:
        return run.publish([tokenize_step(run.config.params.tokenize, run.place, run.published("curate", "cluster"))])


@flow(name="search", flow_run_name="{config.name}", persist_result=False)
def search(config: PipelineConfig) -> Outcome:
    """Measure proxies and propose a recipe with its forecast."""
    with start_run("search", config) as run:
        return run.publish([search_step(run.config.params.search, run.place, run.published("tokenize"))])


@flow(name="train", flow_run_name="{config.name}", persist_result=False)
def train(config: PipelineConfig) -> Outcome:
    """Train on the recipe and on its baselines."""
    with start_run("train", config) as run:
        return run.publish([train_step(run.config.params.train, run.place, run.published("tokenize", "search"))])


@flow(name="evaluate", flow_run_name="{config.name}", persist_result=False)
def evaluate(config: PipelineConfig) -> Outcome:
    """Compare the trained models on held-out text and decide whether a claim holds."""
    with start_run("evaluate", config) as run:
        inputs = run.published("tokenize", "search", "train")
        return run.publish([evaluate_step(run.config.params.evaluate, run.place, inputs)])


@flow(name="report", flow_run_name="{config.name}", persist_result=False)
def report(config: PipelineConfig) -> Outcome:
    """Write the one page to look at."""
    with start_run("report", config) as run:
        inputs = run.published("ingest", "curate", "cluster", "tokenize", "search", "train", "evaluate")
        return run.publish([report_step(run.config.params.report, run.place, inputs)])
