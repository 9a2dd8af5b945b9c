"""The three background processes of a laptop: Prefect's server, MLflow's server, and the worker that starts runs."""

import sys
from typing import Literal

from infra.servers.environment import mlflow_environment, prefect_environment, worker_environment
from infra.servers.process import Service
from infra.servers.serving import MLFLOW_SECRET, PREFECT_SECRET
from infra.settings import Settings

WORK_POOL = "local-process"
# What a server writes, nobody else reads.
_PRIVATE = 0o077


def prefect_server(settings: Settings) -> Service:
    """Return Prefect's server and UI: SQLite under home, on loopback unless the settings say otherwise."""
    prefect = settings.prefect
    return Service(
        name="prefect",
        title="Prefect server",
        command=_command(settings, "prefect"),
        environment=lambda: prefect_environment(settings),
        secrets=(PREFECT_SECRET,),
        umask=_PRIVATE,
        home=settings.home,
        url=prefect.ui_url,
        health=f"{prefect.api_url}/health",
        port=prefect.port,
        host=prefect.host,
        port_setting="MIXWRIGHT_PREFECT__PORT",
    )


def mlflow_server(settings: Settings) -> Service:
    """Return MLflow's server and UI: SQLite and an artifact folder under home, one process."""
    mlflow = settings.mlflow
    return Service(
        name="mlflow",
        title="MLflow server",
        command=_command(settings, "mlflow"),
        environment=lambda: mlflow_environment(settings),
        secrets=(MLFLOW_SECRET,),
        umask=_PRIVATE,
        home=settings.home,
        url=mlflow.tracking_uri,
        health=f"{mlflow.tracking_uri}/health",
        port=mlflow.port,
        host=mlflow.host,
        port_setting="MIXWRIGHT_MLFLOW__PORT",
    )


def worker(settings: Settings) -> Service:
    """Return the worker: it starts the runs that a deployment, a schedule or the UI asks for, as processes."""
    command = (sys.executable, "-m", "prefect", "worker", "start", "--pool", WORK_POOL, "--type", "process")
    limits = ("--name", f"{WORK_POOL}-worker", "--limit", str(settings.prefect.concurrent_runs))
    return Service(
        name="worker",
        title="Prefect worker",
        command=(*command, *limits, "--install-policy", "never"),
        environment=lambda: worker_environment(settings),
        secrets=("PREFECT_API_AUTH_STRING", "MLFLOW_TRACKING_PASSWORD"),
        home=settings.home,
        url=settings.prefect.ui_url,
        ready_text="started!",
    )


def _command(settings: Settings, name: Literal["prefect", "mlflow"]) -> tuple[str, ...]:
    place = settings.prefect if name == "prefect" else settings.mlflow
    allowed = (word for host in place.allowed_hosts for word in ("--allow", host))
    words = ("--host", place.host, "--port", str(place.port), "--folder", str(settings.home / name), *allowed)
    return sys.executable, "-m", f"infra.servers.{name}_app", *words, *(["--open"] if settings.open else [])
