"""What a fresh Prefect server is given: a work pool, an automation that ends zombies, and the deployments.

`python -m infra.servers.bootstrap` does the first two, in a process whose environment points at the right server.
Everything here can be done again and changes nothing the second time.
"""

import argparse
import hashlib
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.errors import ServiceError
from infra.progress import told_while
from infra.servers.environment import process_environment
from infra.servers.process import Say, last_lines
from infra.servers.services import WORK_POOL
from infra.settings import Settings, project_root

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events import AutomationCore

ZOMBIES = "mixwright: crash zombie flow runs"
# What the pool's jobs are made from. Prefect's own template lets each deployment and each run set the command, the folder
# and the environment of its process; here they are the worker's. (With an `env` here Prefect would take more from a run.)
JOB_TEMPLATE: dict[str, Any] = {
    "job_configuration": {"stream_output": True},
    "variables": {"type": "object", "properties": {}, "additionalProperties": False},
}
_DEPLOY_TIMEOUT_S = 300.0


def create_pool_and_automation(settings: Settings, say: Say) -> None:
    """Create the work pool and the automation that turns a flow run without heartbeats into CRASHED.

    Raises:
        ServiceError: the server refused; carries what it said.
    """
    say("Prefect: work pool and zombie automation")
    words = ("-m", "infra.servers.bootstrap", "--zombie-after-s", str(settings.prefect.zombie_after_s))
    _run(settings, words, "creating the work pool and the automation", say)


def deploy(settings: Settings, say: Say, file: Path | None = None) -> bool:
    """Create or update the deployments of `prefect.yaml`; return False when nothing has changed since the last time.

    Raises:
        ServiceError: a deployment could not be made (often: a flow that does not import); carries the log.
    """
    source = file or project_root() / "prefect.yaml"
    mark = settings.home / "run" / "deployed.sha256"
    fingerprint = _fingerprint(settings, source)
    if mark.is_file() and mark.read_text(encoding="utf-8") == fingerprint:
        return False
    say(f"Prefect: deployments of {source.name}")
    words = ("-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(source))
    _run(settings, words, f"deploying {source}", say, source.parent)
    mark.write_text(fingerprint, encoding="utf-8")
    return True


def ensure_pool(client: "SyncPrefectClient") -> None:
    """Create the process work pool if it is not there; nobody who starts a run chooses its command."""
    from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

    try:
        found = client.read_work_pool(WORK_POOL)
        if found.base_job_template != JOB_TEMPLATE:
            client.update_work_pool(WORK_POOL, WorkPoolUpdate(base_job_template=JOB_TEMPLATE))
    except ObjectNotFound:
        try:
            client.create_work_pool(WorkPoolCreate(name=WORK_POOL, type="process", base_job_template=JOB_TEMPLATE))
        except ObjectAlreadyExists:
            return


def ensure_automation(client: "SyncPrefectClient", zombie_after_s: int) -> None:
    """Create the zombie automation, or bring an older one up to date; copies of it are removed."""
    automation = zombie_automation(zombie_after_s)
    found = client.read_automations_by_name(ZOMBIES)
    if not found:
        client.create_automation(automation)
        return
    first, *copies = found
    if getattr(first.trigger, "within", None) != timedelta(seconds=zombie_after_s):
        client.update_automation(first.id, automation)
    for copy in copies:
        client.delete_automation(copy.id)


def zombie_automation(zombie_after_s: int) -> "AutomationCore":
    """Return the automation: a heartbeat with no other and no end within `zombie_after_s` means CRASHED."""
    from prefect.client.schemas.objects import StateType
    from prefect.events import AutomationCore, EventTrigger, Posture, ResourceSpecification
    from prefect.events.actions import ChangeFlowRunState

    crash = ChangeFlowRunState(
        name=None, state=StateType.CRASHED, message="No heartbeat: the process of this run is gone.", force=False
    )
    ends = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed")}
    return AutomationCore(
        name=ZOMBIES,
        description="A flow run whose process died cannot say so. Made by Mixwright.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *ends},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=zombie_after_s),
        ),
        actions=[crash],
    )


def main() -> None:
    """Create the pool and the automation on the server that the environment names."""
    from prefect.client.orchestration import get_client

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zombie-after-s", type=int, required=True)
    arguments = parser.parse_args()
    with get_client(sync_client=True) as client:
        ensure_pool(client)
        ensure_automation(client, arguments.zombie_after_s)


def _run(settings: Settings, words: tuple[str, ...], deed: str, say: Say, folder: Path | None = None) -> None:
    log = settings.home / "logs" / "bootstrap.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch(mode=0o600)
    with log.open("ab") as stream, told_while(say, f"Prefect: {deed}"):
        try:
            done = subprocess.run(
                (sys.executable, *words),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                cwd=folder or project_root(),
                env=process_environment(settings),
                timeout=_DEPLOY_TIMEOUT_S,
                check=False,
            )
            outcome = f"ended with {done.returncode}" if done.returncode else ""
        except subprocess.TimeoutExpired:
            outcome = f"did not end within {_DEPLOY_TIMEOUT_S:.0f} s"
    if outcome:
        raise ServiceError(f"{deed} {outcome}. The last lines of {log}:\n{last_lines(log, 25)}")


def _fingerprint(settings: Settings, source: Path) -> str:
    """Digest of what the deployments are made from: the file, the flows, their parameter models, the place."""
    state = hashlib.sha256()
    for text in (sys.executable, str(project_root()), settings.prefect.api_url):
        state.update(text.encode() + b"\0")
    root = source.parent
    sources = (*root.glob("flows/**/*.py"), *root.glob("tasks/**/*.py"))
    for path in (source, *sorted(sources)):
        state.update(path.read_bytes())
    return state.hexdigest()


if __name__ == "__main__":
    main()
