"""What the servers, and the programs that talk to them, read from the environment.

Secrets travel here and only here: never on a command line, where every user of the machine could read them.
"""

import os
from collections.abc import Mapping

from infra import telemetry
from infra.settings import PREFIX, Settings, project_root

# Quiet and fast starts: one process for MLflow, and no job runner for features that are not used here (measured: two
# processes and 500 MB instead of eleven and 935 MB).
_MLFLOW_SERVER: Mapping[str, str] = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def client_environment(settings: Settings) -> dict[str, str]:
    """Return what a program needs to talk to the servers; set it before prefect or mlflow are imported."""
    environment = _own_settings(settings) | {
        "PREFECT_API_URL": settings.prefect.api_url,
        "PREFECT_HOME": str(settings.home / "prefect"),
        # Without a server a run must fail with a sentence, not start a hidden server that times out.
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "true",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(settings.prefect.heartbeat_s),
        "MLFLOW_TRACKING_URI": settings.mlflow.tracking_uri,
        # A server that went away must not hold a stage for minutes: what cannot be sent is spooled (infra/tracking.py).
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": f"{settings.timeouts.request_s:.0f}",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    if settings.prefect.auth_string is not None:
        secret = settings.prefect.auth_string.get_secret_value()
        environment |= {"PREFECT_API_AUTH_STRING": secret, f"{PREFIX}PREFECT__AUTH_STRING": secret}
    return environment


def apply_client_environment(settings: Settings) -> None:
    """Set `client_environment` and the telemetry switches in this process; makes the home folder Prefect wants."""
    (settings.home / "prefect").mkdir(parents=True, exist_ok=True)
    telemetry.apply()
    os.environ.update(client_environment(settings))


def process_environment(settings: Settings) -> dict[str, str]:
    """Return the whole environment of a background process: this one's, the client's, and this checkout first."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT__")}
    path = os.pathsep.join(filter(None, [str(project_root()), inherited.get("PYTHONPATH", "")]))
    quiet = telemetry.quiet_environment(inherited)
    return inherited | quiet | client_environment(settings) | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def prefect_environment(settings: Settings) -> dict[str, str]:
    """Return the environment of the Prefect server: SQLite under home, forged requests refused."""
    own = {
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{settings.home / 'prefect' / 'prefect.db'}",
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": settings.prefect.ui_url,
        "PREFECT_UI_API_URL": settings.prefect.api_url,
    }
    if settings.prefect.auth_string is not None:
        own["PREFECT_SERVER_API_AUTH_STRING"] = settings.prefect.auth_string.get_secret_value()
    return process_environment(settings) | own


def mlflow_environment(settings: Settings) -> dict[str, str]:
    """Return the environment of the MLflow server."""
    return process_environment(settings) | dict(_MLFLOW_SERVER)


def worker_environment(settings: Settings) -> dict[str, str]:
    """Return the environment of the worker, which the flow runs it starts inherit."""
    return process_environment(settings) | {"PREFECT_WORKER_QUERY_SECONDS": "5"}


def _own_settings(settings: Settings) -> dict[str, str]:
    """Return the settings as the variables they are read from, without secrets: the worker's runs get the same."""
    own: dict[str, str] = {}
    for name, value in settings.model_dump(mode="json", exclude={"prefect": {"auth_string"}}).items():
        group = value if isinstance(value, dict) else None
        flat = {f"{name}__{inner}": each for inner, each in group.items()} if group is not None else {name: value}
        own |= {f"{PREFIX}{key.upper()}": str(each) for key, each in flat.items() if each is not None}
    return own
