"""Start, stop and look at the local servers. Doing it twice is doing it once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infra.errors import LeaseError, NotInstalledError, ServiceError
from infra.leases import lease
from infra.secret import prefect_auth, private_home
from infra.servers.bootstrap import create_pool_and_automation, deploy
from infra.servers.process import (
    Say,
    Service,
    answers,
    healthy,
    memory_of,
    port_is_free,
    running,
    start,
    started_as,
    stop,
    wait_ready,
)
from infra.servers.services import mlflow_server, prefect_server, worker
from infra.settings import Settings

State = Literal["running", "not answering", "stopped", "port taken", "external", "external, not answering"]


@dataclass(frozen=True)
class ServiceStatus:
    """One server as it is now. `memory_bytes` is resident memory with children, None when it does not run here."""

    name: str
    title: str
    state: State
    url: str
    pid: int | None = None
    memory_bytes: int | None = None
    log: Path | None = None

    @property
    def ok(self) -> bool:
        """Whether it can be used."""
        return self.state in {"running", "external"}


@dataclass(frozen=True)
class ServersStatus:
    """All servers of one home folder."""

    prefect: ServiceStatus
    mlflow: ServiceStatus
    worker: ServiceStatus

    @property
    def services(self) -> tuple[ServiceStatus, ...]:
        """The three of them."""
        return self.prefect, self.mlflow, self.worker


def up(settings: Settings, say: Say = lambda _: None, *, with_worker: bool = True) -> ServersStatus:
    """Start what is not running yet, wait until it answers, and give Prefect its pool, automation and deployments.

    `with_worker=False` starts the two servers only: enough to run a flow in this process.

    Raises:
        NotInstalledError: the servers are not installed.
        ServiceError: a port is taken, a server did not come up, or a deployment could not be made.
    """
    NotInstalledError.require("prefect", "mlflow")
    with _servers_locked(settings, say):
        _require_external(settings)
        servers = _local_servers(settings)
        started = _start_missing(settings, servers, say)
        try:
            # MLflow takes longer than Prefect; it goes on starting while Prefect is given what it needs.
            with ThreadPoolExecutor(1) as pool:
                mlflow = pool.submit(_wait, [each for each in servers if each.name == "mlflow"], settings, say)
                _wait([each for each in servers if each.name == "prefect"], settings, say)
                if with_worker:
                    _prepare_prefect(settings, started, say)
                mlflow.result()
        except BaseException:
            for service in started:
                stop(service, settings.timeouts.stop_s)
            raise
    return status(settings)


def down(settings: Settings, say: Say = lambda _: None) -> tuple[str, ...]:
    """Stop the worker and the servers that were started here, and nothing else; return what was stopped."""
    stopped = []
    with _servers_locked(settings, say):
        for service in (worker(settings), mlflow_server(settings), prefect_server(settings)):
            if running(service) is not None:
                say(f"{service.title}: stopping")
            if stop(service, settings.timeouts.stop_s):
                stopped.append(service.title)
    return tuple(stopped)


def status(settings: Settings) -> ServersStatus:
    """Look at each server now."""
    return ServersStatus(
        prefect=_status(prefect_server(settings), settings.prefect.url),
        mlflow=_status(mlflow_server(settings), settings.mlflow.url),
        worker=_status(worker(settings), None),
    )


def require_ready(settings: Settings) -> None:
    """Make sure that the Prefect server answers, is ours (or the one the settings name), and takes our secret.

    A secret is shown to no program that merely listens on the port.

    Raises:
        ServiceError: it does not; says where it was looked for and what to do.
    """
    server = prefect_server(settings)
    if settings.prefect.url is None and running(server) is None:
        taken = "" if port_is_free(server.host, server.port or 0) else f"Port {server.port} is another program's. "
        raise ServiceError(
            f"Prefect does not answer at {settings.prefect.api_url}: this home ({settings.home}) has no server. {taken}"
            "Start the servers: mixwright up. (A server elsewhere is named with MIXWRIGHT_PREFECT__URL.)"
        )
    if not answers(str(server.health), settings.timeouts.request_s):
        raise ServiceError(f"Prefect does not answer at {settings.prefect.api_url}. Start the servers: mixwright up.")
    if not answers(f"{settings.prefect.api_url}/admin/version", settings.timeouts.request_s, prefect_auth(settings)):
        raise ServiceError(
            f"Prefect at {settings.prefect.api_url} refuses this secret. A local server: mixwright down, then mixwright up, "
            "both with the same settings. A team's: MIXWRIGHT_PREFECT__AUTH_STRING."
        )


def _prepare_prefect(settings: Settings, started: list[Service], say: Say) -> None:
    process = worker(settings)
    lively = running(process) is not None and started_as(process)
    if not lively:
        create_pool_and_automation(settings, say)
        stop(process, settings.timeouts.stop_s)
        start(process)
        started.append(process)
    deploy(settings, say)
    _wait([process], settings, say)


def _start_missing(settings: Settings, servers: list[Service], say: Say) -> list[Service]:
    missing = [service for service in servers if not (running(service) is not None and started_as(service))]
    for service in missing:
        # It runs, but on another port or from another environment than the settings say today.
        stop(service, settings.timeouts.stop_s)
    started: list[Service] = []
    try:
        for service in missing:
            say(f"{service.title}: starting at {service.url}")
            _make_folders(settings, service)
            start(service)
            started.append(service)
    except BaseException:
        for service in started:
            stop(service, settings.timeouts.stop_s)
        raise
    return started


def _make_folders(settings: Settings, service: Service) -> None:
    (settings.home / service.name).mkdir(parents=True, exist_ok=True)
    if service.name == "mlflow":
        (settings.home / "mlflow" / "artifacts").mkdir(exist_ok=True)


def _wait(services: list[Service], settings: Settings, say: Say) -> None:
    for service in services:
        if not healthy(service):
            took = wait_ready(service, settings.timeouts.start_s, say)
            say(f"{service.title}: ready after {took:.1f} s")


def _local_servers(settings: Settings) -> list[Service]:
    prefect = [] if settings.prefect.url else [prefect_server(settings)]
    return prefect + ([] if settings.mlflow.url else [mlflow_server(settings)])


def _require_external(settings: Settings) -> None:
    for service, url in (
        (prefect_server(settings), settings.prefect.url),
        (mlflow_server(settings), settings.mlflow.url),
    ):
        if url is not None and not answers(str(service.health), settings.timeouts.request_s):
            raise ServiceError(
                f"{service.title}: {service.health} does not answer. It was named by the settings "
                f"({service.port_setting.replace('PORT', 'URL')}={url}); start it there, or leave that setting out "
                "to have a local server."
            )


def _status(service: Service, external: str | None) -> ServiceStatus:
    if external is not None:
        reachable = answers(str(service.health))
        return ServiceStatus(
            service.name, service.title, "external" if reachable else "external, not answering", service.url
        )
    process = running(service)
    if process is not None:
        state: State = "running" if healthy(service) else "not answering"
        memory = memory_of(process)
        return ServiceStatus(service.name, service.title, state, service.url, process.pid, memory, service.log)
    taken = service.port is not None and not port_is_free(service.host, service.port)
    return ServiceStatus(service.name, service.title, "port taken" if taken else "stopped", service.url)


@contextmanager
def _servers_locked(settings: Settings, say: Say) -> Iterator[None]:
    """Hold the lease of this home's servers: two commands that start them at the same time start each server once."""
    path, what = private_home(settings.home) / "run" / "servers.lock", "start or stop the servers"
    with ExitStack() as stack:
        try:
            stack.enter_context(lease(path, what))
        except LeaseError:
            say("waiting for another command that starts or stops the servers")
            stack.enter_context(lease(path, what, timeout_s=2 * settings.timeouts.start_s))
        yield
