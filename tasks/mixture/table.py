"""Tables of measured mixtures as other projects publish them: one CSV of weights, one of losses, paired by `index`.

Axes: R rows, C columns, D domains.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.core.errors import DataError

Array = npt.NDArray[np.float64]

INDEX = "index"
# Printed weights are rounded: RegMix's tables to three decimals, so that 17 of them sum to .996 to 1.003.
MAX_ROUNDING = 0.01
_EXACT = 1e-9


@dataclass(frozen=True)
class Table:
    """The numbers of a CSV file, a name per column. The column `index` names rows and is never a feature."""

    path: str
    columns: tuple[str, ...]
    lines: tuple[int, ...]
    index: tuple[str, ...] | None
    values_RC: Array

    def place(self, row: int) -> str:
        """Return where a row stands in the file, in words."""
        named = "" if self.index is None else f" (index {self.index[row]})"
        return f"{self.path}, line {self.lines[row]}{named}"

    def only(self, rows: Sequence[int]) -> "Table":
        """Return these rows, in this order."""
        index = None if self.index is None else tuple(self.index[row] for row in rows)
        return replace(
            self, lines=tuple(self.lines[row] for row in rows), index=index, values_RC=self.values_RC[list(rows)]
        )


@dataclass(frozen=True)
class Weights:
    """The weights of a table, each row summing to 1; `normalised` rows did so only up to printed rounding."""

    weights_RD: Array
    normalised: int


def read_table(path: Path) -> Table:
    """Read a CSV file of numbers with a header.

    Raises:
        DataError: no such file, no rows, a column without a name or with another's, a row of another length, an index
            that occurs twice, or cells that are no finite numbers; says how many, the first, and the remedy.
    """
    header, lines, rows = _cells(path)
    place = header.index(INDEX) if INDEX in header else None
    index = None if place is None else tuple(row[place].strip() for row in rows)
    kept = [number for number in range(len(header)) if number != place]
    columns = tuple(header[number] for number in kept)
    numbers = [[_number(row[number]) for number in kept] for row in rows]
    table = Table(str(path), columns, tuple(lines), index, np.array(numbers).reshape(len(rows), len(kept)))
    _check_index(table)
    bad = np.argwhere(~np.isfinite(table.values_RC))
    if len(bad):
        row, column = bad[0]
        raise DataError(
            f"{path}: {len(bad)} cells are no finite numbers (a run that diverged?); first: line {lines[row]}, column "
            f"{columns[column]}: {rows[row][kept[column]]!r}. Measure that run again, or leave it out of both tables."
        )
    return table


def weights_of(table: Table) -> Weights:
    """Return a table's weights; what is off by printed rounding is normalised and counted.

    Raises:
        DataError: negative weights, or rows that sum to less than 0.99 or more than 1.01.
    """
    negative = np.argwhere(table.values_RC < 0)
    if len(negative):
        row, column = negative[0]
        raise DataError(
            f"{table.path}: {len(negative)} weights are negative; first: {table.place(row)}, column "
            f"{table.columns[column]}: {table.values_RC[row, column]:g}. Correct the table."
        )
    sums_R = table.values_RC.sum(axis=1)
    off_R = np.abs(sums_R - 1)
    wrong = np.flatnonzero(~(off_R <= MAX_ROUNDING + _EXACT))
    if len(wrong):
        raise DataError(
            f"{table.path}: {len(wrong)} of {len(sums_R)} mixtures do not sum to 1 within {MAX_ROUNDING:g}; first: "
            f"{table.place(wrong[0])} sums to {sums_R[wrong[0]]:.6f}. Correct its weights, or leave the row out; a "
            f"column that is no weight must go, unless it is called `{INDEX}`."
        )
    return Weights(table.values_RC / sums_R[:, None], int((off_R > _EXACT).sum()))


def paired(mixtures: Table, losses: Table) -> Table:
    """Return the losses in the order of the mixtures: by `index` where both tables have it, else row by row.

    Raises:
        DataError: only one table has an index, or a row of one is missing in the other.
    """
    if (mixtures.index is None) != (losses.index is None):
        with_, without = (losses, mixtures) if mixtures.index is None else (mixtures, losses)
        raise DataError(
            f"{with_.path} names its rows in a column `{INDEX}`, {without.path} does not, so rows cannot be paired. "
            "Give both that column, or neither (then rows pair in order)."
        )
    if mixtures.index is None or losses.index is None:
        if len(mixtures.lines) != len(losses.lines):
            raise DataError(
                f"{mixtures.path} has {len(mixtures.lines)} rows, {losses.path} has {len(losses.lines)}, and there is "
                f"no column `{INDEX}` to pair them by. Add it to both, or leave out the rows that are too many."
            )
        return losses
    for one, other in ((mixtures, losses), (losses, mixtures)):
        missing = [row for row, name in enumerate(one.index or ()) if name not in {*(other.index or ())}]
        if missing:
            raise DataError(
                f"{other.path} lacks {len(missing)} of {len(one.lines)} rows of {one.path}; first: "
                f"{one.place(missing[0])}. Add them, or leave them out of both."
            )
    where = {name: row for row, name in enumerate(losses.index)}
    return losses.only([where[name] for name in mixtures.index])


def aligned(table: Table, domains: Sequence[str]) -> Table:
    """Return the table with one column per domain, in that order; a prefix `w:` is left away.

    Raises:
        DataError: a domain has no column, or there is a column for none of them.
    """
    found = [name.removeprefix("w:") if name.removeprefix("w:") in domains else name for name in table.columns]
    missing, strange = [name for name in domains if name not in found], [name for name in found if name not in domains]
    if missing or strange:
        raise DataError(
            f"{table.path}: its columns are not the domains that were measured: {len(missing)} missing"
            f"{f' (first: {missing[0]})' if missing else ''}, {len(strange)} unknown"
            f"{f' (first: {strange[0]})' if strange else ''}. Name the columns as in the table of mixtures."
        )
    return replace(table, columns=tuple(domains), values_RC=table.values_RC[:, [found.index(n) for n in domains]])


def _cells(path: Path) -> tuple[list[str], list[int], list[list[str]]]:
    """Return header, line numbers and cells; blank lines are no rows."""
    if not path.is_file():
        raise DataError(f"{path}: there is no such file.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            numbered = [(reader.line_num, cells) for cells in reader if cells]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: this is no CSV text in UTF-8: {error}.") from error
    if len(numbered) < 2:
        raise DataError(f"{path}: {len(numbered)} line(s): a header and at least one row are needed.")
    header = [name.strip() for name in numbered[0][1]]
    if "" in header:
        raise DataError(f"{path}: column {header.index('') + 1} has no name. Name it; rows are named by `{INDEX}`.")
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise DataError(f"{path}: {len(twice)} column names occur twice; first: {twice[0]}. Rename or drop one.")
    ragged = [(line, cells) for line, cells in numbered[1:] if len(cells) != len(header)]
    if ragged:
        line, cells = ragged[0]
        raise DataError(
            f"{path}: {len(ragged)} rows do not have {len(header)} cells; first: line {line} has {len(cells)}."
        )
    return header, [line for line, _ in numbered[1:]], [cells for _, cells in numbered[1:]]


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")  # refused with its place by `read_table`


def _check_index(table: Table) -> None:
    first: dict[str, int] = {}
    for row, name in enumerate(table.index or ()):
        if first.setdefault(name, row) != row:
            raise DataError(
                f"{table.place(row)}: line {table.lines[first[name]]} has the same index. Number the rows, or leave "
                "one of them out."
            )
