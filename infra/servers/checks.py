"""Is this machine ready? Each check says what was found and, where it is not well, what to do."""

import importlib.util
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from infra.servers.lifecycle import ServiceStatus, status
from infra.settings import Settings, project_root

# Measured with prefect 3.8.8: from fastapi 0.146 its server fails to import or refuses its own client, and with
# sqlalchemy 2.1 its scheduler dies silently.
BOUNDS = {"fastapi": ((0, 139), (0, 146)), "sqlalchemy": ((2, 0), (2, 1))}
PYTHON = ((3, 11), (3, 13))
MIN_FREE_BYTES = 2_000_000_000
_PACKAGES = ("infra", "tasks", "flows", "cli")


@dataclass(frozen=True)
class Check:
    """One finding. `advice` is empty when all is well."""

    name: str
    ok: bool
    found: str
    advice: str = ""


def doctor(settings: Settings) -> tuple[Check, ...]:
    """Check Python, git, disk, library versions, whose packages are imported, and the servers."""
    libraries = tuple(_library(name) for name in BOUNDS)
    packages = tuple(_package(name) for name in _PACKAGES)
    servers = tuple(_server(service) for service in status(settings).services)
    return _python(), _git(), _disk(settings), *libraries, *packages, *servers


def _python() -> Check:
    good = PYTHON[0] <= sys.version_info[:2] < PYTHON[1]
    return Check("python", good, platform.python_version(), "" if good else "Use Python 3.11 or 3.12.")


def _git() -> Check:
    found = shutil.which("git")
    return Check("git", found is not None, found or "not found", "" if found else "Install git: versions need it.")


def _disk(settings: Settings) -> Check:
    existing = next(parent for parent in (settings.home, *settings.home.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    good = free >= MIN_FREE_BYTES
    advice = f"Free some space, at least {MIN_FREE_BYTES / 1e9:.0f} GB, or set MIXWRIGHT_HOME to another disk."
    return Check("disk", good, f"{free / 1e9:.1f} GB free at {existing}", "" if good else advice)


def _library(name: str) -> Check:
    low, high = BOUNDS[name]
    bounds = f">={'.'.join(map(str, low))},<{'.'.join(map(str, high))}"
    try:
        found = version(name)
    except PackageNotFoundError:
        return Check(name, False, "not installed", f"Install the project again: it needs {name}{bounds}.")
    good = low <= tuple(int(part) for part in found.split(".")[:2]) < high
    return Check(name, good, found, "" if good else f"Prefect needs {name}{bounds}; install with constraints.txt.")


def _package(name: str) -> Check:
    spec = importlib.util.find_spec(name)
    places = list(spec.submodule_search_locations or []) if spec else []
    good = places == [str(project_root() / name)]
    advice = f"Another package is called {name}: run from {project_root()}, or install the project there again."
    return Check(f"package {name}", good, ", ".join(places) or "not found", "" if good else advice)


def _server(found: ServiceStatus) -> Check:
    advice = {
        "stopped": "Start it: mixwright up",
        "not answering": f"Start it again: mixwright down, then mixwright up. Its log: {found.log}",
        "port taken": "Another program has its port: end it, or choose another with MIXWRIGHT_PREFECT__PORT or "
        "MIXWRIGHT_MLFLOW__PORT.",
        "external, not answering": "The settings name this server: start it there, or leave the setting out.",
    }.get(found.state, "")
    memory = f", {found.memory_bytes / 1e6:.0f} MB" if found.memory_bytes else ""
    return Check(found.title, found.ok, f"{found.state}, {found.url}{memory}", advice)
