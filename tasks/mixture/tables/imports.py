"""Between the pair of tables that RegMix and olmix read and write, and our own table of runs.

Axes: R runs, D domains, S held-out sets.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tasks.core.errors import ConfigError, DataError
from tasks.mixture.runs import LossUnit, ProxyRun, RunTable
from tasks.mixture.tables.cells import INDEX, ROW_NAMES
from tasks.mixture.tables.table import Table, check_repeats, check_varied, paired, weights_of

MEAN = "mean"
# Forward and backward pass, per parameter and token (Kaplan et al., arXiv 2001.08361, section 2.1).
_FLOPS_PER_PARAMETER = 6


@dataclass(frozen=True)
class Origin:
    """What a pair of tables does not say: the runs' size (0 = not known), their seed, and the unit of their losses."""

    model_parameters: int = 0
    tokens: int = 0
    seed: int = 0
    unit: LossUnit = "loss"


@dataclass(frozen=True)
class Imported:
    """The runs of a pair of tables; `normalised` rows summed to 1 only up to printed rounding."""

    runs: RunTable
    normalised: int
    paired_by: str


def import_tables(mixtures: Table, losses: Table, origin: Origin, target: str = MEAN) -> Imported:
    """Return a pair of tables as runs of kind `imported`, numbered as their index says where it counts.

    Columns keep their names, so that `--target` and `--predict` go on with the files of the same project. The objective
    is the target: a column of losses, or the mean of them all.

    Raises:
        ConfigError: the target is no column.
        DataError: rows cannot be paired, a mixture does not sum to 1 within .01, a column of losses never changes, or
            the same mixture was measured twice with other results; says the row and the remedy.
    """
    weights, found = weights_of(mixtures), paired(mixtures, losses)
    if target != MEAN and target not in found.columns:
        raise ConfigError(
            f"{losses.path}: there is no column {target}. There are: {MEAN} (of all), {', '.join(found.columns)}."
        )
    check_varied(found)
    check_repeats(mixtures, weights.weights_RD, found)
    values_RS = found.values_RC
    by_column = target in found.columns
    objective_R = values_RS[:, found.columns.index(target)] if by_column else values_RS.mean(axis=1)
    flops = _FLOPS_PER_PARAMETER * origin.model_parameters * origin.tokens
    size = (origin.seed, origin.model_parameters, origin.tokens, flops)
    numbered = zip(
        _numbers(mixtures), objective_R.tolist(), weights.weights_RD.tolist(), values_RS.tolist(), strict=True
    )
    rows = tuple(
        ProxyRun(number, 0, "imported", *size, value, tuple(w), tuple(loss)) for number, value, w, loss in numbered
    )
    by = next((name for name in ROW_NAMES if name in mixtures.names and name in losses.names), "order")
    return Imported(RunTable(mixtures.columns, found.columns, origin.unit, rows), weights.normalised, by)


def export_tables(
    runs: RunTable, seed: int | None = None, model_parameters: int | None = None, tokens: int | None = None
) -> tuple[str, str]:
    """Return the runs as two CSV texts, weights and losses, paired by `index` = number of the run.

    Such tables know no seeds and no sizes: they hold one run per mixture, of one size and one seed (None = the first
    row's); `model_parameters` and `tokens` choose among sizes. Floats read back as the same bits.

    Raises:
        DataError: no run has this seed or size, there are several sizes, or a column would name rows.
    """
    chosen = [
        row for row in runs.rows if model_parameters in (None, row.model_parameters) and tokens in (None, row.tokens)
    ]
    sizes = sorted({row.fidelity for row in chosen})
    if len(sizes) > 1:
        found_sizes = "; ".join(f"{parameters:,} parameters on {tokens:,} tokens" for parameters, tokens in sizes)
        raise DataError(
            f"the runs have {len(sizes)} sizes ({found_sizes}), a pair of tables has one. "
            "Choose with --model-parameters or --tokens."
        )
    seed = chosen[0].seed if seed is None and chosen else seed
    rows = [] if seed is None else replace(runs, rows=tuple(chosen)).paired(seed).rows
    if not rows:
        raise DataError(
            f"no run has this size and seed; the table has {len(runs.rows)} runs, with the seeds "
            f"{sorted({row.seed for row in runs.rows})} and the sizes (parameters, tokens) {list(runs.fidelities())}."
        )
    if reserved := [name for name in (*runs.domains, *runs.sets) if name in ROW_NAMES]:
        raise DataError(f"the column {reserved[0]} would be read as names of rows. Rename that domain or held-out set.")
    numbers = [row.run for row in rows]
    mixtures = _csv(runs.domains, numbers, [row.weights for row in rows])
    return mixtures, _csv(runs.sets, numbers, [row.losses for row in rows])


def _numbers(mixtures: Table) -> Sequence[int]:
    """Return what the index says, where it counts; else the rows' numbers from 0."""
    names = mixtures.names.get(INDEX, ())
    if names and all(name.isascii() and name.isdigit() for name in names):
        return [int(name) for name in names]
    return list(range(len(mixtures.lines)))


def _csv(columns: Sequence[str], numbers: Sequence[int], rows: Sequence[Sequence[float]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([INDEX, *columns])
    writer.writerows([number, *map(repr, row)] for number, row in zip(numbers, rows, strict=True))
    return stream.getvalue()
