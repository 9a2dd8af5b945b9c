"""The stage `curate` as a Prefect task."""

from tasks.core.task import stage_task
from tasks.curate.stage import run

curate = stage_task("curate", run)
