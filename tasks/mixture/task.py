"""The stage `search` as a Prefect task."""

from tasks.core.task import stage_task
from tasks.mixture.stage import run

search = stage_task("search", run)
