"""Tables of measured mixtures as other projects publish them: one CSV of weights, one of losses, paired by row names.

RegMix names rows in a column `index`, olmix in `run` or `run_id`, with a readable `name` beside it. Columns with these
names are never features; all others are, and keep their names (`train_the_pile_arxiv`, `metric/the_pile_arxiv_val_loss`).

Axes: R rows, C columns, D domains.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.core.errors import ConfigError, DataError
from tasks.mixture.tables.cells import ALIASES, INDEX, NAME, ROW_NAMES, RUN, causes, number, read_cells, remedy

Array = npt.NDArray[np.float64]

# Printed weights are rounded: RegMix's tables to three decimals, so that 17 of them sum to .996 to 1.003.
MAX_ROUNDING = 0.01
_EXACT = 1e-9


@dataclass(frozen=True)
class Table:
    """The numbers of a CSV file, a name per column; `names` are the columns that name rows, which are no features."""

    path: str
    columns: tuple[str, ...]
    lines: tuple[int, ...]
    names: Mapping[str, tuple[str, ...]]
    values_RC: Array

    def place(self, row: int) -> str:
        """Return where a row stands in the file, in words."""
        named = next((f" ({column} {self.names[column][row]})" for column in ROW_NAMES if column in self.names), "")
        return f"{self.path}, line {self.lines[row]}{named}"

    def only(self, rows: Sequence[int]) -> "Table":
        """Return these rows, in this order."""
        names = {column: tuple(values[row] for row in rows) for column, values in self.names.items()}
        return replace(
            self, lines=tuple(self.lines[row] for row in rows), names=names, values_RC=self.values_RC[list(rows)]
        )


@dataclass(frozen=True)
class Weights:
    """The weights of a table, each row summing to 1; `normalised` rows did so only up to printed rounding."""

    weights_RD: Array
    normalised: int


def read_table(path: Path, only: Sequence[str] = ()) -> Table:
    """Read a CSV file of numbers with a header; `only` these columns, where some are named.

    Raises:
        ConfigError: a column that is asked for does not exist.
        DataError: no such file, no rows, a column without a name or with another's, a row of another length, an index
            that occurs twice, or cells that are no finite numbers; says how many, the first, and the remedy.
    """
    header, lines, rows = read_cells(path)
    if unknown := [name for name in only if name not in header]:
        raise ConfigError(f"{path}: there is no column {unknown[0]}. There are: {', '.join(header)}.")
    names = _row_names(header, rows)
    kept = [place for place, name in enumerate(header) if name not in ROW_NAMES and (not only or name in only)]
    columns = tuple(header[place] for place in kept)
    if not columns:
        raise DataError(f"{path}: no column but those that name rows ({', '.join(header)}). Add the numbers.")
    values = [[number(row[place]) for place in kept] for row in rows]
    table = Table(str(path), columns, tuple(lines), names, np.array(values).reshape(len(rows), len(kept)))
    for name in (INDEX, RUN):
        _check_unique(table, name)
    bad = np.argwhere(~np.isfinite(table.values_RC))
    if len(bad):
        cells = [rows[row][kept[column]] for row, column in bad]
        row, column = bad[0]
        raise DataError(
            f"{path}: {len(bad)} cells are no finite numbers ({causes(cells)}); first: {table.place(row)}, column "
            f"{columns[column]}: {cells[0]!r}. {remedy(cells[0])}"
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
        if np.all(np.abs(sums_R / 100 - 1) <= MAX_ROUNDING + _EXACT):
            raise DataError(
                f"{table.path}: the {len(sums_R)} mixtures sum to 100, so these are percent; first: {table.place(0)} sums "
                f"to {sums_R[0]:g}. Divide all weights by 100."
            )
        raise DataError(
            f"{table.path}: {len(wrong)} of {len(sums_R)} mixtures do not sum to 1 within {MAX_ROUNDING:g}; first: "
            f"{table.place(wrong[0])} sums to {sums_R[wrong[0]]:.6f}. Correct its weights, or leave the row out; a "
            f"column that is no weight must go, unless it names rows ({', '.join(ROW_NAMES)})."
        )
    rounded_R = off_R > _EXACT
    return Weights(table.values_RC / np.where(rounded_R, sums_R, 1.0)[:, None], int(rounded_R.sum()))


def paired(mixtures: Table, losses: Table) -> Table:
    """Return the losses in the order of the mixtures.

    Rows pair by `index` where both tables have it, else by `run` (or `run_id`), else by `name`, else in order.

    Raises:
        DataError: only one table names its rows, a row of one is missing in the other, or rows that are paired by one
            name differ in another.
    """
    common = [column for column in (INDEX, RUN, NAME) if column in mixtures.names and column in losses.names]
    if not common:
        return _in_order(mixtures, losses)
    by = common[0]
    for one, other in ((mixtures, losses), (losses, mixtures)):
        _check_unique(one, by)
        known = {*other.names[by]}
        missing = [row for row, name in enumerate(one.names[by]) if name not in known]
        if missing and (written := _written_otherwise(one.names[by][missing[0]], known)) is not None:
            raise DataError(
                f"{one.path} and {other.path} write {by} in two ways: {one.names[by][missing[0]]!r} in one, {written!r} in "
                f"the other ({len(missing)} of {len(one.lines)} rows). Write it alike in both."
            )
        if missing:
            raise DataError(
                f"{other.path} lacks {len(missing)} of {len(one.lines)} rows of {one.path}; first: "
                f"{one.place(missing[0])}. Add them, or leave them out of both."
            )
    where = {name: row for row, name in enumerate(losses.names[by])}
    found = losses.only([where[name] for name in mixtures.names[by]])
    for column in common[1:]:
        _check_same(mixtures, found, by, column)
    return found


def check_repeats(mixtures: Table, weights_RD: Array, losses: Table) -> None:
    """Refuse a mixture that stands twice with other losses: nobody can say which one holds, or what the noise is.

    Raises:
        DataError: two rows are the same mixture, but measured different losses; says both.
    """
    first: dict[bytes, int] = {}
    for row, weights_D in enumerate(weights_RD.round(9)):
        same = first.setdefault(weights_D.tobytes(), row)
        if not np.array_equal(losses.values_RC[same], losses.values_RC[row]):
            column = int(np.flatnonzero(losses.values_RC[same] != losses.values_RC[row])[0])
            one, other = (float(losses.values_RC[number, column]) for number in (same, row))
            raise DataError(
                f"{mixtures.place(row)}: the same mixture as line {mixtures.lines[same]}, but other losses "
                f"({losses.columns[column]}: {one!r} and {other!r}). Average runs with several seeds into one row, or "
                "leave the wrong one out of both tables."
            )


def check_varied(losses: Table) -> None:
    """Refuse columns that are the same in all runs: they say nothing about mixtures, and are mostly a failed export.

    Raises:
        DataError: a column does not vary over two or more rows.
    """
    values_RC = losses.values_RC
    flat = np.flatnonzero(~(np.ptp(values_RC, axis=0) > 1e-9 * np.maximum(1.0, np.abs(values_RC).max(axis=0))))
    if len(values_RC) > 1 and len(flat):
        raise DataError(
            f"{losses.path}: {len(flat)} of {len(losses.columns)} losses are the same in all {len(values_RC)} runs; "
            f"first: column {losses.columns[flat[0]]}, {values_RC[0, flat[0]]:g} from line {losses.lines[0]} to "
            f"{losses.lines[-1]}. Check the column, leave it out, or measure mixtures that differ."
        )


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


def _in_order(mixtures: Table, losses: Table) -> Table:
    named = [table for table in (mixtures, losses) if table.names]
    if named:
        with_, without = named[0], losses if named[0] is mixtures else mixtures
        raise DataError(
            f"{with_.path} names its rows in a column `{next(iter(with_.names))}`, {without.path} has no such column, so "
            f"rows cannot be paired. Give both a column `{INDEX}`, or neither names (then rows pair in order)."
        )
    if len(mixtures.lines) != len(losses.lines):
        raise DataError(
            f"{mixtures.path} has {len(mixtures.lines)} rows, {losses.path} has {len(losses.lines)}, and there is "
            f"no column `{INDEX}` to pair them by. Add it to both, or leave out the rows that are too many."
        )
    return losses


def _row_names(header: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Return the columns that name rows; a file with both `run` and `run_id` is named by `run`."""
    places = {name: place for place, name in enumerate(header) if name in ROW_NAMES}
    for alias, name in ALIASES.items():
        if alias in places:
            places.setdefault(name, places.pop(alias))
    return {name: tuple(row[places[name]].strip() for row in rows) for name in (INDEX, RUN, NAME) if name in places}


def _written_otherwise(name: str, known: Iterable[str]) -> str | None:
    """Return how else a row's number is written among the known names, such as 0 for 0.0 and 0000."""
    value = number(name)
    return next((other for other in sorted(known) if number(other) == value), None)


def _check_unique(table: Table, column: str) -> None:
    first: dict[str, int] = {}
    for row, name in enumerate(table.names.get(column, ())):
        if first.setdefault(name, row) != row:
            raise DataError(
                f"{table.place(row)}: line {table.lines[first[name]]} has the same {column} ({name}). Give every row "
                "another, or leave one of them out."
            )


def _check_same(mixtures: Table, losses: Table, by: str, column: str) -> None:
    pairs = enumerate(zip(mixtures.names[column], losses.names[column], strict=True))
    different = [(row, one, other) for row, (one, other) in pairs if one != other]
    if different:
        row, one, other = different[0]
        raise DataError(
            f"rows that `{by}` pairs have another `{column}` in {len(different)} of {len(mixtures.lines)} cases; first: "
            f"{mixtures.place(row)} is {one}, {losses.place(row)} is {other}. Leave out the column that is wrong."
        )
