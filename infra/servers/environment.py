"""What the servers, and the programs that talk to them, read from the environment.

Secrets travel here and only here: never on a command line, where every user of the machine could read them.
"""

import json
import os
from collections.abc import Mapping

from infra import telemetry
from infra.secret import mlflow_auth, prefect_auth, private_home
from infra.servers.gate import own_names, own_origins
from infra.servers.serving import MLFLOW_SECRET, PREFECT_SECRET
from infra.settings import PREFIX, Settings, project_root

# What a program shows to a server. One that this machine's servers do not ask for is none of their business.
PREFECT_CREDENTIALS = ("PREFECT_API_AUTH_STRING", PREFECT_SECRET)
MLFLOW_CREDENTIALS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")

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
        # A server that went away must not hold a stage for minutes: what cannot be shown waits (infra/tracking.py).
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": f"{settings.timeouts.request_s:.0f}",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    if settings.prefect.auth_string is not None:
        environment[f"{PREFIX}PREFECT__AUTH_STRING"] = settings.prefect.auth_string.get_secret_value()
    return environment | _credentials(settings)


def user_environment(settings: Settings) -> dict[str, str | None]:
    """Return what `prefect`, `mlflow` and a notebook need to talk to the servers; None: a variable that must not be set."""
    whole = client_environment(settings)
    stale = dict.fromkeys(stale_credentials(settings))
    return stale | {
        name: value
        for name, value in whole.items()
        if name.startswith(("PREFECT_API", "PREFECT_CLIENT", "PREFECT_SERVER_ALLOW", "MLFLOW_TRACKING"))
    }


def stale_credentials(settings: Settings) -> tuple[str, ...]:
    """Return the variables with credentials that are not for these servers: left over, or another server's."""
    local = (settings.prefect.url is None, PREFECT_CREDENTIALS), (settings.mlflow.url is None, MLFLOW_CREDENTIALS)
    own = _credentials(settings)
    return tuple(name for is_local, names in local if is_local for name in names if name not in own)


def apply_client_environment(settings: Settings) -> None:
    """Set `client_environment` and the telemetry switches in this process; makes the home folder Prefect wants."""
    if settings.prefect.url is None or settings.mlflow.url is None:
        private_home(settings.home)
    (settings.home / "prefect").mkdir(parents=True, exist_ok=True)
    telemetry.apply()
    for name in stale_credentials(settings):
        os.environ.pop(name, None)
    os.environ.update(client_environment(settings))


def process_environment(settings: Settings) -> dict[str, str]:
    """Return the whole environment of a background process: this one's, the client's, and this checkout first."""
    stale = stale_credentials(settings)
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("PREFECT__") and name not in stale
    }
    path = os.pathsep.join(filter(None, [str(project_root()), inherited.get("PYTHONPATH", "")]))
    quiet = telemetry.quiet_environment(inherited)
    return inherited | quiet | client_environment(settings) | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def prefect_environment(settings: Settings) -> dict[str, str]:
    """Return the environment of the Prefect server: SQLite under home, forged requests refused."""
    origins = own_origins(own_names(settings.prefect.host, settings.prefect.port, settings.prefect.allowed_hosts))
    own = {
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{settings.home / 'prefect' / 'prefect.db'}",
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(origins),
        "PREFECT_UI_API_URL": settings.prefect.api_url,
    }
    if (secret := prefect_auth(settings)) is not None:
        own[PREFECT_SECRET] = secret
    return process_environment(settings) | own


def mlflow_environment(settings: Settings) -> dict[str, str]:
    """Return the environment of the MLflow server: its own checks of Host and Origin, behind those of the gate."""
    names = own_names(settings.mlflow.host, settings.mlflow.port, settings.mlflow.allowed_hosts)
    own = {
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(sorted(names)),
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(own_origins(names)),
    }
    if (secret := mlflow_auth(settings)) is not None:
        own[MLFLOW_SECRET] = secret
    return {**process_environment(settings), **_MLFLOW_SERVER, **own}


def worker_environment(settings: Settings) -> dict[str, str]:
    """Return the environment of the worker, which the flow runs it starts inherit."""
    return process_environment(settings) | {"PREFECT_WORKER_QUERY_SECONDS": "5"}


def _credentials(settings: Settings) -> dict[str, str]:
    found: dict[str, str] = {}
    if (secret := prefect_auth(settings)) is not None:
        found["PREFECT_API_AUTH_STRING"] = secret
    if (secret := mlflow_auth(settings)) is not None:
        found["MLFLOW_TRACKING_USERNAME"], _, found["MLFLOW_TRACKING_PASSWORD"] = secret.partition(":")
    return found


def _own_settings(settings: Settings) -> dict[str, str]:
    """Return the settings as the variables they are read from, without secrets: the worker's runs get the same."""
    own: dict[str, str] = {}
    for name, value in settings.model_dump(mode="json", exclude={"prefect": {"auth_string"}}).items():
        group = value if isinstance(value, dict) else None
        flat = {f"{name}__{inner}": each for inner, each in group.items()} if group is not None else {name: value}
        own |= {f"{PREFIX}{key.upper()}": _text(each) for key, each in flat.items() if each is not None}
    return own


def _text(value: object) -> str:
    return json.dumps(value) if isinstance(value, list) else str(value)
