"""Where bytes lie: this machine and S3 behind one interface (fsspec).

Endpoint and credentials come from AWS's own environment (`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, profiles) or fsspec's
configuration; none is ever a parameter, and none is written down.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fsspec.core import url_to_fs
from fsspec.utils import get_protocol

from tasks.core.errors import DataError

# A file system of fsspec, which has no types, and the path in it.
FileSystemOf = Callable[[str], tuple[Any, str]]

# A listing decides what exists, so it is never a remembered one. s3fs repeats each call up to five times on top of
# botocore's own retries: with these limits an endpoint that does not answer costs minutes, not a quarter of an hour.
_S3: dict[str, Any] = {
    "use_listings_cache": False,
    "config_kwargs": {"connect_timeout": 5, "read_timeout": 60, "retries": {"max_attempts": 2}},
}


def file_system_of(uri: str) -> tuple[Any, str]:
    """Return the file system of a path or URI, and the path in it.

    Raises:
        DataError: the protocol is unknown, or what it needs is not installed.
    """
    try:
        file_system, path = url_to_fs(uri, **(_S3 if get_protocol(uri) in {"s3", "s3a"} else {}))
    except (ValueError, ImportError) as error:
        raise DataError(f"{uri}: cannot be opened: {error}. Name a local path or an s3:// URI.") from error
    return file_system, path


@contextmanager
def opened(location: str) -> Iterator[Any]:
    """Open a file for reading; what goes wrong in the block names the location.

    Raises:
        DataError: it is not there, or cannot be read.
    """
    file_system, path = file_system_of(location)
    with readable(location), file_system.open(path, "rb") as stream:
        yield stream


@contextmanager
def readable(location: str) -> Iterator[None]:
    """Name the location in whatever a file system raises.

    Raises:
        DataError: the file is missing, or reading failed; says what to look at.
    """
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(
            f"{location}: there is no such file or folder. Check the path (and, on S3, the bucket)."
        ) from error
    except Exception as error:  # botocore's errors share no base with OSError; context is added, nothing is swallowed
        if not isinstance(error, OSError) and "://" not in location:
            raise
        raise DataError(
            f"{location}: cannot be read: {type(error).__name__}: {error}. Check that it exists, that you may read it "
            "and, on S3, the endpoint and credentials in the environment (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, ...)."
        ) from error
