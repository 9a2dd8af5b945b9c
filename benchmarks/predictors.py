"""Predictors replayed on published tables: rank correlations on runs not seen, how many intervals hold, seconds.

RegMix's tables (512 training and 256 test mixtures of 17 domains, 13 losses, 1M parameters): fitted on the first n rows of
RandomState(1000 + repeat).permutation(512), six repeats and one fit on all 512, judged on the 256 test rows, which
nothing was tuned on. The mixing-laws tables (mean loss of 22 Pile domains at step 30,000): five folds, three shuffles.
"""

import csv
import gzip
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from benchmarks.inputs import shared
from benchmarks.measure import Line, Note, cpu_seconds, ratio, spread_of
from benchmarks.options import Options
from tasks.core.rng import generator
from tasks.mixture.predictors.choose import NINETY, PredictorParams, Selection, choose, fit, refit, spearman
from tasks.mixture.predictors.linear import Linear
from tasks.mixture.predictors.log_linear import LogLinear
from tasks.mixture.predictors.mixing_law import MixingLaw
from tasks.mixture.predictors.predictor import Measured, Predictor
from tasks.mixture.predictors.trees import Lightgbm

Array = npt.NDArray[np.float64]

SIZES = (32, 64, 128, 256, 512)
REPEATS = 6
# Beside those the default chooses from; the slow ones on one repeat.
OTHERS: tuple[PredictorParams, ...] = (Linear(), MixingLaw())
SLOW: tuple[PredictorParams, ...] = (LogLinear(), Lightgbm(), Lightgbm(settings="climb"))
MIXING_LAWS = (("RedPajama", "70M"), ("RedPajama", "410M"), ("5Mix", "70M"), ("5Mix", "410M"))
STEP, FOLDS, SHUFFLES = "30000", 5, 3


@dataclass(frozen=True)
class Table:
    """Mixtures and losses, [rows, domains] and [rows, outputs]."""

    weights_RD: Array
    losses_RO: Array

    def measured(self, rows: npt.NDArray[np.int64]) -> Measured:
        """Return some rows, the mean of the losses being the objective."""
        outputs = self.losses_RO.shape[1]
        return Measured(self.weights_RD[rows], self.losses_RO[rows], np.full(outputs, 1 / outputs))


def run(options: Options) -> Iterator[Line | Note]:
    """Replay the tables where there are any, and measure the seconds of choosing and refitting."""
    with threadpool_limits(1):
        if folder := shared():
            tables = regmix(folder)
            for target, (training, test) in tables.items():
                for runs in SIZES:
                    yield from _ranks(target, runs, training, test)
            for experiment, size in MIXING_LAWS:
                yield from _mixing_laws(experiment, size, mixing_laws(folder, experiment, size))
            rows = np.random.RandomState(1000).permutation(512)[:112]
            yield from _seconds("RegMix, 13 losses", tables["mean of 13"][0].measured(rows), options.rounds)
        else:
            yield Note("no published tables here: seconds alone, on made losses")
            weights_RD = generator(0, "benchmark", "predictors").dirichlet(np.ones(17), size=112)
            losses_RO = 2.0 + (0.1 + weights_RD[:, :13]) ** -0.3
            yield from _seconds("made, 13 losses", Measured(weights_RD, losses_RO, np.full(13, 1 / 13)), options.rounds)


def regmix(folder: Path) -> dict[str, tuple[Table, Table]]:
    """Return training and test table for the two targets: one web loss, and the mean of all."""
    found = folder / "tables" / "regmix"
    header = (found / "train_pile_loss_1m.csv").read_text().splitlines()[0].split(",")[1:]
    web = [index for index, name in enumerate(header) if "pile_cc" in name]

    def read(split: str) -> Table:
        mixture_RD, loss_RO = (
            np.loadtxt(found / f"{split}_{name}_1m.csv", delimiter=",", skiprows=1)[:, 1:]
            for name in ("mixture", "pile_loss")
        )
        # The weights are rounded to three decimals in the table.
        return Table(mixture_RD / mixture_RD.sum(axis=1, keepdims=True), loss_RO)

    both = read("train"), read("test")
    alone = tuple(replace(table, losses_RO=table.losses_RO[:, web]) for table in both)
    return {"pile_cc": (alone[0], alone[1]), "mean of 13": both}


def mixing_laws(folder: Path, experiment: str, size: str) -> Table:
    """Return one of the mixing-laws tables: every mixture with all 22 losses at step 30,000, in the order of its ratio."""
    losses: dict[str, dict[str, float]] = defaultdict(dict)
    with gzip.open(folder / "tables" / "mixinglaws" / "mixinglaws_losses.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if (row["experiment"], row["model_size"], row["step"]) == (experiment, size, STEP):
                losses[row["train_ratio"]][row["val_domain"]] = float(row["val_loss"])
    sets = sorted({name for found in losses.values() for name in found})
    ratios = sorted(ratio for ratio, found in losses.items() if len(found) == len(sets))
    weights_RD = np.array([[float(weight) for weight in ratio.split("-")] for ratio in ratios])
    losses_RO = np.array([[losses[ratio][name] for name in sets] for ratio in ratios])
    return Table(weights_RD / weights_RD.sum(axis=1, keepdims=True), losses_RO)


def _ranks(target: str, runs: int, training: Table, test: Table) -> Iterator[Line]:
    """Yield rank correlations of the default, of each predictor, and the share of test rows within the intervals."""
    truth_M = test.losses_RO.mean(axis=1)
    parts = [
        training.measured(np.random.RandomState(1000 + repeat).permutation(512)[:runs])
        for repeat in range(REPEATS if runs < 512 else 1)
    ]

    def rank(predictor: Predictor) -> float:
        return spearman(predictor.mean(test.weights_RD), truth_M)

    choices = [choose(Selection(), part).predictor for part in parts]
    name = f"{target}, {runs} runs"
    yield Line(f"{name}: chosen", "rank correlation", spread_of([rank(choice) for choice in choices]))
    kept = [_coverage(choice, test.weights_RD, truth_M) for choice in choices]
    mean = float(np.mean(kept))
    yield Line(f"{name}: 90 % intervals hold, mean", "of 1", replace(spread_of(kept), median=mean))
    for params in (*Selection().zoo, *OTHERS, *SLOW):
        ranks = [rank(fit(params, part)) for part in (parts[:1] if params in SLOW else parts)]
        yield Line(f"{name}: {_title(params)}", "rank correlation", spread_of(ranks))


def _title(params: PredictorParams) -> str:
    return f"{params.kind} as {params.settings}" if isinstance(params, Lightgbm) else params.kind


def _coverage(predictor: Predictor, weights_MD: Array, truth_M: Array) -> float:
    half_M = NINETY * predictor.measured_sd(weights_MD)
    return float((np.abs(predictor.mean(weights_MD) - truth_M) <= half_M).mean())


def _mixing_laws(experiment: str, size: str, table: Table) -> Iterator[Line]:
    fits: dict[str, Callable[[Measured], Predictor]] = {"chosen": lambda part: choose(Selection(), part).predictor}
    for params in (*Selection().zoo, *OTHERS, *SLOW):
        fits[_title(params)] = lambda part, params=params: fit(params, part)  # type: ignore[misc]
    for kind, fitted in fits.items():
        ranks = [_cross_validated(table, fitted, shuffle) for shuffle in range(SHUFFLES)]
        title = f"mixing laws, {experiment} {size}, {len(table.weights_RD)} runs: {kind}"
        yield Line(title, "rank correlation", spread_of(ranks))


def _cross_validated(table: Table, fitted: Callable[[Measured], Predictor], shuffle: int) -> float:
    runs = len(table.weights_RD)
    fold_R = np.random.RandomState(shuffle).permutation(runs) % FOLDS
    predicted_R = np.empty(runs)
    for fold in range(FOLDS):
        predictor = fitted(table.measured(np.flatnonzero(fold_R != fold)))
        predicted_R[fold_R == fold] = predictor.mean(table.weights_RD[fold_R == fold])
    return spearman(predicted_R, table.losses_RO.mean(axis=1))


def _seconds(name: str, data: Measured, rounds: int) -> Iterator[Line]:
    """Yield CPU seconds of choosing and refitting, beside one process of scikit-learn."""
    selected = choose(Selection(), data).selected
    whole = cpu_seconds(lambda: choose(Selection(), data), rounds, warm=False)
    again = cpu_seconds(lambda: refit(selected, data), rounds)
    peer = cpu_seconds(lambda: _sklearn(data), rounds)
    title = f"{name}, {len(data.weights_RD)} runs"
    yield Line(f"{title}: choose by cross-validation", "CPU-s", whole)
    yield Line(f"{title}: refit what was chosen", "CPU-s", again)
    yield Line(f"{title}: one process of scikit-learn", "CPU-s", peer)
    yield Line(f"{title}: our refit / one of its", "ratio", ratio(again, peer))


def _sklearn(data: Measured) -> object:
    import warnings

    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Matern, WhiteKernel

    kernel = Matern(np.ones(data.weights_RD.shape[1]), nu=2.5) + WhiteKernel()
    with warnings.catch_warnings():
        # It warns where a length scale reaches its bound; the fit is what is timed.
        warnings.simplefilter("ignore")
        process = GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=1, random_state=0)
        return process.fit(np.sqrt(data.weights_RD), data.losses_RO @ data.objective_O)
