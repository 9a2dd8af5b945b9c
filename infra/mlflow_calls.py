"""What is said to MLflow, each call such that saying it twice is saying it once.

Explicit run ids and `MlflowClient` only: no active run, no thread-local state. Runs are found again by a tag.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.records import Dataset, Model, RunRecord, Status

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run
    from mlflow.entities.model_registry import ModelVersion

KEY_TAG = "mixwright.lineage"
DIGEST_TAG = "mixwright.digest"
# Of a run: the digests of the content and of the labels that it holds in full (`RunRecord`).
CONTENT_TAG = "mixwright.content"
LABELS_TAG = "mixwright.labels"
# Of a model version: whether its run claimed a gain ("true"), and the lower end of that gain's interval.
CLAIM_TAG = "mixwright.claim"
GAIN_LOWER_TAG = "mixwright.gain_lower"
CHAMPION = "champion"
# Of a run: which of its artifacts are shown as tables.
TABLES_TAG = "mlflow.loggedArtifacts"
_PARENT_TAG = "mlflow.parentRunId"
# MLflow's own limits (mlflow.utils.validation, 3.17).
_PARAMS_PER_BATCH = 100
_METRICS_PER_BATCH = 1000
_PARAM_LENGTH = 6000
_DATASET_DIGEST_LENGTH = 36

Curve = Sequence[tuple[int, float]]


@dataclass(frozen=True)
class TrackedRun:
    """A run as MLflow knows it. `started_ms` is the clock of its metrics, so that logging again changes nothing."""

    id: str
    experiment: str
    key: str
    started_ms: int
    status: str
    parent: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


def tracked(run: "Run") -> TrackedRun:
    """Return what has to be known of a run."""
    info, tags = run.info, {name: str(value) for name, value in run.data.tags.items()}
    return TrackedRun(
        id=info.run_id,
        experiment=info.experiment_id,
        key=tags.get(KEY_TAG, ""),
        started_ms=int(info.start_time),
        status=str(info.status),
        parent=tags.get(_PARENT_TAG, ""),
        tags=tags,
    )


def experiment_id(client: "MlflowClient", name: str) -> str:
    """Return the id of an experiment, made if it is not there; a deleted one is brought back."""
    found = client.get_experiment_by_name(name)
    if found is None:
        from mlflow.exceptions import MlflowException

        try:
            return str(client.create_experiment(name, tags={"mlflow.experimentKind": "custom_model_development"}))
        except MlflowException:
            # Another process made it in between; if not, the reason is raised here.
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def top(client: "MlflowClient", experiment: str, key: str) -> TrackedRun | None:
    """Return the top run of a lineage: that of the first attempt; None where there is none."""
    place = experiment_id(client, experiment)
    query = f"tags.`{KEY_TAG}` = '{key}'"
    found = client.search_runs([place], query, max_results=1, order_by=["attributes.start_time ASC"])
    return tracked(found[0]) if found else None


def new_top(client: "MlflowClient", experiment: str, record: RunRecord) -> TrackedRun:
    """Make the top run of a lineage."""
    tags = {**record.tags, KEY_TAG: record.key}
    return tracked(client.create_run(experiment_id(client, experiment), tags=tags, run_name=record.name))


def new_child(client: "MlflowClient", above: TrackedRun, record: RunRecord) -> TrackedRun:
    """Make a run below another."""
    tags = {**record.tags, KEY_TAG: record.key, _PARENT_TAG: above.id}
    return tracked(client.create_run(above.experiment, tags=tags, run_name=record.name))


def set_status(client: "MlflowClient", run: str, status: Status) -> None:
    """End a run, or let it run again."""
    if status == "RUNNING":
        client.update_run(run, status=status)
    else:
        client.set_terminated(run, status)


def children(client: "MlflowClient", run: TrackedRun) -> dict[str, TrackedRun]:
    """Return the child runs of a run by key."""
    query, token = f"tags.`{_PARENT_TAG}` = '{run.id}'", None
    found: dict[str, TrackedRun] = {}
    while True:
        page = client.search_runs([run.experiment], query, max_results=1000, page_token=token)
        found |= {child.key: child for child in map(tracked, page)}
        token = page.token
        if not token:
            return found


def kill(client: "MlflowClient", experiment: str, key: str) -> int:
    """End as KILLED what is RUNNING of a lineage: its top run and all below it; return how many runs that were."""
    place = client.get_experiment_by_name(experiment)
    if place is None:
        return 0
    found = client.search_runs([place.experiment_id], f"tags.`{KEY_TAG}` = '{key}'")
    killed, left = 0, [tracked(run) for run in found]
    while left:
        run = left.pop()
        left += children(client, run).values()
        if run.status == "RUNNING":
            client.set_terminated(run.id, "KILLED")
            killed += 1
    return killed


def log(
    client: "MlflowClient",
    run: TrackedRun,
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
    curves: Mapping[str, Curve],
) -> None:
    """Log params, final metrics and curves in as few calls as the limits allow."""
    from mlflow.entities import Param

    entries = [Param(_name(name), _param_text(value)) for name, value in params.items()]
    points = list(_points(run.started_ms, metrics, curves))
    while entries or points:
        first, entries = entries[:_PARAMS_PER_BATCH], entries[_PARAMS_PER_BATCH:]
        room = _METRICS_PER_BATCH - len(first)
        batch, points = points[:room], points[room:]
        client.log_batch(run.id, metrics=batch, params=first)


def tag(client: "MlflowClient", run: str, tags: Mapping[str, str]) -> None:
    """Set tags on a run."""
    from mlflow.entities import RunTag

    client.log_batch(run, tags=[RunTag(name, str(value)) for name, value in tags.items()])


def dataset_input(client: "MlflowClient", run: str, given: Dataset) -> None:
    """Log a dataset that a run reads, without loading it; the full digest goes into the tags."""
    from mlflow.entities import Dataset as Entity
    from mlflow.entities import DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    # "code" is the source type of data that MLflow itself never reads; its tags are shown with it.
    source = json.dumps({"tags": {DIGEST_TAG: given.digest, **given.tags}})
    dataset = Entity(given.name, given.digest[:_DATASET_DIGEST_LENGTH], source_type="code", source=source)
    labels = {MLFLOW_DATASET_CONTEXT: given.context, DIGEST_TAG: given.digest, **given.tags}
    inputs = DatasetInput(dataset, [InputTag(key, value) for key, value in labels.items()])
    client.log_inputs(run, datasets=[inputs])


def artifact(client: "MlflowClient", run: str, path: Path) -> None:
    """Store a file with a run, or all files of a folder under its name."""
    if path.is_dir():
        client.log_artifacts(run, str(path), path.name)
    else:
        client.log_artifact(run, str(path))


def table(client: "MlflowClient", run: str, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store rows as MLflow's `log_table` does, which needs pandas; a cell that a row does not have is empty."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = json.dumps({"columns": columns, "data": [[row.get(column) for column in columns] for row in rows]})
    client.log_text(run, text, _table_path(name))


def tables_tag(names: Iterable[str]) -> dict[str, str]:
    """Return the tag that says which artifacts of a run are tables; none for none."""
    paths = [{"path": _table_path(name), "type": "table"} for name in names]
    return {TABLES_TAG: json.dumps(paths)} if paths else {}


def _table_path(name: str) -> str:
    return f"tables/{name}.json"


def register(client: "MlflowClient", run: TrackedRun, model: Model) -> str:
    """Register a folder (safetensors and JSON, nothing pickled) as a model version; return its number.

    There is one version per content and lineage: another run that comes to the same bytes has decided by itself, on
    evidence of its own. The same run again finds its version, whose tags are set anew; the aliases move to it.
    `champion` is never given by hand: it is the version with the best claim (`best_claim`), and absent without one.
    """
    digest = model.tags.get(DIGEST_TAG) or _folder_digest(model.folder)
    tags = {**model.tags, DIGEST_TAG: digest, KEY_TAG: run.key}
    found = [version for version in _versions(client, model.name) if tags.items() >= _identity(version).items()]
    version = str(found[0].version) if found else _new_version(client, run, model.folder, model.name, tags)
    for key, value in tags.items() if found else ():
        client.set_model_version_tag(model.name, version, key, str(value))
    for alias in model.aliases:
        client.set_registered_model_alias(model.name, alias, version)
    _crown(client, model.name)
    return version


def best_claim(tags: Mapping[int, Mapping[str, str]]) -> int | None:
    """Return which of a model's versions made the best claim, from the tags of each; None where none made any.

    The best is what was shown to gain most: the largest lower end of the interval over the baseline. Of equals it is the
    newest. What made no claim is never the best, however large its measured gain.

    >>> best_claim({1: {"mixwright.claim": "true", "mixwright.gain_lower": "0.02"}, 2: {"mixwright.claim": "false"}})
    1
    """
    claims = {
        number: float(version.get(GAIN_LOWER_TAG, "-inf"))
        for number, version in tags.items()
        if version.get(CLAIM_TAG) == "true"
    }
    return max(claims, key=lambda number: (claims[number], number), default=None)


def _crown(client: "MlflowClient", name: str) -> None:
    """Move `champion` to the best claim; take it away where nothing ever made one."""
    best = best_claim({int(version.version): version.tags for version in _versions(client, name)})
    if best is not None:
        client.set_registered_model_alias(name, CHAMPION, str(best))
    elif CHAMPION in client.get_registered_model(name).aliases:
        client.delete_registered_model_alias(name, CHAMPION)


def _versions(client: "MlflowClient", name: str) -> list["ModelVersion"]:
    found: list[ModelVersion] = []
    token = None
    while True:
        page = client.search_model_versions(f"name = '{name}'", max_results=1000, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _identity(version: "ModelVersion") -> dict[str, str]:
    return {key: version.tags.get(key, "") for key in (DIGEST_TAG, KEY_TAG)}


def _new_version(client: "MlflowClient", run: TrackedRun, folder: Path, name: str, tags: Mapping[str, str]) -> str:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    model = client.create_logged_model(run.experiment, name=name, source_run_id=run.id, tags=dict(tags))
    client.log_model_artifacts(model.model_id, str(folder))
    client.finalize_logged_model(model.model_id, "READY")
    version = client.create_model_version(
        name,
        source=f"models:/{model.model_id}",
        run_id=run.id,
        model_id=model.model_id,
        tags=dict(tags),
        await_creation_for=0,
    )
    return str(version.version)


def _points(started_ms: int, metrics: Mapping[str, float], curves: Mapping[str, Curve]) -> Iterator["Metric"]:
    from mlflow.entities import Metric

    for name, value in metrics.items():
        yield Metric(_name(name), float(value), started_ms, 0)
    for name, curve in curves.items():
        for step, value in curve:
            yield Metric(_name(name), float(value), started_ms + step, step)


def _name(name: str) -> str:
    """MLflow's names hold letters, digits and `_-./: `; anything else is written as `_`."""
    return re.sub(r"[^\w\-./: ]", "_", name)


def _param_text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    if len(text) <= _PARAM_LENGTH:
        return text
    mark = f"... ({len(text)} characters, sha256 {hashlib.sha256(text.encode()).hexdigest()})"
    return text[: _PARAM_LENGTH - len(mark)] + mark


def _folder_digest(folder: Path) -> str:
    state = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        state.update(path.relative_to(folder).as_posix().encode() + b"\0")
        state.update(hashlib.sha256(path.read_bytes()).digest())
    return state.hexdigest()
