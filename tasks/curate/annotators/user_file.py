"""Files a user brings to an annotator. Their content is identity: a key holds their digests, never their paths."""

from pathlib import Path

from tasks.core.errors import ConfigError


def existing_file(path: str, setting: str, what: str) -> Path:
    """Return the path of a file that a setting names.

    Raises:
        ConfigError: there is no such file; says which setting named it and what it should be.
    """
    found = Path(path)
    if not found.is_file():
        raise ConfigError(f"{setting}: {path} is no file. Name {what}, or leave the setting out.")
    return found


def stamp(path: Path) -> tuple[int, int]:
    """Return what tells a file from a later one under the same name: its size and when it was written.

    Only to know whether something kept in memory is still good; what is identity is the digest.
    """
    status = path.stat()
    return status.st_size, status.st_mtime_ns
