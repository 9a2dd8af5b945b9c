"""The secret of a home: made once, readable by its owner only, asked for by the local servers and sent by every client.

A server that somebody else runs (a team's) is never sent it: what that one asks for comes from the settings.
"""

import os
import secrets
import stat
import uuid
from pathlib import Path

from infra.errors import SettingsError
from infra.settings import Settings

USER = "mixwright"
_TOKEN_BYTES = 32


def prefect_auth(settings: Settings) -> str | None:
    """Return `user:password` for the Prefect server, or None where it asks for nothing."""
    if settings.prefect.auth_string is not None:
        return settings.prefect.auth_string.get_secret_value()
    return None if settings.open or settings.prefect.url is not None else home_secret(settings.home)


def mlflow_auth(settings: Settings) -> str | None:
    """Return `user:password` for the local MLflow server, or None where it is open or a team's.

    What a team's MLflow asks for is in MLflow's own variables, and is left there.
    """
    if settings.mlflow.url is not None or settings.open:
        return None
    return home_secret(settings.home) if settings.prefect.url is not None else prefect_auth(settings)


def home_secret(home: Path) -> str:
    """Return the secret of a home as `user:password`, made if there is none yet.

    Raises:
        SettingsError: the home or the file is not ours alone; says what to do.
    """
    path = private_home(home) / "secret"
    if not path.exists():
        _publish(path, secrets.token_urlsafe(_TOKEN_BYTES))
    found = path.stat()
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise SettingsError(
            f"{path} can be read by others (mode {stat.S_IMODE(found.st_mode):04o}), so it is a secret no more. Remove it, "
            "then start the servers again (mixwright down, mixwright up): a new one is made."
        )
    token = path.read_text(encoding="utf-8").strip()
    if len(token) < _TOKEN_BYTES or not token.isprintable() or " " in token:
        raise SettingsError(f"{path} holds no secret. Remove it, then start the servers again: a new one is made.")
    return f"{USER}:{token}"


def private_home(home: Path) -> Path:
    """Return the home folder, made if it is not there, closed to everybody else.

    Raises:
        SettingsError: it belongs to another user, or cannot be made; names the setting that chooses another.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = home.stat()
        if os.geteuid() not in {0, found.st_uid}:
            raise PermissionError(f"it belongs to another user (id {found.st_uid})")
        if stat.S_IMODE(found.st_mode) & 0o077:
            home.chmod(0o700)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsError(
            f"{home}: cannot be the home of this user's servers and runs: {reason}. Choose a folder of your own with "
            "MIXWRIGHT_HOME."
        ) from error
    return home


def _publish(path: Path, token: str) -> None:
    """Put the token in place whole, unless another command was faster: then that one's stays."""
    draft = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(f"{token}\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink(missing_ok=True)
