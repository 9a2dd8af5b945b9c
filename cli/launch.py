"""Starting things from the command line: the servers, and a run of the pipeline with them."""

import gc
import json
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.errors import InfraError
from infra.progress import told_while
from infra.secret import mlflow_auth, prefect_auth
from infra.servers import (
    apply_client_environment,
    doctor,
    down,
    require_ready,
    status,
    up,
    user_environment,
)
from infra.settings import Settings, load_settings
from tasks.core.errors import ConfigError
from tasks.core.text_table import text_table

if TYPE_CHECKING:
    from flows.run import Outcome


_OPEN = "OPEN: the servers ask for no secret. Every user of this machine can read your runs and start commands as you."


def placement(open_: bool) -> Settings:
    """Return the settings, with the servers open if the command line says so."""
    return load_settings(open=True) if open_ else load_settings()


def run_pipeline(
    where: Settings,
    preset: str,
    params_file: Path | None,
    settings: tuple[str, ...],
    inputs: tuple[str, ...],
    name: str | None,
    *,
    quiet: bool,
) -> "tuple[Outcome, str]":
    """Run the pipeline flow in this process; return its outcome and the closing table.

    Raises:
        ConfigError: a mistake in preset, file or `--set`; found before any stage starts.
        DataError: a file of tasks is missing or damaged; found before any stage starts, too.
        ServiceError: a server is not up.
    """
    _quiet_clients()
    # Before Prefect is imported: it reads its settings once.
    apply_client_environment(where)
    with _imports_for_good(), told_while(_say, "reading the params"):
        from flows.config import read_config, require_tasks

    config = read_config(preset, params_file, settings, inputs=inputs, name=name)
    require_tasks(config.params)
    # After the config: a mistake in it is told before Prefect's modules are loaded.
    with _imports_for_good(), told_while(_say, "loading Prefect, MLflow and DVC"):
        require_ready(where)
        from flows.pipeline import pipeline

    outcome = pipeline(config)
    return outcome, "" if quiet else closing_words(outcome)


def closing_words(outcome: "Outcome") -> str:
    """Return what a person reads at the end: the table, the report, the version and the addresses of both UIs."""
    from flows.closing import closing_table

    where = load_settings()
    lines = [
        closing_table(Path(outcome.workspace) / "data"),
        "",
        f"report     {outcome.report}",
        f"version    {outcome.version}   (git checkout {outcome.version} && dvc checkout)",
        f"Prefect    {where.prefect.ui_url}",
        f"MLflow     {outcome.tracked_run}",
        *login_words(where),
        "The servers stay up until `make down`.",
    ]
    return "\n".join(lines)


def close_what_was_left_open(where: Settings | None = None) -> None:
    """Close in MLflow and Prefect what runs of this home left open, where the servers are up; say so.

    A mistake in the settings is left to the command itself.
    """
    try:
        found = where or load_settings()
        if not (found.home / "open").is_dir():
            return
        _quiet_clients()
        from infra.open_runs import close_left_open

        closed = close_left_open(found)
    except (InfraError, OSError):
        return
    for run in closed:
        if run.ended:
            _say(f"MLflow was away when the run in {run.workspace} ended; it holds all of it now.")
        else:
            _say(f"The run in {run.workspace} was killed; it is closed now, in Prefect and in MLflow.")


def refresh_default_input() -> None:
    """Collect the default input anew from this machine's Python."""
    from tasks.ingest.snapshot import collect_default_input

    collect_default_input(load_settings().home, refresh=True)


def start_servers(where: Settings) -> None:
    """Start the Prefect and MLflow servers, without a worker."""
    up(where, _say, with_worker=False)
    close_what_was_left_open(where)


def start_everything(where: Settings) -> None:
    """Start the servers, the work pool and its worker, and register the deployments."""
    found = up(where, _say)
    close_what_was_left_open(where)
    click.echo("\n".join([f"Prefect    {found.prefect.url}", f"MLflow     {found.mlflow.url}", *login_words(where)]))
    click.echo("Start a run: the form in the Prefect UI, or in a shell:")
    click.echo('  eval "$(.venv/bin/mixwright env)" && .venv/bin/prefect deployment run pipeline/local')


def login_words(where: Settings) -> list[str]:
    """Return how to log in to the local servers, in a line; the secret itself is not in it."""
    if where.prefect.url is not None and where.mlflow.url is not None:
        return []
    if where.open:
        return [_OPEN]
    return [
        "Log in     with what `mixwright secret` shows: Prefect asks for the whole line, MLflow for user and password"
    ]


def print_secret() -> None:
    """Print the secret of the local servers.

    Raises:
        ConfigError: they ask for none, or there are none.
    """
    where = load_settings()
    secret = prefect_auth(where) if where.prefect.url is None else mlflow_auth(where)
    if secret is None:
        raise ConfigError(
            _OPEN if where.open else "Both servers are named by the settings: what they ask for is there."
        )
    click.echo(secret)


def print_environment(where: Settings) -> None:
    """Print shell commands that let other programs talk to the servers."""
    for name, value in user_environment(where).items():
        click.echo(f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}")


def stop_everything() -> None:
    """Stop what was started here."""
    stopped = down(load_settings(), _say)
    click.echo(f"stopped: {', '.join(stopped) or 'nothing was running'}")


def print_status(as_json: bool) -> None:
    """Print one line per server."""
    services = status(load_settings()).services
    if as_json:
        click.echo(json.dumps([{"name": s.name, "state": s.state, "url": s.url} for s in services]))
        return
    rows = [(service.title, service.state, str(service.url)) for service in services]
    click.echo("\n".join(text_table(("server", "state", "address"), rows, left=3)))


def print_doctor() -> None:
    """Print one line per check; fail if one is not well.

    Raises:
        ConfigError: how many checks failed.
    """
    checks = doctor(load_settings())
    rows = [("ok" if check.ok else "BAD", check.name, check.found, check.advice) for check in checks]
    click.echo("\n".join(text_table(("", "check", "found", "what to do"), rows, left=4)))
    if bad := [check.name for check in checks if not check.ok]:
        raise ConfigError(
            f"{len(bad)} of {len(checks)} checks failed: {', '.join(bad)}. The advice stands beside each."
        )


def _quiet_clients() -> None:
    """Leave the terminal to bars and sentences: Prefect's log lines go to the UI, MLflow's links into the table."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")


@contextmanager
def _imports_for_good() -> Iterator[None]:
    """Look for no garbage among what modules make as they are imported, then or later: all of it stays."""
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def _say(message: str) -> None:
    click.echo(message, err=True)
