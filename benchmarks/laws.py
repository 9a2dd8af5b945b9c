"""Scaling laws on published tables: figures beside the published ones, and how many runs held out lie in the 80 % intervals.

Every law is fitted to what was cheap and judged on what was dear. Points of one table are not independent (one fit predicts
many of them), so fits are counted too. A row is marked where the share is below 70 % or above 90 %.
"""

import csv
import gzip
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.inputs import shared
from benchmarks.law_tables import (
    DATA_SETS,
    SMALL,
    Run,
    chinchilla_points,
    loss_pairs,
    over_trained,
    published_choice,
    sweep,
    table,
)
from benchmarks.measure import Note
from benchmarks.options import Options
from tasks.core.text_table import text_table
from tasks.laws.chinchilla import Chinchilla
from tasks.laws.cmr import Cmr
from tasks.laws.cod import Cod
from tasks.laws.curve import Array
from tasks.laws.d_cpt import DCpt
from tasks.laws.kinds import LawParams, fit
from tasks.laws.loss_to_loss import LossToLoss
from tasks.laws.over_training import OverTraining

CONFIDENCE = 0.8
# Three of the eight held-out sets of the runs of 2403.08540; the others go with them.
HELD_OUT_SETS = ("c4_val", "openlm", "paloma_redpajama")
WAYS = ("train to train", "test to test", "train to test")
_LEAST, _MOST = 0.7, 0.9
Rows = Mapping[str, Sequence[float] | Sequence[str] | Array]


class Tally:
    """Errors, half widths and hits of one law in one way of holding out, over several fits."""

    def __init__(self) -> None:
        self.fits, self.runs = 0, 0
        self.errors: list[float] = []
        self.halves: list[float] = []
        self.inside: list[bool] = []

    def add(self, params: LawParams, runs: Rows, at: Rows, truth_R: Array, before: str = "") -> None:
        """Fit, predict and count; errors and widths are shares of what was measured."""
        answer = fit(params, table(**runs)).answer(table(**at), CONFIDENCE)
        value_R, lower_R, upper_R = (
            np.array(list(map(float, answer.columns[before + name]))) for name in ("prediction", "lower", "upper")
        )
        self.fits, self.runs = self.fits + 1, max(self.runs, len(next(iter(runs.values()))))
        self.errors += (np.abs(value_R - truth_R) / truth_R).tolist()
        self.halves += ((upper_R - lower_R) / 2 / truth_R).tolist()
        self.inside += ((lower_R <= truth_R) & (truth_R <= upper_R)).tolist()

    def cells(self, law: str, held_out: str) -> tuple[str, ...]:
        """Return a row of the table of results."""
        share = float(np.mean(self.inside))
        mark = "too narrow" if share < _LEAST else "wide" if share > _MOST else ""
        error, half = float(np.median(self.errors)), float(np.median(self.halves))
        counts = (f"{self.runs}", f"{self.fits}", f"{len(self.inside)}")
        return (law, held_out, *counts, f"{error:.2%}", f"{half:.2%}", f"{share:.0%}", mark)


HEAD = ("law", "held out", "runs", "fits", "held-out", "median error", "half interval", "inside", "")


def run(options: Options) -> Iterator[Note]:
    """Fit every law to the published tables, where there are any."""
    folder = shared()
    if folder is None:
        yield Note("no published tables here")
        return
    with threadpool_limits(1):
        parts = (_over_training, _chinchilla, _continual, _cod, _loss_to_loss)
        found = [one for part in parts for one in part(folder)]
        yield from map(Note, text_table(HEAD, [tally.cells(law, held_out) for law, held_out, tally in found], left=2))
        yield from map(Note, _beside_the_authors(folder, [tally for _, _, tally in found[-len(WAYS) :]]))


Part = Iterator[tuple[str, str, Tally]]


def _over_training(folder: Path) -> Part:
    runs = over_trained(folder)
    ways: dict[str, tuple[Callable[[Run], bool], Callable[[Run], bool]]] = {
        "5 runs of the paper; 1.4B and 6.9B": (published_choice, lambda run: run.params > SMALL[-1]),
        "5 runs of the paper; all others": (published_choice, lambda run: not published_choice(run)),
        "up to 411M; 1.4B and 6.9B": (lambda run: run.params in SMALL, lambda run: run.params > SMALL[-1]),
        "up to 3e18 FLOPs; from 3e19": (lambda run: run.flops < 3e18, lambda run: run.flops > 3e19),
        "up to 3e19 FLOPs; from 1e20": (lambda run: run.flops < 3e19, lambda run: run.flops > 1e20),
    }
    pools = sorted({run.pool for run in runs})
    for law, params in (("over_training", OverTraining()), ("chinchilla", Chinchilla())):
        for held_out, (cheap, dear) in ways.items():
            tally = Tally()
            for pool in pools:
                some = [run for run in runs if run.pool == pool and cheap(run)]
                others = [run for run in runs if run.pool == pool and dear(run)]
                for name in HELD_OUT_SETS:
                    truth_R = np.array([run.losses[name] for run in others])
                    tally.add(
                        params, _sizes(some) | {"loss": [run.losses[name] for run in some]}, _sizes(others), truth_R
                    )
            yield law, held_out, tally
    tally = Tally()
    for pool in pools:
        some = [run for run in runs if run.pool == pool and run.params in SMALL]
        others = [run for run in runs if run.pool == pool and run.params > SMALL[-1]]
        columns = {"loss": [run.losses["c4_val"] for run in some], "error": [run.error for run in some]}
        truth_R = np.array([run.error for run in others])
        tally.add(OverTraining(), _sizes(some) | columns, _sizes(others), truth_R, "error_")
    yield "over_training, error", "up to 411M; 1.4B and 6.9B", tally


def _sizes(runs: Sequence[Run]) -> dict[str, list[float]]:
    return {"params": [float(run.params) for run in runs], "tokens": [float(run.tokens) for run in runs]}


def _chinchilla(folder: Path) -> Part:
    points = chinchilla_points(folder)
    flops = 6 * points["params"] * points["tokens"]
    for limit in (1e19, 3e19, 1e20, 3e20):
        tally = Tally()
        _split(tally, points, flops < limit, flops > 2 * limit)
        yield "chinchilla", f"figure 4 up to {limit:g} FLOPs; from twice that", tally
    for limit in (3e18, 1e19):
        tally = Tally()
        for data in DATA_SETS:
            rows = sweep(folder, data, "val_loss")
            flops = 6 * rows["params"] * rows["tokens"]
            _split(tally, rows, flops < 1.2 * limit, flops > 1.5 * limit)
        yield "chinchilla", f"sweeps on 6 corpora up to {limit:g} FLOPs; larger", tally


def _split(tally: Tally, columns: Mapping[str, Array], cheap_R: Array, dear_R: Array) -> None:
    runs, at = ({name: values_R[rows_R] for name, values_R in columns.items()} for rows_R in (cheap_R, dear_R))
    truth_R = at.pop("loss")
    tally.add(Chinchilla(), runs, at, truth_R)


def _continual(folder: Path) -> Part:
    """Continual pre-training of 70M on two domains, five mixtures; and two domains from scratch at two sizes."""
    for held_out, early in (("steps up to 5,000; 6,000 to 10,000", 5000), ("steps up to 7,000; later", 7000)):
        tally = Tally()
        for columns in _mixed(folder, "ct").values():
            kept_R = columns["tokens"] <= early
            runs, at = ({name: values_R[rows_R] for name, values_R in columns.items()} for rows_R in (kept_R, ~kept_R))
            tally.add(Cmr(), runs, at, at.pop("loss"))
        yield "cmr", held_out, tally
    for held_out, largest in (("ratios up to 0.285; larger", 0.3), ("ratios up to 0.375; 0.5", 0.4)):
        tally = Tally()
        for columns in _mixed(folder, "ct").values():
            kept_R = columns["ratio"] <= largest
            runs, at = ({name: values_R[rows_R] for name, values_R in columns.items()} for rows_R in (kept_R, ~kept_R))
            tally.add(Cmr(), runs, at, at.pop("loss"))
        yield "cmr", held_out, tally
    tally = Tally()
    for columns in _mixed(folder, "2Mix").values():
        dear_R = (columns["params"] > 1e8) & (columns["tokens"] > 20000)
        runs, at = ({name: values_R[rows_R] for name, values_R in columns.items()} for rows_R in (~dear_R, dear_R))
        tally.add(DCpt(), runs, at, at.pop("loss"))
    yield "d_cpt", "70M, and 160M up to step 20,000; 160M later", tally


def _mixed(folder: Path, experiment: str) -> dict[str, dict[str, Array]]:
    """Return the runs of an experiment by held-out domain; tokens are in steps, ratio is the first domain's share."""
    rows: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    with gzip.open(folder / "tables" / "mixinglaws" / "mixinglaws_losses.csv.gz", "rt", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if row["experiment"] == experiment and row["train_ratio"]:
                share, other = (float(weight) for weight in row["train_ratio"].split("-"))
                # The law wants the share of the corpus whose loss it is.
                ratio = other if experiment == "2Mix" and row["val_domain"] == "Pile-CC" else share
                size = 1e6 * float(row["model_size"].removesuffix("M"))
                rows[row["val_domain"]].append((size, float(row["step"]), ratio, float(row["val_loss"])))
    return {
        name: dict(zip(("params", "tokens", "ratio", "loss"), np.array(sorted(found)).T, strict=True))
        for name, found in rows.items()
    }


def _cod(folder: Path) -> Part:
    runs = over_trained(folder)
    tasks = sorted(runs[0].accuracies)
    for limit in (3e19, 3e20, 1e21):
        tally = Tally()
        for pool in sorted({run.pool for run in runs}):
            some = [run for run in runs if run.pool == pool and run.flops < limit]
            others = [run for run in runs if run.pool == pool and run.flops > 2 * limit]
            columns = {
                "params": [float(run.params) for run in some for _ in tasks],
                "tokens": [float(run.tokens) for run in some for _ in tasks],
                "item": tasks * len(some),
                "pass_rate": [run.accuracies[task] for run in some for task in tasks],
            }
            truth_R = np.array([np.mean([run.accuracies[task] for task in tasks]) for run in others])
            tally.add(Cod(), columns, _sizes(others), truth_R)
        yield "cod", f"46 tasks as items, up to {limit:g} FLOPs; from twice that", tally


def _loss_to_loss(folder: Path) -> Part:
    for way in WAYS:
        tally = Tally()
        for pair in loss_pairs(folder):
            if pair.way == way:
                tally.add(LossToLoss(), pair.runs, {"loss_0": [pair.large_0]}, np.array([pair.large_1]))
        yield "loss_to_loss", f"{way}: up to 5e19 FLOPs; 1e21", tally


def _beside_the_authors(folder: Path, tallies: Sequence[Tally]) -> list[str]:
    """Return the errors of loss-to-loss prediction beside the authors' fits to the same runs."""
    rows = []
    for way, tally in zip(WAYS, tallies, strict=True):
        theirs = [
            [abs(value / pair.large_1 - 1) for value in (pair.authors_curve(), pair.authors_law)]
            for pair in loss_pairs(folder)
            if pair.way == way
        ]
        found = np.column_stack([tally.errors, theirs])
        figures = (*np.median(found, axis=0), *found.mean(axis=0))
        rows.append((way, f"{len(found)}", *(f"{value:.2%}" for value in figures)))
    names = ("ours", "their curve", "their scaling law")
    head = (*(f"median, {name}" for name in names), *(f"mean, {name}" for name in names))
    return text_table(("error at 1e21 FLOPs", "pairs", *head), rows)
