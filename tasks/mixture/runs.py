"""The table of runs: what was measured, one frozen row per proxy, in and out as CSV."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from tasks.core.digest import digest_json
from tasks.core.errors import DataError

Array = npt.NDArray[np.float64]
Kind = Literal["natural", "uniform", "design", "proposal", "repeat"]

_FIXED = ("run", "round", "kind", "seed", "model_parameters", "tokens", "flops", "objective")


@dataclass(frozen=True)
class Run:
    """One measured mixture: a weight and bits per byte for each domain, and how large the run was."""

    run: int
    round: int
    kind: Kind
    seed: int
    model_parameters: int
    tokens: int
    flops: int
    objective: float
    weights: tuple[float, ...]
    bpb: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise DataError(f"run {self.run}: kind {self.kind!r} is none of {', '.join(get_args(Kind))}.")
        if not all(isfinite(value) for value in (self.objective, *self.weights, *self.bpb)):
            raise DataError(f"run {self.run}: it holds a value that is no finite number. Measure it again.")
        if not abs(sum(self.weights) - 1) <= 1e-6:
            raise DataError(f"run {self.run}: its weights sum to {sum(self.weights):.6f}, not to 1. Correct the table.")

    @property
    def key(self) -> str:
        """What was asked for: two runs with the same key must have measured the same."""
        return digest_json([list(self.weights), self.seed, self.model_parameters, self.tokens])


@dataclass(frozen=True)
class Runs:
    """All runs of a search, in the order they were asked for.

    Raises:
        DataError: a mixture was run twice with the same seed and size, and the results differ.
    """

    domains: tuple[str, ...]
    rows: tuple[Run, ...]

    def __post_init__(self) -> None:
        first: dict[str, Run] = {}
        for row in self.rows:
            if (len(row.weights), len(row.bpb)) != (len(self.domains),) * 2:
                raise DataError(f"run {row.run}: {len(row.weights)} weights for {len(self.domains)} domains.")
            same = first.setdefault(row.key, row)
            if same.bpb != row.bpb:
                raise DataError(
                    f"runs {same.run} and {row.run} are the same mixture, seed and size but measured "
                    f"{same.objective!r} and {row.objective!r}: one of them is wrong. Remove it, or measure again."
                )

    def weights_RD(self) -> Array:
        """Return the weights, shape [runs, domains]."""
        return np.array([row.weights for row in self.rows]).reshape(-1, len(self.domains))

    def bpb_RD(self) -> Array:
        """Return bits per byte, shape [runs, domains]."""
        return np.array([row.bpb for row in self.rows]).reshape(-1, len(self.domains))

    def paired(self, seed: int) -> "Runs":
        """Return the runs with this seed, each mixture once: same initialisation and document order for all of them."""
        once = {row.key: row for row in reversed(self.rows) if row.seed == seed}
        return replace(self, rows=tuple(sorted(once.values(), key=lambda row: row.run)))

    def noise_sd(self) -> float | None:
        """Return the standard deviation of the objective over seeds of one mixture, pooled; None without repeats."""
        groups: dict[tuple[float, ...], dict[int, float]] = {}
        for row in self.rows:
            groups.setdefault(row.weights, {})[row.seed] = row.objective
        repeated = [np.array(list(group.values())) for group in groups.values() if len(group) > 1]
        if not repeated:
            return None
        squares = sum(float(((values - values.mean()) ** 2).sum()) for values in repeated)
        return float(np.sqrt(squares / sum(len(values) - 1 for values in repeated)))


def to_csv(runs: Runs) -> str:
    """Return the table as CSV; floats are written so that they read back as the same bits."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_header(runs.domains))
    for row in runs.rows:
        fixed = [getattr(row, name) for name in _FIXED[:-1]]
        writer.writerow([*fixed, *map(repr, (row.objective, *row.weights, *row.bpb))])
    return stream.getvalue()


def read_runs(path: Path) -> Runs:
    """Read the table that `to_csv` wrote.

    Raises:
        DataError: a column is missing, a cell is no number, or two rows disagree; says the line.
    """
    with path.open(encoding="utf-8", newline="") as stream:
        lines = list(csv.reader(stream))
    if not lines:
        raise DataError(f"{path}: the file is empty. Run search again.")
    domains = tuple(name.removeprefix("w:") for name in lines[0] if name.startswith("w:"))
    if lines[0] != _header(domains):
        raise DataError(f"{path}: the columns are not those of a table of runs: {', '.join(lines[0])}.")
    return Runs(domains, tuple(_read_rows(path, lines[1:], len(domains))))


def _read_rows(path: Path, lines: Sequence[Sequence[str]], num_domains: int) -> Iterable[Run]:
    for number, cells in enumerate(lines, start=2):
        try:
            run, round_, kind, seed, parameters, tokens, flops = cells[:7]
            objective, *values = map(float, cells[7:])
            if len(values) != 2 * num_domains:
                raise ValueError(f"{len(cells)} cells")
            weights, bpb = tuple(values[:num_domains]), tuple(values[num_domains:])
            whole = (int(seed), int(parameters), int(tokens), int(flops))
            yield Run(int(run), int(round_), kind, *whole, objective, weights, bpb)  # type: ignore[arg-type]
        except ValueError as error:
            raise DataError(f"{path}, line {number}: not a run: {error}. Run search again.") from error


def _header(domains: Sequence[str]) -> list[str]:
    return [*_FIXED, *(f"w:{name}" for name in domains), *(f"bpb:{name}" for name in domains)]
