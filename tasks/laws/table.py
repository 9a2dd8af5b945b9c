"""Tables of runs that laws are fitted to: named columns of a CSV file, refused with the place where a cell cannot be.

A law names the columns it needs. Others may stand in the file; they are kept as text and change nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tasks.core.errors import DataError, EvidenceError
from tasks.core.words import counted
from tasks.laws.curve import Array, Rows
from tasks.mixture.tables.cells import causes, number, read_cells


@dataclass(frozen=True)
class Range:
    """Which numbers a column may hold, and how that is said."""

    words: str
    holds: Callable[[Array], Rows]


POSITIVE = Range("above 0", lambda values_R: values_R > 0)
NOT_NEGATIVE = Range("0 or more", lambda values_R: values_R >= 0)
SHARE = Range("between 0 and 1", lambda values_R: (values_R >= 0) & (values_R <= 1))


@dataclass(frozen=True)
class Column:
    """A column of a table: its name, what it holds in words, and which numbers are allowed; None where it holds text."""

    name: str
    about: str
    range: Range | None
    required: bool = True


@dataclass(frozen=True)
class LawTable:
    """A CSV file: header and cells as they stand, the line of every row, and the numbers of the columns asked for, [R]."""

    path: str
    header: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    numbers: Mapping[str, Array]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.lines)

    def place(self, row: int) -> str:
        """Return where a row stands, in words."""
        return f"{self.path}, line {self.lines[row]}"

    def text(self, column: str) -> tuple[str, ...]:
        """Return a column as text."""
        where = self.header.index(column)
        return tuple(row[where].strip() for row in self.cells)

    def only(self, rows_R: Rows) -> "LawTable":
        """Return some rows."""
        rows = np.flatnonzero(rows_R)
        return replace(
            self,
            cells=tuple(self.cells[row] for row in rows),
            lines=tuple(self.lines[row] for row in rows),
            numbers={name: values_R[rows] for name, values_R in self.numbers.items()},
        )


def read_law_table(path: Path, columns: Sequence[Column]) -> LawTable:
    """Read a CSV file with a header.

    Raises:
        DataError: no such file, no rows, columns missing, or cells that are no finite numbers or outside what their column
            may hold; says which, how many, the first, and what to do.
    """
    header, lines, cells = read_cells(path)
    missing = [column for column in columns if column.required and column.name not in header]
    if missing:
        told = "; ".join(f"`{column.name}` ({column.about})" for column in missing)
        raise DataError(
            f"{path}: {counted(len(missing), 'column')} missing: {told}. There are: {', '.join(header)}. Add or rename."
        )
    table = LawTable(str(path), tuple(header), tuple(map(tuple, cells)), tuple(lines), {})
    found = [column for column in columns if column.name in header and column.range is not None]
    return replace(table, numbers={column.name: _numbers(table, column) for column in found})


def require_columns(table: LawTable, names: Sequence[str]) -> None:
    """Refuse a table whose columns would be written twice.

    Raises:
        DataError: a column has the name of one that is to be written beside it.
    """
    if taken := [name for name in names if name in table.header]:
        raise DataError(
            f"{table.path}: it has a column `{taken[0]}` already, which is written beside its own. Rename or drop that one."
        )


def require_points(table: LawTable, law: str, varied: Sequence[str], parameters: int) -> None:
    """Refuse points that cannot identify a law, whatever they measured.

    Raises:
        EvidenceError: fewer different points than the law has parameters, or a column with one value only.
    """
    single = [name for name in varied if not np.ptp(table.numbers[name]) > 0]
    if single:
        raise EvidenceError(
            f"{table.path}: all {len(table)} runs have the same {single[0]} ({table.numbers[single[0]][0]:g}), so the law "
            f"{law} cannot tell what it does. Add runs with another {single[0]}."
        )
    points = len(np.unique(np.stack([table.numbers[name] for name in varied]), axis=1).T)
    if points < parameters:
        raise EvidenceError(
            f"{table.path}: {counted(points, 'different point')} ({', '.join(varied)}) cannot identify the {parameters} "
            f"parameters of the law {law}. Add at least {parameters - points} more."
        )


def _numbers(table: LawTable, column: Column) -> Array:
    texts = table.text(column.name)
    values_R = np.array([number(cell) for cell in texts])
    bad = np.flatnonzero(~np.isfinite(values_R))
    if len(bad):
        raise DataError(
            f"{table.path}: {counted(len(bad), 'cell')} of column {column.name} are no finite numbers "
            f"({causes([texts[row] for row in bad])}); first: {table.place(bad[0])}: {texts[bad[0]]!r}. Correct it, or "
            "leave that row out."
        )
    assert column.range is not None
    outside = np.flatnonzero(~column.range.holds(values_R))
    if len(outside):
        raise DataError(
            f"{table.path}: {counted(len(outside), 'value')} of column {column.name} ({column.about}) are not "
            f"{column.range.words}; first: {table.place(outside[0])}: {texts[outside[0]]}. Correct it, or "
            "leave that row out."
        )
    return values_R
