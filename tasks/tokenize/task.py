"""The stage `tokenize` as a Prefect task."""

from tasks.core.task import stage_task
from tasks.tokenize.stage import run

tokenize = stage_task("tokenize", run)
