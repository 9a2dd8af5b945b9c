"""The Prefect task of a stage: a sticker on its driver, with progress, artifacts and a run in the tracker."""

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from infra.disk import explained
from infra.errors import InfraError
from infra.executors import executor_of
from infra.orchestration import PrefectProgress, publish_link, publish_pictures, publish_table
from infra.progress import LiveReport, Observer, Observers, SilentObserver, UnitReport
from infra.records import RunRecord
from infra.settings import Settings, load_settings
from infra.stores import store_of
from infra.terminal import TerminalObserver
from infra.tracking import Tracker
from tasks.core.errors import DamagedError
from tasks.core.manifest import Manifest
from tasks.core.params import Params
from tasks.core.sealed import read_sealed, write_sealed
from tasks.runtime.context import workshop_of
from tasks.runtime.costs import cost_metrics, cost_rows, stage_costs
from tasks.stages import Driver


@dataclass(frozen=True)
class RunPlace:
    """Where a run works: its workspace, its lineage key and where it is followed. Small, and holds no secret."""

    workspace: Path
    lineage_key: str
    experiment: str
    tracker_uri: str

    @property
    def records(self) -> Path:
        """The folder of what MLflow is to hold of this run; git and DVC leave it alone."""
        return self.workspace / ".mixwright" / "records"

    @property
    def drawings(self) -> Path:
        """The folder of what was drawn of this run's stages."""
        return self.workspace / ".mixwright" / "drawings"

    def tracker(self) -> Tracker:
        """Return the tracker of this run."""
        return Tracker(self.tracker_uri, self.experiment, self.records)

    def stage_key(self, stage: str) -> str:
        """Return the key of a stage's run in the tracker; that of the whole is the lineage key."""
        return f"{self.lineage_key}/{stage}"

    def folder(self, stage: str) -> Path:
        """Return the folder a stage publishes into."""
        return self.workspace / "data" / stage


@dataclass(frozen=True)
class StageResult:
    """What a stage's task hands on: where it published what."""

    stage: str
    folder: Path
    digest: str


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
        settings, tracker, key = load_settings(), place.tracker(), place.stage_key(name)
        tracker.start(key, name, place.lineage_key, {"mixwright.stage": name})
        chosen = executor_of(settings.executor, settings.workers, settings.ray_address)
        with closing(chosen) as executor, TerminalObserver() as terminal:
            tracked = _Tracked(tracker, key, place)
            observer = Observers(terminal, PrefectProgress(name), tracked, _Logged())
            workshop = workshop_of(settings, executor, observer)
            try:
                manifest = run(params, inputs=inputs, output=place.folder(name), workshop=workshop)
            except BaseException as error:
                tracked.end(error)
                tracker.end_after(error, key)
                raise
        shown = _shown(show, manifest, place) if show is not None else Shown({}, (), {})
        _record(tracker, manifest, place, params, shown, settings)
        _publish(tracker.run_url(key), manifest, shown)
        return StageResult(name, place.folder(name), manifest.output)

    return step


def _shown(show: Callable[[Path], Shown], manifest: Manifest, place: RunPlace) -> Shown:
    """Return what is shown of a stage; drawn once in a workspace, whose code is the same for good, for it takes seconds."""
    kept, drawn_of = place.drawings / f"{manifest.stage}.json", [manifest.key, manifest.output]
    with suppress(DamagedError):
        held = read_sealed(kept)
        if held["of"] == drawn_of:
            return Shown(held["pictures"], tuple(held["files"]), held["tables"])
    shown = show(place.folder(manifest.stage))
    with explained(kept.parent):
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_sealed(kept, {"of": drawn_of, **vars(shown)})
    return shown


def _record(
    tracker: Tracker, manifest: Manifest, place: RunPlace, params: Params, shown: Shown, settings: Settings
) -> None:
    folder, prices = place.folder(manifest.stage), settings.prices
    costs = stage_costs(store_of(settings), manifest.stage, manifest.key) or ()
    tables = {**shown.tables, "costs": cost_rows(manifest.stage, costs, prices)}
    tracker.label(
        place.stage_key(manifest.stage),
        {"mixwright.digest": manifest.output, "mixwright.key": manifest.key},
        params=_flat(params.model_dump(mode="json")),
        metrics=_numbers(manifest.account.to_json() if manifest.account else {})
        | _numbers(manifest.summary)
        | {f"cost/{name}": value for name, value in cost_metrics(costs, prices).items() if costs},
        artifacts=(folder / "manifest.json", *(folder / name for name in shown.files)),
        texts={f"pictures/{name}.svg": svg for name, svg in shown.pictures.items()},
        tables={name: tuple(rows) for name, rows in tables.items() if rows},
        status="FINISHED",
    )


def _publish(url: str, manifest: Manifest, shown: Shown) -> None:
    stage = manifest.stage
    for name, rows in shown.tables.items():
        publish_table(f"{stage}-{name}", rows)
    publish_pictures(f"{stage}-pictures", shown.pictures)
    publish_table(f"{stage}-summary", _table(manifest), f"{stage}: digest {manifest.output[:12]}")
    publish_link(f"{stage}-mlflow", url, f"MLflow run of {stage}")


class _Tracked(SilentObserver):
    """Gives every proxy and training run a child run of its own."""

    def __init__(self, tracker: Tracker, stage_key: str, place: RunPlace) -> None:
        self._tracker, self._stage_key, self._place = tracker, stage_key, place
        # Live values come in a thread of their own.
        self._one_at_a_time = threading.Lock()
        self._under_way = set[str]()
        # What MLflow did not take while it was away stands in the record of the finished run.
        self._not_shown: dict[str, dict[str, dict[int, float]]] = {}

    def unit(self, report: UnitReport) -> None:
        key = self._key(report)
        with self._one_at_a_time:
            late = {name: tuple(curve.items()) for name, curve in self._not_shown.pop(key, {}).items()}
            record = RunRecord(
                key=key,
                name=report.name,
                parent=self._stage_key,
                status="FINISHED",
                params=report.params,
                metrics=report.metrics,
                curves=late | {name: tuple(curve) for name, curve in report.curves.items()},
            )
            self._under_way.discard(key)
            self._tracker.put(record)

    def live(self, report: LiveReport) -> None:
        key = self._key(report)
        with self._one_at_a_time:
            self._under_way.add(key)
            try:
                self._tracker.live(key, report.name, self._stage_key, report.curves)
            except InfraError:
                late = self._not_shown.setdefault(key, {})
                for name, curve in report.curves.items():
                    late.setdefault(name, {}).update(curve)
                raise
            self._not_shown.pop(key, None)

    def end(self, error: BaseException) -> None:
        """End the runs that were under way when an error ended their stage."""
        for key in sorted(self._under_way):
            self._tracker.end_after(error, key)

    def _key(self, report: UnitReport | LiveReport) -> str:
        return f"{self._place.lineage_key}/{report.name}/{report.key}"


class _Logged(SilentObserver):
    """Puts the driver's sentences into the flow run's log."""

    def say(self, message: str) -> None:
        get_run_logger().info(message)


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
    """Return what MLflow can sort by; true is 1."""
    return {name: float(number) for name, number in _flat(value).items() if isinstance(number, int | float)}


__all__ = ["Observer", "RunPlace", "Shown", "StageResult", "StageTask", "stage_task"]
