"""Content digests: of bytes, files, JSON values and source code. All are SHA-256 in lower-case hex."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

_CHUNK = 1 << 20
# Code, the data that lies beside it, and the sources of compiled kernels.
_SOURCES = frozenset({".py", ".json", ".yaml", ".html", ".css", ".cpp", ".h"})
_ROOT = Path(__file__).resolve().parents[2]


def digest_bytes(data: bytes) -> str:
    """Return the digest of a byte string."""
    return hashlib.sha256(data).hexdigest()


def digest_file(path: Path) -> str:
    """Return the digest of a file's content, read in blocks of 1 MiB."""
    with path.open("rb") as stream:
        return digest_stream(stream)


def digest_stream(stream: BinaryIO) -> str:
    """Return the digest of what is left of a stream, read in blocks of 1 MiB."""
    state = hashlib.sha256()
    while block := stream.read(_CHUNK):
        state.update(block)
    return state.hexdigest()


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no blanks, NaN refused.

    >>> canonical_json({"b": 1, "a": [1.5, None]})
    '{"a":[1.5,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_json(value: Any) -> str:
    """Return the digest of a JSON value; the order of keys does not matter."""
    return digest_bytes(canonical_json(value).encode())


def digest_tree(entries: Mapping[str, str]) -> str:
    """Return the digest of named contents: a mapping from relative path to the digest of what is there."""
    return digest_json(dict(entries))


@cache
def digest_sources(root: Path = _ROOT) -> str:
    """Return the digest of all sources under `tasks`, comments included, of this checkout or of one at `root`.

    It tells one checkout from another; what decides a result is `tasks.core.code`.
    """
    paths = (path for path in sorted((root / "tasks").rglob("*")) if path.suffix in _SOURCES)
    return digest_tree({path.relative_to(root).as_posix(): digest_file(path) for path in paths})
