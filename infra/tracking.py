"""The tracker: runs, curves, data sets and models in MLflow, found again by lineage.

A run that is under way never fails because MLflow went away: what cannot be said is spooled to a file, in order, and
said when the server answers again (`replay`), which the tracker also tries by itself.
"""

import hashlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from infra import mlflow_calls as calls
from infra.errors import ServiceError
from infra.mlflow_calls import Curve, TrackedRun
from infra.servers.process import answers
from infra.settings import load_settings
from infra.spool import Spool

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PENDING = "pending-"
_CONTENT = frozenset({"log", "dataset", "artifact", "text", "finish"})
# After a failure the server is left alone for this long, so that an outage costs a stage one timeout and not hundreds.
_PATIENCE_S = 15.0
_SERVER_FAULTS = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "BAD_REQUEST_FROM_PROXY"}

Result = TypeVar("Result")


class _AwayError(ServiceError):
    """The server does not answer, or fails by itself: what was to be said can be said later."""


class Tracker:
    """Talks to one MLflow server. Runs are named by their id; the ids of runs that could not be made yet are pending.

    `spool` is the folder for what cannot be said; without it, `spool` in the home folder of this process's settings.
    """

    def __init__(self, uri: str, spool: Path | None = None) -> None:
        self.uri = uri.rstrip("/")
        folder = spool if spool is not None else load_settings().home / "spool"
        self._spool = Spool(folder / f"mlflow-{hashlib.sha256(self.uri.encode()).hexdigest()[:12]}.jsonl")
        self._known = _KnownRuns(self._spool.path.with_suffix(".runs.json"))
        self._children: dict[str, dict[str, TrackedRun]] = {}
        self._finished: set[str] = set()
        self._away_until = 0.0
        self._client: MlflowClient | None = None

    @property
    def unsent(self) -> int:
        """How many calls wait in the spool."""
        return len(self._spool)

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

    def parent_run(self, experiment: str, name: str, lineage_key: str, tags: Mapping[str, str] | None = None) -> str:
        """Return the id of a pipeline's run: the one this lineage already has, running again, or a new one.

        Raises:
            ServiceError: MLflow does not answer; a run starts with its tracker or not at all.
        """
        self.check()
        self.replay()
        run = self._asked(lambda client: calls.parent(client, experiment, name, lineage_key, tags or {}))
        self._known.add(run)
        return run.id

    def child_run(self, parent: str, name: str, key: str, tags: Mapping[str, str] | None = None) -> str:
        """Return the id of a child run with this key, made if there is none.

        A child that was found FINISHED holds all it was to hold: what is logged to it again is not sent.
        """
        pending = _PENDING + hashlib.sha256(f"{parent} {key}".encode()).hexdigest()[:24]
        arguments = {"parent": parent, "name": name, "key": key, "tags": dict(tags or {}), "pending": pending}
        return self._say("child", arguments) or pending

    def log(
        self,
        run: str,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        curves: Mapping[str, Curve] | None = None,
    ) -> None:
        """Log params, final metrics, and curves as (step, value) pairs."""
        lists = {name: [[step, value] for step, value in curve] for name, curve in (curves or {}).items()}
        self._say("log", {"run": run, "params": dict(params or {}), "metrics": dict(metrics or {}), "curves": lists})

    def tag(self, run: str, tags: Mapping[str, str]) -> None:
        """Set tags on a run."""
        self._say("tag", {"run": run, "tags": dict(tags)})

    def log_dataset_input(
        self, run: str, name: str, digest: str, context: str, tags: Mapping[str, str] | None = None
    ) -> None:
        """Log a dataset that the run reads: `digest` in full, `tags` such as `dvc.rev` and `dvc.md5`."""
        arguments = {"run": run, "name": name, "digest": digest, "context": context, "tags": dict(tags or {})}
        self._say("dataset", arguments)

    def log_artifact(self, run: str, path: Path, folder: str = "") -> None:
        """Store a file, or all files of a folder, with a run, under `folder` of its artifacts."""
        self._say("artifact", {"run": run, "path": str(path.absolute()), "folder": folder})

    def log_text(self, run: str, name: str, text: str) -> None:
        """Store a text with a run as an artifact, under a name such as `pictures/regret.svg`."""
        self._say("text", {"run": run, "name": name, "text": text})

    def register_model(
        self, run: str, folder: Path, name: str, aliases: Sequence[str] = (), tags: Mapping[str, str] | None = None
    ) -> str | None:
        """Register a folder of safetensors and JSON as a model version with aliases; return its number.

        The same content of the same lineage is registered once; `champion` moves by itself, to the best claim
        (`infra.mlflow_calls.register`). None: MLflow is away, and it will be registered on replay.
        """
        arguments = {"run": run, "folder": str(folder.absolute()), "name": name, "tags": dict(tags or {})}
        return self._say("register", arguments | {"aliases": list(aliases)})

    def finish(self, run: str, status: str = "FINISHED") -> None:
        """End a run as FINISHED, FAILED or KILLED."""
        self._say("finish", {"run": run, "status": status})

    def finish_after(self, error: BaseException, run: str) -> None:
        """End a run that an error ended: FAILED; or KILLED, where somebody stopped it (Ctrl-C, a signal, a cancellation)."""
        self.finish(run, "FAILED" if isinstance(error, Exception) else "KILLED")

    def kill(self, experiment: str, lineage_key: str) -> int:
        """End as KILLED all open runs of a lineage, whose process is known to be dead; return how many.

        Raises:
            ServiceError: MLflow does not answer.
        """
        self.replay()
        return self._asked(lambda client: calls.kill(client, experiment, lineage_key))

    def run_url(self, run: str) -> str:
        """Return the address of a run's page."""
        try:
            known = self._known.get(run) or self._asked(lambda client: calls.tracked(client.get_run(run)))
        except ServiceError:
            return self.uri
        return f"{self.uri}/#/experiments/{known.experiment}/runs/{known.id}"

    def replay(self) -> int:
        """Say what was spooled while the server was away; return how many calls that was.

        What cannot be said any more (a run that was deleted, a file that is gone) is set aside and told once.

        Raises:
            ServiceError: the server is away again; that call and all after it stay spooled.
        """
        delivery = self._spool.deliver(self._deliver, _AwayError)
        if delivery.rejected:
            first = delivery.rejected[0]
            told = (
                f"MLflow at {self.uri}: {len(delivery.rejected)} of the calls that waited for it cannot be delivered and "
                f"were put into {self._spool.rejected_path}; nothing else is missing. First: {first.reason[:200]}"
            )
            print(told, file=sys.stderr)
        return delivery.sent

    def _say(self, call: str, arguments: dict[str, Any]) -> str | None:
        """Do a call now if the server is there, else spool it; return what it gave."""
        if time.monotonic() < self._away_until:
            self._spool.add(call, arguments)
            return None
        try:
            self.replay()
            return self._done(call, arguments)
        except _AwayError:
            self._away_until = time.monotonic() + _PATIENCE_S
            self._spool.add(call, arguments)
            return None

    def _done(self, call: str, arguments: dict[str, Any]) -> str | None:
        known = self._known.get(arguments.get("run", ""))
        if call in _CONTENT and known is not None and known.id in self._finished:
            return None
        return self._asked(lambda client: self._call(client, call, arguments))

    def _deliver(self, call: str, arguments: dict[str, Any]) -> None:
        self._done(call, arguments)
        if call == "child":
            self._known.keep(arguments["pending"])

    def _call(self, client: "MlflowClient", call: str, arguments: dict[str, Any]) -> str | None:
        given = dict(arguments)
        if call == "child":
            return self._child(client, given)
        run = self._run(client, given.pop("run"))
        match call:
            case "log":
                calls.log(client, run, **given)
            case "tag":
                calls.tag(client, run.id, **given)
            case "dataset":
                calls.dataset_input(client, run.id, **given)
            case "artifact":
                calls.artifact(client, run.id, Path(given["path"]), given["folder"])
            case "text":
                client.log_text(run.id, given["text"], given["name"])
            case "register":
                return calls.register(client, run, Path(given.pop("folder")), **given)
            case "finish":
                client.set_terminated(run.id, given["status"])
            case _:
                raise ServiceError(f"{self._spool.path}: unknown call {call!r}; it was written by another version.")
        return None

    def _child(self, client: "MlflowClient", given: dict[str, Any]) -> str:
        above = self._run(client, given["parent"])
        if above.id not in self._children:
            self._children[above.id] = calls.children(client, above)
        siblings, key = self._children[above.id], given["key"]
        if key not in siblings:
            siblings[key] = calls.new_child(client, above, given["name"], key, given["tags"])
        elif siblings[key].status == "FINISHED":
            self._finished.add(siblings[key].id)
        elif siblings[key].status != "RUNNING":
            client.update_run(siblings[key].id, status="RUNNING")
        self._known.add(siblings[key], pending=given["pending"])
        return siblings[key].id

    def _run(self, client: "MlflowClient", run: str) -> TrackedRun:
        known = self._known.get(run)
        if known is None:
            known = calls.tracked(client.get_run(run))
            self._known.add(known)
        return known

    def _asked(self, ask: Callable[["MlflowClient"], Result]) -> Result:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException

        self._client = self._client or MlflowClient(self.uri, registry_uri=self.uri)
        try:
            return ask(self._client)
        except Exception as error:
            if isinstance(error, MlflowException) and error.error_code not in _SERVER_FAULTS:
                raise ServiceError(f"MLflow at {self.uri} refused a call: {error}") from error
            # Artifacts may go to an object store beside the server, by way of boto3.
            store = type(error).__module__.partition(".")[0] in {"boto3", "botocore", "urllib3"}
            if not store and not isinstance(error, MlflowException | RequestException):
                raise
            raise _AwayError(f"MLflow at {self.uri} does not answer: {error}. Start it: mixwright up.") from error


class _KnownRuns:
    """Runs by id, and by the pending id they had while the server was away; those are kept in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._runs: dict[str, TrackedRun] = {}

    def add(self, run: TrackedRun, pending: str | None = None) -> None:
        self._runs[run.id] = run
        if pending is not None:
            self._runs[pending] = run

    def get(self, run: str) -> TrackedRun | None:
        if run not in self._runs and run.startswith(_PENDING):
            self._runs |= self._kept()
        return self._runs.get(run)

    def keep(self, pending: str) -> None:
        """Remember what a pending id became, for trackers of other processes."""
        kept = self._kept() | {pending: self._runs[pending]}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".part")
        draft.write_text(json.dumps({name: asdict(run) for name, run in kept.items()}), encoding="utf-8")
        draft.replace(self._path)

    def _kept(self) -> dict[str, TrackedRun]:
        try:
            value = json.loads(self._path.read_text(encoding="utf-8"))
            return {name: TrackedRun(**run) for name, run in value.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            # Damaged = not there: a call for a run that nobody knows is refused by the server, and set aside.
            return {}
