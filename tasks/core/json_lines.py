"""Files of JSON lines that people bring, such as benchmarks, labels or answers: plain or gzip, one object a line."""

import codecs
import gzip
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tasks.core.errors import DataError
from tasks.core.json_text import parse_json


def read_lines(paths: Iterable[Path], what: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of files of JSON lines, each with the place where it stands; blank lines are none.

    Raises:
        DataError: a file cannot be read, or a line is no JSON object; names it, and `what` the file is for.
    """
    for path in paths:
        for number, line in enumerate(_lines(path, what), start=1):
            if not line.strip():
                continue
            where = f"{_place(path, what)}, line {number:,}"
            try:
                value = parse_json(line)
            except ValueError as error:
                raise DataError(f"{where}: this is no JSON: {error}. Each line is one JSON object.") from error
            if not isinstance(value, dict):
                raise DataError(f"{where}: expected a JSON object, found {type(value).__name__}.")
            yield where, value


def write_together(paths: Iterable[Path], what: str, to: Path) -> None:
    """Write the lines of several such files into one."""
    with to.open("wb") as stream:
        for path in paths:
            stream.writelines(line.rstrip(b"\n") + b"\n" for line in _lines(path, what) if line.strip())


def _lines(path: Path, what: str) -> Iterator[bytes]:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            for number, line in enumerate(stream):
                # Some editors begin a file with a mark of its encoding.
                yield line.removeprefix(codecs.BOM_UTF8) if number == 0 else line
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{_place(path, what)}: cannot be read: {error}. Fetch the file again, or write it as JSON lines in UTF-8."
        ) from error


def _place(path: Path, what: str) -> str:
    return f"{what}: {path}" if what else str(path)
