"""The Prefect task of a stage: a sticker on its driver, with progress, artifacts and a run in the tracker."""

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from infra.executors import executor_of
from infra.orchestration import PrefectProgress, publish_link, publish_pictures, publish_table
from infra.progress import Observer, Observers, UnitReport
from infra.settings import load_settings
from infra.terminal import TerminalObserver
from infra.tracking import Tracker
from tasks.core.manifest import Manifest
from tasks.core.params import Params
from tasks.runtime.context import workshop_of
from tasks.stages import Driver


@dataclass(frozen=True)
class RunPlace:
    """Where a run works: its workspace, its lineage key and its run in the tracker. Small, and holds no secret."""

    workspace: Path
    lineage_key: str
    tracker_uri: str
    parent_run: str

    def folder(self, stage: str) -> Path:
        """Return the folder a stage publishes into."""
        return self.workspace / "data" / stage


@dataclass(frozen=True)
class StageResult:
    """What a stage's task hands on: where it published what, and its run in the tracker."""

    stage: str
    folder: Path
    digest: str
    tracked_run: str


@dataclass(frozen=True)
class Shown:
    """What a stage shows of its output: pictures (SVG by name), names of files of its folder, and a table by name."""

    pictures: Mapping[str, str]
    files: tuple[str, ...]
    tables: Mapping[str, list[dict[str, Any]]]


class StageTask(Protocol):
    """A stage as a step of a flow."""

    def __call__(self, params: Params, place: RunPlace, inputs: Mapping[str, Path]) -> StageResult:
        """Run the stage on its inputs, by name, and return what it published."""


def stage_task(name: str, run: Driver, show: Callable[[Path], Shown] | None = None) -> StageTask:
    """Return the Prefect task of a stage driver. Work finished before is taken from the store, not from Prefect's cache.

    `show` says what is shown of a published folder in MLflow and Prefect.
    """

    @task(name=name, task_run_name=name, cache_policy=NO_CACHE, persist_result=False)
    def step(params: Params, place: RunPlace, inputs: Mapping[str, Path]) -> StageResult:
        settings, tracker = load_settings(), Tracker(place.tracker_uri)
        tracked = tracker.child_run(place.parent_run, name, f"{place.lineage_key}/{name}", {"mixwright.stage": name})
        chosen = executor_of(settings.executor, settings.workers, settings.ray_address)
        with closing(chosen) as executor, TerminalObserver() as terminal:
            observer = Observers(terminal, PrefectProgress(name), _Tracked(tracker, tracked, place), _Logged())
            workshop = workshop_of(settings, executor, observer)
            try:
                manifest = run(params, inputs=inputs, output=place.folder(name), workshop=workshop)
            except BaseException as error:
                tracker.finish_after(error, tracked)
                raise
        if show is not None:
            _show(tracker, tracked, name, place.folder(name), show(place.folder(name)))
        _record(tracker, tracked, manifest, place, params)
        return StageResult(name, place.folder(name), manifest.output, tracked)

    return step


def _record(tracker: Tracker, tracked: str, manifest: Manifest, place: RunPlace, params: Params) -> None:
    metrics = _numbers(manifest.account.to_json() if manifest.account else {}) | _numbers(manifest.summary)
    tracker.log(tracked, params=_flat(params.model_dump(mode="json")), metrics=metrics, curves={})
    tracker.tag(tracked, {"mixwright.digest": manifest.output, "mixwright.key": manifest.key})
    tracker.log_artifact(tracked, place.folder(manifest.stage) / "manifest.json")
    tracker.finish(tracked, "FINISHED")
    publish_table(f"{manifest.stage}-summary", _table(manifest), f"{manifest.stage}: digest {manifest.output[:12]}")
    publish_link(f"{manifest.stage}-mlflow", tracker.run_url(tracked), f"MLflow run of {manifest.stage}")


def _show(tracker: Tracker, tracked: str, stage: str, folder: Path, shown: Shown) -> None:
    for name in shown.files:
        tracker.log_artifact(tracked, folder / name)
    for name, svg in shown.pictures.items():
        tracker.log_text(tracked, f"pictures/{name}.svg", svg)
    for name, rows in shown.tables.items():
        publish_table(f"{stage}-{name}", rows)
    publish_pictures(f"{stage}-pictures", shown.pictures)


class _Tracked:
    """Gives every proxy and training run a child run of its own."""

    def __init__(self, tracker: Tracker, stage_run: str, place: RunPlace) -> None:
        self._tracker, self._stage_run, self._place = tracker, stage_run, place

    def say(self, message: str) -> None:
        pass

    def progress(self, label: str, done: int, total: int) -> None:
        pass

    def unit(self, report: UnitReport) -> None:
        run = self._tracker.child_run(
            self._stage_run, report.name, f"{self._place.lineage_key}/{report.name}/{report.key}", {}
        )
        self._tracker.log(run, params=report.params, metrics=report.metrics, curves=report.curves)
        self._tracker.finish(run, "FINISHED")


class _Logged:
    """Puts the driver's sentences into the flow run's log."""

    def say(self, message: str) -> None:
        get_run_logger().info(message)

    def progress(self, label: str, done: int, total: int) -> None:
        pass

    def unit(self, report: UnitReport) -> None:
        pass


def _table(manifest: Manifest) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    if manifest.account:
        account = manifest.account
        rows += [{"what": "taken", **vars(account.taken)}, {"what": "kept", **vars(account.kept)}]
        for fate, counts in (("dropped", account.dropped), ("quarantined", account.quarantined)):
            rows += [{"what": f"{fate}: {reason}", **vars(count)} for reason, count in counts.items()]
        return rows
    return [{"what": name, "value": json.dumps(value)[:200]} for name, value in _flat(manifest.summary).items()][:60]


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            flat |= _flat(inner, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = inner
    return flat


def _numbers(value: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(number)
        for name, number in _flat(value).items()
        if isinstance(number, int | float) and not isinstance(number, bool)
    }


__all__ = ["Observer", "RunPlace", "Shown", "StageResult", "StageTask", "stage_task"]
