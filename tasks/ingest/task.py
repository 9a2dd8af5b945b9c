"""The stage `ingest` as a Prefect task."""

from tasks.core.task import stage_task
from tasks.ingest.stage import run

ingest = stage_task("ingest", run)
