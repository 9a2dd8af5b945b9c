"""The contract of runs.csv: what was measured, one frozen row per proxy, with its one reader and one writer.

Axes: R runs, D domains (what is mixed), S held-out sets (what is measured; in a search of a pool: its domains).
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from tasks.core.digest import digest_json
from tasks.core.errors import DataError
from tasks.mixture.tables.cells import numbered_lines

Array = npt.NDArray[np.float64]
RunKind = Literal["natural", "uniform", "unimax", "design", "proposal", "repeat", "confirm", "transfer", "imported"]
LossUnit = Literal["bits per byte", "nats per token", "loss"]

# What was measured to judge a pick has no part in making it.
JUDGING: tuple[RunKind, ...] = ("confirm", "transfer")
RUNS_FILE = "runs.csv"

# What a column of losses is called in a file: its unit, then the held-out set. "loss": the unit is not known.
PREFIXES: dict[LossUnit, str] = {"bits per byte": "bpb:", "nats per token": "nats:", "loss": "loss:"}
# How a difference in that unit is told: a gain of 0.01 ...
IN_WORDS: dict[LossUnit, str] = {
    "bits per byte": "bits per byte",
    "nats per token": "nats per token",
    "loss": "in the objective",
}
_FORMAT = "2"
_COLUMNS = (
    "format", "run", "round", "kind", "seed", "model_parameters", "tokens", "flops", "data", "instruction_set", "objective",
)  # fmt: skip
# Tables of before `format` was a column are read as well: with `data`, or older ones without.
_EARLIER_COLUMNS = tuple(
    tuple(name for name in _COLUMNS if name not in missing)
    for missing in ({"format", "instruction_set"}, {"format", "instruction_set", "data"})
)


@dataclass(frozen=True)
class ProxyRun:
    """One measured mixture: a weight per domain, a loss per held-out set, and how large the run was.

    `data` is the digest of all that decides its losses but mixture and seed (what it read, how it was trained and
    measured), "" where nobody knows (a table of another project); `model_parameters`, `tokens` and `flops` are 0 where
    such a table does not say them. `instruction_set` is that of the CPU it ran on, "" where that is not known: the last
    bits of its losses depend on it.
    """

    run: int
    round: int
    kind: RunKind
    seed: int
    model_parameters: int
    tokens: int
    flops: int
    objective: float
    weights: tuple[float, ...]
    losses: tuple[float, ...]
    data: str = ""
    instruction_set: str = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(RunKind):
            raise DataError(f"run {self.run}: kind {self.kind!r} is none of {', '.join(get_args(RunKind))}.")
        if not all(isfinite(value) for value in (self.objective, *self.weights, *self.losses)):
            raise DataError(f"run {self.run}: it holds a value that is no finite number. Measure it again.")
        if any(weight < 0 for weight in self.weights):
            raise DataError(f"run {self.run}: it has a weight of {min(self.weights):g}, below 0. Correct the table.")
        if not abs(sum(self.weights) - 1) <= 1e-6:
            raise DataError(f"run {self.run}: its weights sum to {sum(self.weights):.6f}, not to 1. Correct the table.")

    @property
    def key(self) -> str:
        """What was run: two runs with the same key and instruction set must have measured the same."""
        return digest_json([list(self.weights), self.seed, self.model_parameters, self.tokens, self.data])

    @property
    def fidelity(self) -> tuple[int, int]:
        """How large the run was: parameters, tokens."""
        return self.model_parameters, self.tokens


@dataclass(frozen=True)
class RunTable:
    """All runs of a search, in the order they were asked for; losses are in `unit`, one per held-out set in `sets`.

    Raises:
        DataError: a mixture was run twice with the same seed, size and data, and the results differ; or a row does not
            have a weight per domain and a loss per set.
    """

    domains: tuple[str, ...]
    sets: tuple[str, ...]
    unit: LossUnit
    rows: tuple[ProxyRun, ...]

    def __post_init__(self) -> None:
        if self.unit not in PREFIXES:
            raise DataError(f"unit {self.unit!r} is none of {', '.join(PREFIXES)}.")
        first: dict[tuple[str, str], ProxyRun] = {}
        for row in self.rows:
            if (len(row.weights), len(row.losses)) != (len(self.domains), len(self.sets)):
                raise DataError(
                    f"run {row.run}: {len(row.weights)} weights for {len(self.domains)} domains and {len(row.losses)} "
                    f"losses for {len(self.sets)} held-out sets. Correct the table."
                )
            same = first.setdefault((row.key, row.instruction_set), row)
            if same.losses != row.losses:
                pairs = zip(self.sets, same.losses, row.losses, strict=True)
                name, one, other = next(pair for pair in pairs if pair[1] != pair[2])
                raise DataError(
                    f"runs {same.run} and {row.run} are the same mixture, seed, size and data but measured {one!r} and "
                    f"{other!r} on {name}: one of them is wrong. Remove it, or measure again."
                )

    def weights_RD(self) -> Array:
        """Return the weights, shape [runs, domains]."""
        return np.array([row.weights for row in self.rows]).reshape(-1, len(self.domains))

    def losses_RS(self) -> Array:
        """Return the losses, shape [runs, sets], in `unit`."""
        return np.array([row.losses for row in self.rows]).reshape(-1, len(self.sets))

    def fidelities(self) -> tuple[tuple[int, int], ...]:
        """Return the sizes that runs had, (parameters, tokens), smallest first."""
        return tuple(sorted({row.fidelity for row in self.rows}))

    def at(self, model_parameters: int, tokens: int) -> "RunTable":
        """Return the runs of one size."""
        size = (model_parameters, tokens)
        return replace(self, rows=tuple(row for row in self.rows if row.fidelity == size))

    def paired(self, seed: int) -> "RunTable":
        """Return the runs with this seed, each mixture once: same initialisation and document order for all of them."""
        once = {row.key: row for row in reversed(self.rows) if row.seed == seed}
        return replace(self, rows=tuple(sorted(once.values(), key=lambda row: row.run)))

    def noise_sd(self) -> float | None:
        """Return the standard deviation of the objective over seeds of one mixture, pooled; None without repeats.

        Only runs of one size on the same data are compared. Several sizes are pooled: ask `at(...)` for one.
        """
        groups: dict[tuple[object, ...], dict[int, float]] = {}
        for row in self.rows:
            groups.setdefault((row.weights, row.fidelity, row.data, row.instruction_set), {})[row.seed] = row.objective
        repeated = [np.array(list(group.values())) for group in groups.values() if len(group) > 1]
        if not repeated:
            return None
        squares = sum(float(((values - values.mean()) ** 2).sum()) for values in repeated)
        return float(np.sqrt(squares / sum(len(values) - 1 for values in repeated)))


def to_csv(runs: RunTable) -> str:
    """Return the table as CSV; floats are written so that they read back as the same bits."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_header(_COLUMNS, runs.domains, runs.sets, runs.unit))
    for row in runs.rows:
        fixed = [getattr(row, name) for name in _COLUMNS[1:-1]]
        writer.writerow([_FORMAT, *fixed, *map(repr, (row.objective, *row.weights, *row.losses))])
    return stream.getvalue()


def read_runs(path: Path) -> RunTable:
    """Read the table that `to_csv` wrote, or one of an earlier version.

    Raises:
        DataError: no such file, no CSV text, no rows, another format, a column is missing, a cell is no number, or two
            rows disagree; says the line.
    """
    (_, header), *lines = numbered_lines(path)
    fixed, domains, sets, unit = _columns(path, header)
    rows = tuple(_read_rows(path, lines, fixed, len(domains), len(sets)))
    try:
        return RunTable(domains, sets, unit, rows)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _columns(path: Path, header: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], LossUnit]:
    fixed = next((names for names in _EARLIER_COLUMNS if tuple(header[: len(names)]) == names), _COLUMNS)
    domains = tuple(name.removeprefix("w:") for name in header[len(fixed) :] if name.startswith("w:"))
    rest = header[len(fixed) + len(domains) :]
    unit: LossUnit = next((unit for unit in PREFIXES if rest and rest[0].startswith(PREFIXES[unit])), "loss")
    sets = tuple(name.removeprefix(PREFIXES[unit]) for name in rest)
    if not sets or list(header) != _header(fixed, domains, sets, unit):
        raise DataError(
            f"{path}: the columns are not those of a table of runs ({', '.join(_COLUMNS)}, w:DOMAIN ..., bpb:SET ... or "
            f"nats:SET ... or loss:SET ...): {', '.join(header)}. Bring other tables in with `mixwright mixture import`."
        )
    return fixed, domains, sets, unit


def _read_rows(
    path: Path, lines: Sequence[tuple[int, Sequence[str]]], names: Sequence[str], num_domains: int, num_sets: int
) -> Iterable[ProxyRun]:
    for number, cells in lines:
        try:
            if len(cells) != len(names) + num_domains + num_sets:
                raise ValueError(f"{len(cells)} cells")
            fixed = dict(zip(names, cells, strict=False))
            if (found := fixed.get("format", _FORMAT)) != _FORMAT:
                raise ValueError(f"format {found}, this version of Mixwright reads {_FORMAT}")
            values = tuple(map(float, cells[len(names) :]))
            yield _run(fixed, values[:num_domains], values[num_domains:])
        except ValueError as error:
            raise DataError(f"{path}, line {number}: not a run: {error}. Run search again.") from error
        except DataError as error:
            raise DataError(f"{path}, line {number}: {error}") from error


def _run(fixed: Mapping[str, str], weights: tuple[float, ...], losses: tuple[float, ...]) -> ProxyRun:
    return ProxyRun(
        run=int(fixed["run"]),
        round=int(fixed["round"]),
        kind=cast("RunKind", fixed["kind"]),
        seed=int(fixed["seed"]),
        model_parameters=int(fixed["model_parameters"]),
        tokens=int(fixed["tokens"]),
        flops=int(fixed["flops"]),
        objective=float(fixed["objective"]),
        weights=weights,
        losses=losses,
        data=fixed.get("data", ""),
        instruction_set=fixed.get("instruction_set", ""),
    )


def _header(fixed: Sequence[str], domains: Sequence[str], sets: Sequence[str], unit: LossUnit) -> list[str]:
    return [*fixed, *(f"w:{name}" for name in domains), *(f"{PREFIXES[unit]}{name}" for name in sets)]
