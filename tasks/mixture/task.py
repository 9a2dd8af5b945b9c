"""The stage `search` as a Prefect task."""

from pathlib import Path

from tasks.core.task import Shown, stage_task
from tasks.mixture.outcome import FILES
from tasks.mixture.stage import run
from tasks.report.gallery import best_mixtures, search_pictures


def _show(folder: Path) -> Shown:
    return Shown(search_pictures(folder), FILES, {"best-mixtures": best_mixtures(folder)})


search = stage_task("search", run, _show)
