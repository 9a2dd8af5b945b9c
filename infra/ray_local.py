"""A Ray of this machine only: its ports on loopback, a token in no file, its files in a folder of the user's own.

By itself Ray listens on every interface, keeps its token readable by all, and its sessions in folders open to everybody.
"""

import os
import secrets
import stat
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from infra.errors import SettingsError

# Read when Ray is imported, in this process and in those it starts: the node is 127.0.0.1 (and there are no others).
LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
_TOKEN = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
# Read by Ray Train's processes: nobody takes this machine away, so no process of theirs need watch for it.
_WATCHER = "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"
_OBJECT_STORE_BYTES = 200_000_000
# Ray's sockets lie below it: 107 bytes is the longest name of one, and a session takes 70 of them. Ray opens its folder to
# all; the one around it stays closed.
_LONGEST_FOLDER = 36


def local_environment() -> dict[str, str]:
    """Return what a local Ray reads while it starts; what the user has set himself is left out."""
    variables = {LOOPBACK: "0", _WATCHER: "0"}
    if not any(os.environ.get(name) for name in _TOKEN):
        variables[_TOKEN[0]] = _token()
    return {name: value for name, value in variables.items() if name not in os.environ}


def local_options(workers: int) -> Mapping[str, Any]:
    """Return the arguments of `ray.init` for a local Ray: no dashboard, files in `sessions_folder`."""
    return {
        "num_cpus": workers,
        "object_store_memory": _OBJECT_STORE_BYTES,
        "include_dashboard": False,
        "_temp_dir": str(sessions_folder()),
    }


def sessions_folder() -> Path:
    """Return where a local Ray keeps its sessions, sockets and logs: in `own_folder`, on the disk of temporary files."""
    return own_folder(Path(tempfile.gettempdir())) / "ray"


def own_folder(parent: Path) -> Path:
    """Return this user's folder for Ray's sessions, made if it is not there.

    Raises:
        SettingsError: somebody else has put something in its place.
    """
    name = f"mixwright-ray-{os.getuid()}"
    path = parent / name if len(str(parent / name)) <= _LONGEST_FOLDER else Path("/tmp") / name  # noqa: S108
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise SettingsError(
            f"{path} is not a folder of this user alone, and Ray's workers take what they run from there. Remove it, or "
            "choose another place with TMPDIR."
        )
    return path


@cache
def _token() -> str:
    """Return one token per process: Ray keeps the first it is given."""
    return secrets.token_hex(32)
