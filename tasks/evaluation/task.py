"""The stage `evaluate` as a Prefect task."""

from tasks.core.task import stage_task
from tasks.evaluation.stage import run

evaluate = stage_task("evaluate", run)
