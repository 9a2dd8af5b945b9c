"""The three background processes of a laptop: Prefect's server, MLflow's server, and the worker that starts runs."""

import sys

from infra.servers.environment import mlflow_environment, prefect_environment, worker_environment
from infra.servers.process import Service
from infra.settings import Settings

WORK_POOL = "local-process"


def prefect_server(settings: Settings) -> Service:
    """Return Prefect's server and UI: SQLite under home, on loopback unless the settings say otherwise."""
    prefect = settings.prefect
    command = (sys.executable, "-m", "prefect", "server", "start", "--host", prefect.host, "--port", str(prefect.port))
    return Service(
        name="prefect",
        title="Prefect server",
        command=command,
        environment=prefect_environment(settings),
        home=settings.home,
        url=prefect.ui_url,
        health=f"{prefect.api_url}/health",
        port=prefect.port,
        host=prefect.host,
        port_setting="MIXWRIGHT_PREFECT__PORT",
    )


def mlflow_server(settings: Settings) -> Service:
    """Return MLflow's server and UI: SQLite and an artifact folder under home, one process, known hosts only."""
    mlflow, folder = settings.mlflow, settings.home / "mlflow"
    hosts = ",".join(f"{name}:{mlflow.port}" for name in dict.fromkeys((mlflow.host, "127.0.0.1", "localhost")))
    options = {
        "--host": mlflow.host,
        "--port": str(mlflow.port),
        "--workers": "1",
        "--backend-store-uri": f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination": str(folder / "artifacts"),
        "--allowed-hosts": hosts,
    }
    return Service(
        name="mlflow",
        title="MLflow server",
        command=(sys.executable, "-m", "mlflow", "server", *(word for option in options.items() for word in option)),
        environment=mlflow_environment(settings),
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
        environment=worker_environment(settings),
        home=settings.home,
        url=settings.prefect.ui_url,
        ready_text="started!",
    )
