"""What a ladder forecasts: a scaling law for every held-out set and for their mean, beside the naive forecast, and checked.

The naive forecast is what the largest size reached with the most tokens, and the spread of its runs. The check holds sizes
out, from the largest down: each is forecast from the smaller ones alone, as far as these can identify the law.

Axes: R runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

import numpy as np

from tasks.core.errors import DataError, EvidenceError
from tasks.ladder.proportional import Proportional, predicted
from tasks.ladder.published import Check, Forecast, LadderForecast
from tasks.laws.chinchilla import Chinchilla
from tasks.laws.curve import Array, Columns, Rows, rows_of
from tasks.laws.kinds import fit
from tasks.laws.law import LOSS, PARAMS, TOKENS
from tasks.laws.over_training import OverTraining
from tasks.laws.table import NOT_NEGATIVE, POSITIVE, Column, LawTable, read_law_table

_FLOPS = Column("flops", "floating-point operations of the run", POSITIVE)
_SEED = Column("seed", "of the run", NOT_NEGATIVE)
_SET = Column("set", "held-out set whose bits per byte are given", None)
_READS = (PARAMS, TOKENS, _FLOPS, _SEED, _SET, LOSS)
COLUMNS = tuple(column.name for column in _READS)
# No set has a blank in its name.
MEAN = "mean of all sets"

SizeLaw = Proportional | OverTraining | Chinchilla


@dataclass(frozen=True)
class At:
    """A run that is forecast: parameters and tokens."""

    params: float
    tokens: float


@dataclass(frozen=True)
class LadderRuns:
    """Where the runs were read, and of every set and of their mean the columns params, tokens and loss, each [R]."""

    path: str
    sets: Mapping[str, Columns]

    def only(self, rows_R: Rows) -> "LadderRuns":
        """Return some runs."""
        return LadderRuns(self.path, {name: rows_of(columns, rows_R) for name, columns in self.sets.items()})

    def __len__(self) -> int:
        """Return the number of runs."""
        return len(self.params_R)

    @property
    def params_R(self) -> Array:
        """Parameters of every run."""
        return self.sets[MEAN]["params"]


def read_runs(path: Path) -> LadderRuns:
    """Read the runs of a ladder.

    Raises:
        DataError: the table cannot be read, or a run lacks a set or has one twice.
    """
    table = read_law_table(path, _READS)
    names = table.text("set")
    runs = list(zip(*(table.numbers[name].tolist() for name in ("params", "tokens", "seed")), strict=True))
    found: dict[str, dict[tuple[float, ...], float]] = {name: {} for name in names}
    for row, (name, run, loss) in enumerate(zip(names, runs, table.numbers["loss"].tolist(), strict=True)):
        if run in found[name]:
            raise DataError(
                f"{table.place(row)}: the set {name} of this run stands there before. Leave one of them out."
            )
        found[name][run] = loss
    ordered = sorted({*runs})
    for name, losses in found.items():
        if lacking := [run for run in ordered if run not in losses]:
            told = ", ".join(f"{value:g}" for value in lacking[0])
            raise DataError(
                f"{path}: {len(lacking)} of {len(ordered)} runs lack the set {name}; first (params, tokens, seed): {told}. "
                "Measure every run on every set."
            )
    by_set = {name: [own[run] for run in ordered] for name, own in found.items()}
    by_set[MEAN] = [fmean(values) for values in zip(*by_set.values(), strict=True)]
    sizes = {"params": np.array([run[0] for run in ordered]), "tokens": np.array([run[1] for run in ordered])}
    return LadderRuns(str(path), {name: {**sizes, "loss": np.array(values)} for name, values in by_set.items()})


def forecast(runs: LadderRuns, law: SizeLaw, at: Sequence[At], confidence: float) -> LadderForecast:
    """Forecast every set and their mean at each row, and check the law on sizes held out.

    Raises:
        EvidenceError: the runs cannot identify the law.
    """
    return LadderForecast(
        law=law,
        confidence=confidence,
        runs=len(runs),
        forecasts=tuple(_forecasts(runs, law, at, confidence)),
        check=_check(runs, law, confidence),
        bending_sizes=bending_sizes(runs.sets[MEAN]),
    )


def bending_sizes(columns: Columns) -> tuple[float, ...]:
    """Return the parameters of the sizes whose loss falls faster with log tokens late than early, ascending.

    >>> tokens, loss = np.array([1.0, 2.0, 4.0] * 2), np.array([4.0, 3.5, 3.25, 4.0, 3.9, 3.5])
    >>> bending_sizes({"params": np.repeat([10.0, 20.0], 3), "tokens": tokens, "loss": loss})
    (20.0,)
    """
    found = []
    for size in sorted({*columns["params"].tolist()}):
        own = rows_of(columns, columns["params"] == size)
        tokens = sorted({*own["tokens"].tolist()})
        losses = [float(own["loss"][own["tokens"] == each].mean()) for each in tokens]
        falls = -np.diff(losses) / np.diff(np.log(tokens))
        if (np.diff(falls) > 0).any():
            found.append(size)
    return tuple(found)


def _forecasts(runs: LadderRuns, law: SizeLaw, at: Sequence[At], confidence: float) -> list[Forecast]:
    found = []
    for name, values_of in _by_law(runs, law, at, confidence).items():
        naive, half = _naive(runs.sets[name], confidence)
        for one, values in zip(at, values_of, strict=True):
            found.append(
                Forecast(
                    set=name,
                    params=one.params,
                    tokens=one.tokens,
                    naive=naive,
                    naive_lower=naive - half,
                    naive_upper=naive + half,
                    **values,
                )
            )
    return found


def _by_law(runs: LadderRuns, law: SizeLaw, at: Sequence[At], confidence: float) -> dict[str, list[dict[str, float]]]:
    """Return prediction, lower, upper and extrapolation of every set, by name, at each row."""
    if isinstance(law, Proportional):
        rows = [predicted(law, runs.sets, MEAN, one.params, one.tokens, confidence) for one in at]
        return {name: [vars(row[name]) for row in rows] for name in runs.sets}
    asked = _table(runs.path, {"params": [one.params for one in at], "tokens": [one.tokens for one in at]})
    found = {}
    for name, columns in runs.sets.items():
        answer = fit(law, _table(f"{runs.path}, {name}", columns)).answer(asked, confidence).columns
        keys = ("prediction", "lower", "upper", "extrapolation")
        found[name] = [{key: float(answer[key][row]) for key in keys} for row in range(len(at))]
    return found


def _naive(columns: Columns, confidence: float) -> tuple[float, float]:
    """Return what the largest size reached with the most tokens, and half the interval of its runs' spread."""
    from scipy.stats import norm

    largest = rows_of(columns, columns["params"] == columns["params"].max())
    loss_R, longest_R = largest["loss"], largest["tokens"] == largest["tokens"].max()
    spread = float(loss_R.std(ddof=1)) if len(loss_R) > 1 else 0.0
    return float(loss_R[longest_R].mean()), float(norm.ppf(0.5 + confidence / 2)) * spread


def _check(runs: LadderRuns, law: SizeLaw, confidence: float) -> Check | None:
    sizes = sorted({*runs.params_R.tolist()}, reverse=True)
    found = list[Forecast]()
    for size in sizes:
        smaller, own = runs.only(runs.params_R < size), runs.only(runs.params_R == size)
        try:
            found += _held_out(smaller, own, law, confidence)
        except EvidenceError:
            break  # nor can the still smaller ones
    return _checked(found, confidence) if found else None


def _held_out(smaller: LadderRuns, own: LadderRuns, law: SizeLaw, confidence: float) -> list[Forecast]:
    if not len(smaller):
        raise EvidenceError("there is no smaller size")
    size, tokens_R = float(own.params_R[0]), own.sets[MEAN]["tokens"]
    at = [At(size, tokens) for tokens in sorted({*tokens_R.tolist()})]

    def measured(one: Forecast) -> float:
        return float(own.sets[one.set]["loss"][tokens_R == one.tokens].mean())

    return [one.model_copy(update={"measured": measured(one)}) for one in _forecasts(smaller, law, at, confidence)]


def _checked(found: Sequence[Forecast], confidence: float) -> Check:
    single = [(one, one.measured) for one in found if one.set != MEAN and one.measured is not None]
    largest = max((one for one in found if one.set == MEAN and one.measured), key=lambda one: (one.params, one.tokens))
    assert largest.measured is not None
    inside = [one.lower <= truth <= one.upper for one, truth in single]
    naive_inside = [one.naive_lower <= truth <= one.naive_upper for one, truth in single]
    return Check(
        clusters=len({(one.params, one.set) for one, _ in single}),
        coverage=fmean(inside),
        naive_coverage=fmean(naive_inside),
        interval_score=fmean(interval_score(one.lower, one.upper, truth, confidence) for one, truth in single),
        naive_interval_score=fmean(
            interval_score(one.naive_lower, one.naive_upper, truth, confidence) for one, truth in single
        ),
        median_error=median(abs(one.prediction - truth) / truth for one, truth in single),
        naive_median_error=median(abs(one.naive - truth) / truth for one, truth in single),
        largest_mean_error=(largest.prediction - largest.measured) / largest.measured,
        forecasts=tuple(found),
    )


def interval_score(lower: float, upper: float, truth: float, confidence: float) -> float:
    """Return the score of an interval: its width, and 2 / (1 - confidence) times how far the truth lies outside.

    >>> interval_score(1.0, 2.0, 1.5, 0.8), round(interval_score(1.0, 2.0, 2.1, 0.8), 9)
    (1.0, 2.0)
    """
    outside = max(lower - truth, truth - upper, 0.0)
    return upper - lower + 2 / (1 - confidence) * outside


def _table(path: str, columns: Mapping[str, Sequence[float] | Array]) -> LawTable:
    numbers = {name: np.asarray(values, dtype=np.float64) for name, values in columns.items()}
    cells = tuple(zip(*(map(repr, values_R.tolist()) for values_R in numbers.values()), strict=True))
    return LawTable(path, tuple(numbers), cells, tuple(range(2, len(cells) + 2)), numbers)
