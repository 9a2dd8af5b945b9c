"""The stage `report` as a Prefect task."""

from tasks.core.task import stage_task
from tasks.report.stage import run

report = stage_task("report", run)
