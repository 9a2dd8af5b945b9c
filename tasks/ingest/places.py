"""Where bytes lie: this machine, S3, the Hugging Face Hub and web servers behind one interface (fsspec).

Endpoints and credentials come from the environment, as each service has it (`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`,
profiles; `HF_TOKEN`, `HF_ENDPOINT`), or fsspec's configuration; none is ever a parameter, and none is written down.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tasks.core.errors import DataError

# A file system of fsspec, which has no types, and the path in it.
FileSystemOf = Callable[[str], tuple[Any, str]]

_WEB = frozenset({"http", "https"})
# HTTP's words for "not found".
_GONE = frozenset({404, 410})
# A listing decides what exists, so it is never a remembered one. s3fs repeats each call up to five times on top of
# botocore's own retries: with these limits an endpoint that does not answer costs minutes, not a quarter of an hour.
_S3: dict[str, Any] = {
    "use_listings_cache": False,
    "config_kwargs": {"connect_timeout": 5, "read_timeout": 60, "retries": {"max_attempts": 2}},
}
_HUB: dict[str, Any] = {"use_listings_cache": False}
_LOCAL = "file://"


def protocol_of(uri: str) -> str:
    """Return the protocol of a URI; `file` for a path.

    >>> protocol_of("hf://datasets/org/name"), protocol_of("data/a.jsonl")
    ('hf', 'file')
    """
    name, mark, _ = uri.partition("://")
    return name if mark else "file"


def name_of(path: str, protocol: str) -> str:
    """Return a path as names are made of it: a web address without its query, its escapes undone.

    >>> name_of("https://host/a%20b.jsonl?download=true", "https")
    'https://host/a b.jsonl'
    """
    if protocol not in _WEB:
        return path
    parts = urlsplit(path)
    return f"{parts.scheme}://{parts.netloc}{unquote(parts.path)}"


def file_system_of(uri: str) -> tuple[Any, str]:
    """Return the file system of a path or URI, and the path in it.

    Raises:
        DataError: the protocol is unknown, or what it needs is not installed.
    """
    from fsspec.core import url_to_fs

    match protocol_of(uri):
        case "s3" | "s3a":
            options = _S3
        case "hf":
            options = _HUB
        case "http" | "https":
            options = {"client_kwargs": {"timeout": _web_timeout()}}
        case _:
            options = {}
    try:
        file_system, path = url_to_fs(uri, **options)
    except (ValueError, ImportError) as error:
        known = "Name a local path or a URI (s3://, hf://, http://, https://)."
        raise DataError(f"{uri}: cannot be opened: {error}. {known}") from error
    return file_system, path


@contextmanager
def opened(location: str) -> Iterator[Any]:
    """Open a file for reading; what goes wrong in the block names the location.

    Raises:
        DataError: it is not there, or cannot be read.
    """
    if protocol_of(location) == "file":
        with readable(location), Path(location.removeprefix(_LOCAL)).open("rb") as stream:
            yield stream
        return
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
    except Exception as error:  # the errors of clients share no base; context is added, nothing is swallowed
        if not isinstance(error, OSError) and protocol_of(location) == "file":
            raise
        # fsspec calls a web server that refuses, or does not answer, a file that is not there.
        cause = error.__cause__ if isinstance(error, FileNotFoundError) and error.__cause__ else error
        if isinstance(cause, FileNotFoundError) or getattr(cause, "status", None) in _GONE:
            raise DataError(f"{location}: there is no such file or folder. Check {_place(location)}.") from error
        raise DataError(
            f"{location}: cannot be read: {type(cause).__name__}: {cause}. Check that it exists, that you may read it"
            f"{_access(location)}."
        ) from error


def _place(location: str) -> str:
    match protocol_of(location):
        case "s3" | "s3a":
            return "the bucket and the path"
        case "hf":
            return (
                "the path (hf://datasets/ORG/NAME/FILE) and, if it is private, the token in the environment (HF_TOKEN)"
            )
        case "http" | "https":
            return "the address"
        case _:
            return "the path"


def _access(location: str) -> str:
    match protocol_of(location):
        case "s3" | "s3a":
            return " and the endpoint and credentials in the environment (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, ...)"
        case "hf":
            return " and the endpoint and token in the environment (HF_ENDPOINT, HF_TOKEN)"
        case "http" | "https":
            return " and that the server answers"
        case _:
            return ""


def _web_timeout() -> Any:
    """Return how long a web server may be silent; aiohttp's own limit is five minutes for a whole download."""
    from aiohttp import ClientTimeout

    return ClientTimeout(total=None, sock_connect=10, sock_read=60)
