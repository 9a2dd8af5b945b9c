"""The stage `cluster` as a Prefect task."""

from tasks.cluster.stage import run
from tasks.core.task import stage_task

cluster = stage_task("cluster", run)
