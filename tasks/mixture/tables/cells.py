"""The cells of a CSV file as other programs write them: read where what is meant is clear, else refused with the cause."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tasks.core.errors import DataError

# Columns that name rows, best first. olmix accepts `run` and `run_id` for the same thing, one in each file if need be.
INDEX, RUN, NAME = "index", "run", "name"
ALIASES = {"run_id": RUN}
ROW_NAMES = (INDEX, RUN, *ALIASES, NAME)
# What else separates columns, and what it is called.
_DELIMITERS = {";": "';'", "\t": "a tab", "|": "'|'"}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


def numbered_lines(path: Path) -> list[tuple[int, list[str]]]:
    """Return the lines of a CSV file with their numbers, the header first, then one or more; blank lines are none.

    Raises:
        DataError: no such file, no CSV text, or no rows.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file.")
    data = path.read_bytes()
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        reader = csv.reader(io.StringIO(data.decode("utf-16" if marked else "utf-8-sig"), newline=""))
        numbered = [(reader.line_num, cells) for cells in reader if cells]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: this is no CSV text in UTF-8: {error}. Save it as CSV in UTF-8.") from error
    if len(numbered) < 2:
        raise DataError(f"{path}: {len(numbered)} line(s): a header and at least one row are needed.")
    return numbered


def read_cells(path: Path) -> tuple[list[str], list[int], list[list[str]]]:
    """Return header, line numbers and cells; blank lines are no rows, a nameless column of row numbers is none."""
    numbered = numbered_lines(path)
    header, rows = [name.strip() for name in numbered[0][1]], [cells for _, cells in numbered[1:]]
    _check_delimiter(path, header, rows)
    ragged = [(line, cells) for line, cells in numbered[1:] if len(cells) != len(header)]
    if ragged:
        line, cells = ragged[0]
        raise DataError(
            f"{path}: {len(ragged)} rows do not have {len(header)} cells; first: line {line} has {len(cells)}. "
            "Complete it, or leave the row out."
        )
    if _nameless(header[0]) and [row[0].strip() for row in rows] in _row_numbers(len(rows)):
        header, rows = header[1:], [row[1:] for row in rows]
    if "" in header:
        raise DataError(f"{path}: column {header.index('') + 1} has no name. Name it; rows are named by `{INDEX}`.")
    if strange := [name for name in header if name not in ROW_NAMES and name.lower() in ROW_NAMES]:
        raise DataError(
            f"{path}: a column is called {strange[0]}; rows are named by `{strange[0].lower()}`, in small letters. Rename "
            "it, so that it is neither taken for numbers nor overlooked."
        )
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise DataError(f"{path}: {len(twice)} column names occur twice; first: {twice[0]}. Rename or drop one.")
    return header, [line for line, _ in numbered[1:]], rows


def _nameless(name: str) -> bool:
    """Return whether a column is what pandas writes for row numbers, and reads back as `Unnamed: 0`."""
    return name == "" or name.startswith("Unnamed:")


def _row_numbers(count: int) -> tuple[list[str], list[str]]:
    return [str(row) for row in range(count)], [str(row) for row in range(1, count + 1)]


def _check_delimiter(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Refuse a file whose one column is several, separated by something else than commas."""
    if len(header) != 1:
        return
    name, first = header[0], rows[0][0].strip() if rows[0] else ""
    spaced = len(name.split()) > 1 and len(name.split()) == len(first.split())
    found = [label for mark, label in _DELIMITERS.items() if mark in name] + ["spaces"] * spaced
    if found:
        raise DataError(
            f"{path}: one column called {name.replace(chr(9), ' ')}: is it separated by {found[0]}? Save it with commas "
            "between columns and points in numbers."
        )


def _cause(cell: str) -> str:
    """Return why a cell is no finite number, in words."""
    text = cell.strip()
    if not text:
        return "empty"
    if re.fullmatch(rf"{_NUMBER}\s*[^\d\s.,+-].*", text):
        return "a number with a unit"
    if re.fullmatch(r"[-+]?\d+,\d+", text):
        return "a comma in a number"
    try:
        float(text)
    except ValueError:
        return "words"
    return "a run that diverged?"


def causes(cells: Sequence[str]) -> str:
    """Return why cells are no finite numbers, in words; with counts where there are several causes."""
    counts = Counter(map(_cause, cells))
    return next(iter(counts)) if len(counts) == 1 else ", ".join(f"{count} {cause}" for cause, count in counts.items())


def remedy(cell: str) -> str:
    """Return what to do about a cell that is no finite number."""
    match _cause(cell):
        case "empty":
            return "Fill it, or leave that run out of both tables."
        case "a number with a unit":
            return "Write the number alone; the unit may stand in the column's name."
        case "a comma in a number":
            return "Write a point, not a comma."
        case "words":
            return "Leave that column out, or name it `name` if it names rows."
        case _:
            return "Measure that run again, or leave it out of both tables."


def number(cell: str) -> float:
    """Return the number in a cell, NaN where there is none."""
    try:
        return float(cell)
    except ValueError:
        return float("nan")  # refused with its place by `read_table` (tasks.mixture.tables.table)
