"""Sealed JSON: a mapping that stands beside the digest of itself, so that a changed byte is seen before it is believed.

What a later run would take as it is (manifests, records, blocks, checkpoints) is written and read here and nowhere else.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.core.digest import digest_json
from tasks.core.errors import DamagedError

SEAL = "seal"


def plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping as it is after it was written and read: tuples are lists, and every key is text.

    Raises:
        ValueError: it holds NaN or infinity.
    """
    read: dict[str, Any] = json.loads(json.dumps(dict(value), allow_nan=False))
    return read


def sealed_text(value: Mapping[str, Any], indent: int | None = None) -> str:
    """Return a mapping as JSON, with its digest under one more key, `seal`."""
    held = plain(value)
    sealed = held | {SEAL: digest_json(held)}
    return json.dumps(sealed, indent=indent, sort_keys=True, ensure_ascii=False) + "\n"


def write_sealed(path: Path, value: Mapping[str, Any], indent: int | None = None) -> None:
    """Write a mapping as sealed JSON."""
    path.write_text(sealed_text(value, indent), encoding="utf-8")


def read_sealed(path: Path) -> dict[str, Any]:
    """Return what `write_sealed` wrote, without the seal.

    Raises:
        DamagedError: the file is not there, cannot be read, or its content is not what was sealed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DamagedError(f"{path}: it cannot be read: {error}.") from error
    return parse_sealed(text, str(path))


def parse_sealed(text: str, where: str) -> dict[str, Any]:
    """Return the mapping of `sealed_text`, without the seal; `where` names it in errors.

    Raises:
        DamagedError: it is not JSON, or its content is not what was sealed.
    """
    try:
        value = json.loads(text)
        if not isinstance(value, dict):
            raise ValueError(f"expected an object, found {type(value).__name__}")
        seal = value.pop(SEAL, None)
        intact = digest_json(value) == seal
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{where}: it cannot be read: {error}.") from error
    if not intact:
        raise DamagedError(
            f"{where}: its content does not match the digest it was sealed with; it was edited or damaged."
        )
    return value
