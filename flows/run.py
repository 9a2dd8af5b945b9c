"""The life of a run: a workspace of its own, one lineage key everywhere, and one version at the end."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from flows.closing import closing_table
from flows.config import PipelineConfig, require_files, require_tasks, resolved_params
from flows.headline import headline_metrics, headline_params, headline_tables, run_costs
from infra.disk import require_space
from infra.folders import place as place_file
from infra.mlflow_calls import CLAIM_TAG, GAIN_LOWER_TAG
from infra.open_runs import OpenRun, close_left_open, noted
from infra.orchestration import publish_link, publish_markdown, reap, tag_flow_run
from infra.progress import told_while
from infra.ray_executor import ray_closed_after
from infra.records import Dataset, Model
from infra.settings import Settings, load_settings, project_root
from infra.stores import store_of
from infra.terminal import TerminalObserver
from infra.tracking import Tracker
from infra.versions import (
    Version,
    Workspace,
    add_raw,
    commit_raw,
    commit_run,
    commit_stages,
    dvc_hashes,
    open_workspace,
    write_params,
)
from tasks.core.digest import digest_json, digest_sources
from tasks.core.errors import DataError, ForeignCodeError
from tasks.core.manifest import Manifest
from tasks.evaluation.published import Decision
from tasks.ingest.snapshot import RawInput, place_raw, raw_input
from tasks.mixture.published import Recipe
from tasks.runtime.command import decided_once
from tasks.runtime.stages import run_stage
from tasks.runtime.task import RunPlace, StageResult, stage_task
from tasks.stages import NAMES, RAW, stage_named
from tasks.training.published import EXPORT_FOLDER
from tasks.training.worlds import require_shared

PIPELINE = "pipeline"
# Bytes a run writes per byte of raw input: 20 in the demo, whose input is compressed five times (measured), and room.
_SPACE_PER_RAW_BYTE = 40


@dataclass(frozen=True)
class Outcome:
    """What a flow ends with: digests of the stages it ran, where they are, and the version, if it made one."""

    name: str
    lineage_key: str
    workspace: str
    digests: dict[str, str]
    version: str | None
    tracked_run: str
    report: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as a JSON value."""
        return asdict(self)


@dataclass(frozen=True)
class PipelineRun:
    """A run under way; everything in its config is decided."""

    step: str
    config: PipelineConfig
    settings: Settings
    workspace: Workspace
    place: RunPlace
    raw: Path

    def stage(self, name: str) -> StageResult:
        """Run a stage of the table as a Prefect task, on what the stages before it published in this run's workspace.

        Raises:
            DataError: a stage that it reads has not been run for this config; names it.
        """
        stage = stage_named(name)
        inputs = {each: self.raw if each == RAW else self._published(each, name) for each in stage.inputs}
        params, extras = self.config.params.section(name), stage.load_extras()
        refuse = extras.refuse and partial(extras.refuse, params, self.config.params.section)
        task = stage_task(name, partial(run_stage, stage, refuse=refuse), extras.show)
        return task(params, self.place, inputs)

    def _published(self, stage: str, needed_by: str) -> Path:
        folder = self.place.folder(stage)
        try:
            Manifest.read(folder)
        except DataError as error:
            raise DataError(f"{needed_by} needs {stage}, which has not finished for this config. {error}") from error
        return folder

    def publish(self, results: Sequence[StageResult]) -> Outcome:
        """Record what the stages made: in DVC, as an immutable version if this is the whole pipeline, and in MLflow."""
        tracker, name = self.place.tracker(), self.config.name
        for result in results:
            # What is recorded is what was published: a version is for good.
            Manifest.read(result.folder).verify(result.folder)
        version = None
        if self.step == PIPELINE:
            message = f"{name}: {self.place.lineage_key[:12]}"
            with TerminalObserver() as terminal, told_while(terminal.say, "recording the version in DVC and git"):
                version = commit_run(self.workspace, name, message, remote=self.settings.dvc.remote)
            _label_stages(tracker, self.place, self.workspace, version, results)
            _label_run(tracker, self.place, self.config, version)
            publish_markdown(f"{name}-decision", f"```\n{closing_table(self.workspace.path / 'data')}\n```")
        else:
            commit_stages(self.workspace, [result.stage for result in results])
            tracker.change(self.place.lineage_key, status="FINISHED")
        page = self.place.folder("report") / "report.html"
        return Outcome(
            name=name,
            lineage_key=self.place.lineage_key,
            workspace=str(self.workspace.path),
            digests={result.stage: result.digest for result in results},
            version=version.tag if version else None,
            tracked_run=tracker.run_url(self.place.lineage_key),
            report=str(page) if page.is_file() else None,
        )


@contextmanager
def start_run(step: str, config: PipelineConfig) -> Iterator[PipelineRun]:
    """Open the workspace of this config, put its params and raw input there, and follow the run in MLflow.

    The same config, input and code come back to the same workspace: what was finished there is not done again.
    """
    settings = load_settings()
    close_left_open(settings)
    require_files(config.params)
    require_tasks(config.params)
    if step in {PIPELINE, "train"}:
        require_shared(resolved_params(config.params).train.training, settings.world_size)
    with TerminalObserver() as terminal:
        raw = raw_input(config.inputs, settings.home, config.params.ingest, partial(terminal.progress, "raw input"))
    require_space(settings.home, _SPACE_PER_RAW_BYTE * raw.bytes)
    # Decided before anything is named after it, and as it was the first time: a run that goes on elsewhere stays the same.
    params = decided_once(config.params, resolved_params, settings.home, lineage_key(config, raw))
    config = config.model_copy(update={"params": params})
    key = lineage_key(config, raw)
    with open_workspace(project_root(), settings.home, name=config.name, key=key) as workspace, ExitStack() as stack:
        place = RunPlace(workspace.path, key, config.name, settings.mlflow.tracking_uri)
        stack.enter_context(ray_closed_after())
        stack.enter_context(noted(settings.home, _open_run(place)))
        _require_same_code(workspace)
        write_params(workspace, params_text(config))
        data = workspace.path / "data"
        if place_raw(raw, data / "raw", place_file) or not (data / "raw.dvc").is_file():
            add_raw(workspace)
            commit_raw(workspace, config.name)
        tracker = place.tracker()
        tracker.start(key, f"{config.name}-{key[:8]}", tags={"mixwright.workspace": workspace.path.name})
        # The lease on the workspace is held here: any other open run of this lineage belongs to a killed process.
        reap(key, keep=tag_flow_run(key))
        publish_link(f"{config.name}-run", tracker.run_url(key), "This run in MLflow")
        try:
            yield PipelineRun(step, config, settings, workspace, place, data / "raw")
        except BaseException as error:
            tracker.end_after(error, key)
            raise


def lineage_key(config: PipelineConfig, raw: RawInput) -> str:
    """Return the one key that joins a run's workspace, manifests, Prefect run, MLflow run and version."""
    params = config.params.model_dump(mode="json")
    return digest_json({"params": params, "raw": raw.digest, "code": digest_sources()})


def _require_same_code(workspace: Workspace) -> None:
    """Refuse a run whose code was edited between its import and the snapshot that the version will hold."""
    if digest_sources(workspace.path) != digest_sources():
        raise ForeignCodeError(
            f"{workspace.path}: the code of this workspace is not the code that was imported from {project_root()}; it was "
            "edited a moment ago. Start the same command again."
        )


def params_text(config: PipelineConfig) -> str:
    """Return `params.yaml` for a config: every section in full, so that nothing depends on a default elsewhere."""
    return yaml.safe_dump(config.params.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _open_run(place: RunPlace) -> OpenRun:
    return OpenRun(place.workspace.name, place.lineage_key, place.experiment, place.tracker_uri, str(place.records))


def _label_stages(
    tracker: Tracker, place: RunPlace, workspace: Workspace, version: Version, results: Sequence[StageResult]
) -> None:
    hashes = dvc_hashes(workspace.path)

    def tags(folder: str) -> dict[str, str]:
        return {"dvc.rev": version.tag, "dvc.md5": hashes.get(f"data/{folder}", "")}

    for result in results:
        inputs = Manifest.read(result.folder).inputs
        datasets = tuple(
            Dataset(name=name, digest=digest, context=result.stage, tags=tags(name)) for name, digest in inputs.items()
        )
        tracker.label(place.stage_key(result.stage), tags(result.stage), datasets=datasets)


def _label_run(tracker: Tracker, place: RunPlace, config: PipelineConfig, version: Version) -> None:
    model = Model(
        name=f"mixwright-{config.name}",
        folder=place.folder("train") / EXPORT_FOLDER,
        aliases=("newest",),
        tags={"dvc.rev": version.tag, **_evidence(place.folder("evaluate"))},
    )
    settings, data = load_settings(), place.workspace / "data"
    costs, cost_table = run_costs(store_of(settings), map(place.folder, NAMES), settings.prices)
    tracker.label(
        place.lineage_key,
        {"dvc.rev": version.tag, "git.commit": version.commit},
        params=headline_params(config.params),
        metrics=headline_metrics(data) | costs,
        tables={**headline_tables(data), "costs": cost_table},
        artifacts=(place.folder("report") / "report.html", place.folder("search") / Recipe.FILE),
        models=(model,),
        status="FINISHED",
    )


def _evidence(evaluated: Path) -> dict[str, str]:
    """Return what a model version says about the decision of its run: whether it claims a gain, and how sure that is."""
    decision = Decision.read(evaluated)
    first = decision.comparisons[decision.baseline]
    gained = {"mixwright.gain": first.gain, GAIN_LOWER_TAG: first.lower}
    measured = {name: repr(value) for name, value in gained.items() if value is not None}
    return {CLAIM_TAG: str(decision.claim).lower(), "mixwright.baseline": decision.baseline, **measured}
