"""Where bytes lie: this machine, S3, the Hugging Face Hub and web servers behind one interface (fsspec).

Endpoints and credentials come from the environment, as each service has it (`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`,
profiles; `HF_TOKEN`, `HF_ENDPOINT`), or fsspec's configuration; none is ever a parameter, and none is written down.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote_from_bytes, unquote, unquote_to_bytes, urlsplit

from tasks.core.credentials import complaint_about, redacted
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
_LOCAL, _ESCAPED = "file://", "file:%"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


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


def printable(name: str) -> str:
    r"""Return a name as a message or an id can hold it: bytes that are no UTF-8 and control characters are escaped.

    >>> printable("caf\udce9.jsonl"), printable("a\nb")
    ('caf\\xe9.jsonl', 'a\\x0ab')
    """
    if not name.isprintable():
        with suppress(UnicodeEncodeError):
            name = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        name = name.encode("utf-8", "backslashreplace").decode()
        name = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", name)
    return name


def file_system_of(uri: str) -> tuple[Any, str]:
    """Return the file system of a path or URI, and the path in it.

    Raises:
        DataError: the protocol is unknown, what it needs is not installed, or the URI holds a credential.
    """
    if complaint := complaint_about(uri):
        raise DataError(complaint)
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
        raise DataError(f"{redacted(uri)}: cannot be opened: {redacted(str(error))}. {known}") from None
    return file_system, path


@contextmanager
def opened(location: str) -> Iterator[Any]:
    """Open a file for reading; what goes wrong in the block names the location.

    Raises:
        DataError: it is not there, or cannot be read.
    """
    if protocol_of(location) == "file":
        with readable(location), _plain_file(_local_path(location)) as stream:
            yield stream
        return
    file_system, path = file_system_of(location)
    with readable(location), file_system.open(path, "rb") as stream:
        yield stream


def storable(uri: str) -> str:
    """Return an address as a file in UTF-8 can hold it: a path of this machine that is no UTF-8, escaped as a whole."""
    try:
        uri.encode()
    except UnicodeEncodeError:
        return _ESCAPED + quote_from_bytes(os.fsencode(uri.removeprefix(_LOCAL)))
    return uri


def _local_path(location: str) -> Path:
    if location.startswith(_ESCAPED):
        return Path(os.fsdecode(unquote_to_bytes(location.removeprefix(_ESCAPED))))
    return Path(location.removeprefix(_LOCAL))


def _plain_file(path: Path) -> BinaryIO:
    """Open a file; what has become a pipe since it was listed is refused, not waited for."""
    stream = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise DataError(f"{printable(str(path))}: this is no file (a folder, a pipe, a device, ...). Name a file.")
    return stream


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
        # What a client says may show the address that a server redirected to, which is signed.
        origin = error if protocol_of(location) == "file" else None
        shown = redacted(printable(location))
        if isinstance(cause, FileNotFoundError) or getattr(cause, "status", None) in _GONE:
            raise DataError(f"{shown}: there is no such file or folder. Check {_place(location)}.") from origin
        raise DataError(
            f"{shown}: cannot be read: {type(cause).__name__}: {redacted(printable(str(cause)))}. Check that it exists, "
            f"that you may read it{_access(location)}."
        ) from origin


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
