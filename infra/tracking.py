"""The tracker: MLflow's runs are a projection of records of what stands finished.

A run that is under way never fails because MLflow went away. Each record (`infra.records`) is kept, then shown; one that
could not be shown waits in its file, and `catch_up` shows it later, in this process or another. Twice is as once.
"""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from infra import mlflow_calls as calls
from infra.errors import ServiceError
from infra.mlflow_calls import TrackedRun
from infra.mlflow_light import client_of
from infra.records import Records, RunRecord
from infra.servers.process import answers

if TYPE_CHECKING:
    from mlflow import MlflowClient

# After a failure the server is left alone for this long, so that an outage costs a stage one timeout and not hundreds.
_PATIENCE_S = 15.0
_SERVER_FAULTS = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "BAD_REQUEST_FROM_PROXY"}

Result = TypeVar("Result")


class _AwayError(ServiceError):
    """The server does not answer, or fails by itself: what was to be shown can be shown later."""


class Tracker:
    """Shows the records of one workspace in one experiment of one MLflow server. Runs are named by their key."""

    def __init__(self, uri: str, experiment: str, records: Path) -> None:
        self.uri = uri.rstrip("/")
        self._experiment = experiment
        self._records = Records(records)
        self._runs: dict[str, TrackedRun] = {}
        self._away_until = 0.0
        self._client: MlflowClient | None = None

    def check(self) -> None:
        """Make sure that the server answers.

        Raises:
            ServiceError: it does not; says where it was looked for and how to start it.
        """
        if not answers(f"{self.uri}/health", timeout_s=10.0):
            raise ServiceError(
                f"MLflow does not answer at {self.uri}. Start it: mixwright up. "
                "(A server elsewhere is named with MIXWRIGHT_MLFLOW__URL.)"
            )

    def start(self, key: str, name: str, parent: str | None = None, tags: Mapping[str, str] | None = None) -> None:
        """Show a run as running: a new one, or that of an earlier attempt, which keeps what it holds.

        A run below another that was finished stays so. The top run of a lineage starts with its server or not at all.

        Raises:
            ServiceError: this is a top run, and MLflow does not answer.
        """
        known = self._records.find(key)
        if parent is not None:
            if known is None or known.status != "FINISHED":
                self.put(known.changed(status="RUNNING") if known else _running(key, name, parent, tags))
            return
        self.check()
        if (found := self._call(lambda client: calls.top(client, self._experiment, key))) is None:
            self._records.forget_shown()
        else:
            self._runs[key] = found
        self._show_again(known.changed(status="RUNNING") if known else _running(key, name, parent, tags))
        self.catch_up()

    def put(self, record: RunRecord) -> None:
        """Keep a record, and show it if the server is there.

        Raises:
            ServiceError: MLflow refuses it.
            SpaceError, PlaceError: it cannot be kept.
        """
        if not self._records.put(record) or time.monotonic() < self._away_until:
            return
        try:
            self._show(record)
            if self._away_until:
                self._away_until = 0.0
                self.catch_up()
        except _AwayError:
            self._away_until = time.monotonic() + _PATIENCE_S

    def live(self, key: str, name: str, parent: str, curves: Mapping[str, calls.Curve]) -> None:
        """Show new values of a run that is under way; the same again change nothing.

        Raises:
            ServiceError: MLflow does not answer, or refuses them.
        """
        record = self._records.find(key) or _running(key, name, parent, None)
        if record.status == "FINISHED":
            return
        if time.monotonic() < self._away_until:
            raise _AwayError(f"MLflow at {self.uri} did not answer a moment ago.")
        if key not in self._runs or self._runs[key].status != "RUNNING":
            self.put(record.changed(status="RUNNING"))
        self._call(lambda client: calls.log(client, self._run(client, record), {}, {}, curves))

    def change(self, key: str, **fields: Any) -> None:
        """Put a record again with other fields."""
        if (known := self._records.find(key)) is not None:
            self.put(known.changed(**fields))

    def label(self, key: str, tags: Mapping[str, str], **fields: Any) -> None:
        """Put a record again with more tags, and other fields."""
        if (known := self._records.find(key)) is not None:
            self.put(known.changed(tags={**known.tags, **tags}, **fields))

    def end_after(self, error: BaseException, key: str) -> None:
        """End a run that an error ended: FAILED; or KILLED, where somebody stopped it (Ctrl-C, a signal, a time limit)."""
        failed = isinstance(error, Exception) and getattr(error, "exit_code", 1) != 0
        self.change(key, status="FAILED" if failed else "KILLED")

    @property
    def num_waiting(self) -> int:
        """How many records MLflow does not hold yet."""
        return len(self._records.waiting())

    def catch_up(self) -> int:
        """Show what could not be shown while the server was away; return how many records that was.

        What MLflow refuses, or what lost its file, is told once and waits no longer.

        Raises:
            ServiceError: the server is away again; what is not shown yet goes on waiting.
        """
        refused, waiting = list[str](), self._records.waiting()
        for record in waiting:
            try:
                self._show(record)
            except _AwayError:
                raise
            except (ServiceError, OSError) as error:
                refused.append(f"{record.name}: {error}")
                self._records.shown(record)
        if refused:
            print(
                f"MLflow at {self.uri}: {len(refused)} of the {len(waiting)} runs that waited for it cannot be shown in "
                f"full; nothing else is missing. First: {refused[0][:300]}",
                file=sys.stderr,
            )
        return len(waiting) - len(refused)

    def kill(self, key: str) -> int:
        """End as KILLED all open runs of a lineage, whose process is known to be dead; return how many.

        Raises:
            ServiceError: MLflow does not answer.
        """
        return self._call(lambda client: calls.kill(client, self._experiment, key))

    def run_url(self, key: str) -> str:
        """Return the address of a run's page; that of the server where the run is not shown yet."""
        if (place := self._records.place(key)) is not None:
            return f"{self.uri}/{place}"
        record = self._records.find(key)
        try:
            run = record and self._call(lambda client: self._run(client, record))
        except ServiceError:
            return self.uri
        return f"{self.uri}/{_place(run)}" if run else self.uri

    def _show_again(self, record: RunRecord) -> None:
        self._records.put(record)
        self._show(record)

    def _show(self, record: RunRecord) -> None:
        self._call(lambda client: self._project(client, record))
        self._records.shown(record, _place(self._runs[record.key]))

    def _project(self, client: "MlflowClient", record: RunRecord) -> None:
        """Write what MLflow does not hold of a record: first its content, then what labels it, then how it ended."""
        run = self._run(client, record)
        shown = {calls.CONTENT_TAG: record.content, calls.LABELS_TAG: record.labels}
        labels = {**record.tags, **calls.tables_tag(record.tables), **shown}
        if run.tags.get(calls.CONTENT_TAG) != record.content:
            calls.log(client, run, record.params, record.metrics, record.curves)
            for path in record.artifacts:
                calls.artifact(client, run.id, path)
            for name, text in record.texts.items():
                client.log_text(run.id, text, name)
            for name, rows in record.tables.items():
                calls.table(client, run.id, name, rows)
        if not labels.items() <= run.tags.items():
            for dataset in record.datasets:
                calls.dataset_input(client, run.id, dataset)
            for model in record.models:
                calls.register(client, run, model)
            calls.tag(client, run.id, labels)
        if record.status != run.status:
            calls.set_status(client, run.id, record.status)
        self._runs[record.key] = replace(run, tags={**run.tags, **labels}, status=record.status)

    def _run(self, client: "MlflowClient", record: RunRecord) -> TrackedRun:
        """Return the run of a record, made if there is none; with the runs beside it, which are looked up together."""
        if record.key in self._runs:
            return self._runs[record.key]
        if record.parent is None:
            run = calls.top(client, self._experiment, record.key) or calls.new_top(client, self._experiment, record)
        else:
            above = self._above(client, record)
            if above.id not in {run.parent for run in self._runs.values()}:
                self._runs |= calls.children(client, above)
            run = self._runs.get(record.key) or calls.new_child(client, above, record)
        self._runs[record.key] = run
        return run

    def _above(self, client: "MlflowClient", record: RunRecord) -> TrackedRun:
        above = self._records.find(str(record.parent))
        if above is None:
            raise ServiceError(f"{record.name}: there is no record of the run above it ({record.parent}).")
        return self._run(client, above)

    def _call(self, ask: Callable[["MlflowClient"], Result]) -> Result:
        self._client = self._client or client_of(self.uri)
        try:
            return ask(self._client)
        except Exception as error:
            from mlflow.exceptions import MlflowException
            from requests.exceptions import RequestException

            if isinstance(error, MlflowException) and error.error_code not in _SERVER_FAULTS:
                raise ServiceError(f"MLflow at {self.uri} refused a call: {error}") from error
            # Artifacts may go to an object store beside the server, by way of boto3.
            store = type(error).__module__.partition(".")[0] in {"boto3", "botocore", "urllib3"}
            if not store and not isinstance(error, MlflowException | RequestException):
                raise
            raise _AwayError(f"MLflow at {self.uri} does not answer: {error}. Start it: mixwright up.") from error


def _place(run: TrackedRun) -> str:
    return f"#/experiments/{run.experiment}/runs/{run.id}"


def _running(key: str, name: str, parent: str | None, tags: Mapping[str, str] | None) -> RunRecord:
    return RunRecord(key=key, name=name, parent=parent, tags=tags or {})
