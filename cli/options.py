"""What commands have in common: options, a place to work, a file to write."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tasks.core.errors import ConfigError

if TYPE_CHECKING:
    from tasks.runtime.context import Workshop

file_type = click.Path(path_type=Path)
folder_type = click.Path(path_type=Path, file_okay=False)
count = click.IntRange(min=1)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
preset_option = click.option("--preset", default="demo", show_default=True, help="configs/PRESET.yaml.")
params_option = click.option("--params", "params_file", type=file_type, help="YAML with the sections to change.")
run_option = click.option(
    "--run",
    "run_path",
    type=click.Path(path_type=Path),
    help="A run's workspace, or a clone at a version; default: the newest.",
)
set_option = click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Such as search.num_runs=48.")


@contextmanager
def here(quiet: bool, workers: int | None = None) -> "Iterator[Workshop]":
    """Work on this machine, with the store that every search looks into first."""
    from infra.executors import executor_of
    from infra.settings import load_settings
    from infra.terminal import TerminalObserver
    from tasks.runtime.context import workshop_of

    placement = load_settings()
    chosen = executor_of("local", workers or placement.workers)
    with closing(chosen) as executor, TerminalObserver(quiet=quiet) as observer:
        yield workshop_of(placement, executor, observer)


@contextmanager
def working(label: str, quiet: bool) -> Iterator[None]:
    """Show that something is going on; float work runs on one thread, as in the workers."""
    from rich.console import Console
    from threadpoolctl import threadpool_limits

    with Console(stderr=True, quiet=quiet).status(label), threadpool_limits(1):
        yield


def check_writable(path: Path, option: str = "--output") -> None:
    """Refuse a file that could not be written, before any work is done.

    Raises:
        ConfigError: it is a folder, in none that exists, or the system does not let us write it.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise ConfigError(f"{option} {path}: not a file in an existing folder. Make the folder, or name another.")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ConfigError(f"{option} {path}: no right to write there. Name another file, or ask for the right.")


def write_text(path: Path, text: str, option: str = "--output") -> None:
    """Write a file that a command was asked for.

    Raises:
        ConfigError: the system refuses; says why.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{option} {path}: cannot be written: {error.strerror}. Name another file.") from error
