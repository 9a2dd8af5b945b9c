"""Runs that are under way on this machine: a note for each, so that a later process closes what was left open.

A note goes with its run, unless MLflow was away when that ended: then it stays and says so. One whose lease can be taken is
that of a process that is gone: what MLflow does not hold yet is shown there, and where the process was killed, its runs in
MLflow end as KILLED, its flow runs and their tasks in Prefect as CRASHED.
"""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from infra.disk import explained
from infra.errors import InfraError, LeaseError
from infra.leases import holder_host, lease
from infra.orchestration import reap
from infra.servers.environment import apply_client_environment
from infra.servers.process import answers
from infra.settings import Settings
from infra.tracking import Tracker

_PATIENCE_S = 2.0


@dataclass(frozen=True)
class OpenRun:
    """What has to be known of a run to close it: the workspace it holds, its lineage, and where it is followed.

    `records` is the folder of what MLflow is to hold of it. `ended`: it ended in order, and only MLflow does not know.
    """

    workspace: str
    lineage_key: str
    experiment: str
    tracking_uri: str
    records: str
    ended: bool = False

    def tracker(self) -> Tracker:
        """Return the tracker of this run."""
        return Tracker(self.tracking_uri, self.experiment, Path(self.records))


@contextmanager
def noted(home: Path, run: OpenRun) -> Iterator[None]:
    """Keep a note of a run while the block works on it; its lease is held by the caller."""
    _write(home, run)
    try:
        yield
    finally:
        with suppress(OSError, InfraError):
            if run.tracker().num_waiting:
                _write(home, replace(run, ended=True))
            else:
                _note(home, run.workspace).unlink()


def close_left_open(settings: Settings) -> tuple[OpenRun, ...]:
    """Close what runs of this home left open in MLflow and Prefect; return which: killed, or ended without it.

    Costs a look into one folder where there is nothing to close. Where a server is away the note stays for another time.
    """
    if not any(_notes(settings.home).glob("*.json")):
        return ()
    apply_client_environment(settings)

    def close(run: OpenRun) -> bool:
        # First a cheap question, so that a command on a machine without servers does not wait for them.
        pages = (f"{run.tracking_uri}/health", f"{settings.prefect.api_url.rstrip('/')}/health")
        if not all(answers(page, timeout_s=_PATIENCE_S) for page in pages):
            return False
        tracker = run.tracker()
        tracker.catch_up()
        if not run.ended:
            tracker.kill(run.lineage_key)
            reap(run.lineage_key)
        return True

    return close_abandoned(settings.home, close)


def close_abandoned(home: Path, close: Callable[[OpenRun], bool]) -> tuple[OpenRun, ...]:
    """Call `close` for every run whose process is gone, holding its lease; return those it closed."""
    closed = []
    for path in sorted(_notes(home).glob("*.json")):
        lock = home / "leases" / f"{path.stem}.lock"
        if holder_host(lock) not in {None, socket.gethostname()}:
            continue
        with suppress(LeaseError, InfraError), lease(lock, f"close {path.stem}"):
            run = _read(path)
            if run is None or close(run):
                path.unlink(missing_ok=True)
                closed += [] if run is None else [run]
    return tuple(closed)


def _notes(home: Path) -> Path:
    return home / "open"


def _note(home: Path, workspace: str) -> Path:
    return _notes(home) / f"{workspace}.json"


def _write(home: Path, run: OpenRun) -> None:
    path = _note(home, run.workspace)
    with explained(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(asdict(run)), encoding="utf-8")
        draft.replace(path)


def _read(path: Path) -> OpenRun | None:
    """Return what a note says; a damaged one, or one whose run has ended meanwhile, says nothing."""
    try:
        return OpenRun(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
