"""The stage `train` as a Prefect task."""

from tasks.core.task import stage_task
from tasks.training.stage import run

train = stage_task("train", run)
