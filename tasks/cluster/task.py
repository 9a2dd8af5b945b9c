"""The stage `cluster` as a Prefect task."""

from tasks.core.task import stage_task
from tasks.cluster.stage import run

cluster = stage_task("cluster", run)
