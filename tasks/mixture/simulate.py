"""A search replayed against a truth that is known: what a strategy would have found, with how many runs, at no cost.

The truth is fitted to a measured table and has its noise. It has the shape of our own predictors and so is kinder to
strategies that use them than the world is; a strategy that fails here fails everywhere.

Axes: R runs, M mixtures, D domains, S held-out sets.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.core.errors import DataError
from tasks.core.rng import generator
from tasks.mixture.config import SearchParams
from tasks.mixture.designs.space_filling import baselines, draws
from tasks.mixture.limits import limits_of
from tasks.mixture.pool_problem import constraints_of, held_out_only, objective_of
from tasks.mixture.predictors.choose import Choice
from tasks.mixture.predictors.predictor import Predictor
from tasks.mixture.problem import Problem, SearchedDomain
from tasks.mixture.runs import RunTable
from tasks.mixture.strategies.kinds import StrategyParams, method
from tasks.mixture.strategies.local_search import ascend
from tasks.mixture.strategies.random_search import RandomSearch
from tasks.mixture.tables.fit import MEAN, averaged, fit_table, measurements_of_averages
from tasks.mixture.trajectory import num_repeats, trajectory

Array = npt.NDArray[np.float64]


_DRAWS, _STARTS = 2000, 5
_NOMINAL_TOKENS = 10**9


@dataclass(frozen=True)
class Truth:
    """Losses of every mixture without noise, and what a run adds: a shift that its seed shares, and its own part."""

    predictor: Predictor
    objective_S: Array
    seed_sd: float
    run_sd: float

    def objective_M(self, weights_MD: Array) -> Array:
        """Return the true objective of every mixture, shape [M]."""
        return np.asarray(self.predictor.outputs(weights_MD) @ self.objective_S)

    def objective(self, weights_D: Array) -> float:
        """Return the true objective of one mixture."""
        return float(self.objective_M(weights_D[None])[0])

    def measure(self, weights_D: Array, seed: int, stream: int) -> Array:
        """Return one measurement; the same mixture, seed and stream give the same."""
        shared = self.seed_sd * generator(seed, "simulate", stream, "seed").standard_normal()
        own = self.run_sd * generator(seed, "simulate", stream, "run", repr(weights_D.tolist())).standard_normal()
        return np.asarray(self.predictor.outputs(weights_D[None])[0] + shared + own)


@dataclass(frozen=True)
class ReplayPoint:
    """Where a strategy stood after so many runs: the true objective of what it would have shipped."""

    strategy: str
    stream: int
    runs: int
    objective: float


@dataclass(frozen=True)
class Replay:
    """All points, the truth's objective of the baselines and of the best mixture known."""

    points: tuple[ReplayPoint, ...]
    natural: float
    uniform: float
    unimax: float
    best: float

    def regrets(self, strategy: str, runs: int) -> list[float]:
        """Return the regret of each stream of a strategy after so many runs."""
        chosen = [point for point in self.points if point.strategy == strategy and point.runs == runs]
        return [point.objective - self.best for point in sorted(chosen, key=lambda point: point.stream)]

    @property
    def baselines(self) -> dict[str, float]:
        """The regret of every baseline."""
        values = {"natural": self.natural, "uniform": self.uniform, "unimax": self.unimax}
        return {name: value - self.best for name, value in values.items()}

    def to_json(self) -> dict[str, Any]:
        """Return regrets per strategy and number of runs."""
        keys = dict.fromkeys((point.strategy, point.runs) for point in self.points)
        rows = [{"strategy": name, "runs": runs, "regrets": self.regrets(name, runs)} for name, runs in keys]
        return {"strategies": rows, "regret": self.baselines, "best": self.best}


def truth_of(params: SearchParams, runs: RunTable, where: str) -> tuple[Truth, Choice]:
    """Return the truth that a measured table suggests, and how well its predictor does on runs left out.

    The objective is the one in the params. The noise of a run is the fit's, which knows that of the repeats without what
    a seed does to all mixtures alike (`run_noise`); the rest of the noise between seeds of one mixture is that shift.

    Raises:
        ConfigError: the objective names a held-out set that the table does not have.
        DataError, EvidenceError: the table has no runs, too few, or all the same.
    """
    shares = np.array(objective_of(params, runs.sets))
    runs = averaged(runs, where)
    choice = fit_table(params.selection, measurements_of_averages(runs, MEAN, where)).choice
    run_sd = choice.predictor.noise_sd
    between = runs.noise_sd()
    seed_sd = 0.0 if between is None else float(np.sqrt(max(between**2 - run_sd**2, 0.0)))
    return Truth(choice.predictor, shares, seed_sd, run_sd), choice


def free_problem(params: SearchParams, runs: RunTable, where: str) -> Problem:
    """Return a search over the table's domains without caps, natural being what the table calls natural.

    Raises:
        ConfigError: the params name a domain or held-out set that the table does not have.
        DataError: no run in the table is natural.
    """
    natural = next((row.weights for row in runs.rows if row.kind == "natural"), None)
    if natural is None:
        raise DataError(
            f"{where}: no run has kind `natural`, so nothing can be compared with it. Name the runs.csv of a search (an "
            "imported table does not say which mixture is natural)."
        )
    tokens = [round(weight * _NOMINAL_TOKENS) for weight in natural]
    held_out = held_out_only(params, runs.domains)
    domains = tuple(
        SearchedDomain(name, count, count, _NOMINAL_TOKENS, _NOMINAL_TOKENS, trainable=name not in held_out)
        for name, count in zip(runs.domains, tokens, strict=True)
    )
    return Problem(
        domains,
        objective_of(params, runs.sets),
        target_samples=1,
        proxy_samples=1,
        max_epochs=1.0,
        sets=runs.sets,
        constraints=constraints_of(params, runs.sets),
        limits=limits_of(params.share_limits, runs.domains),
    )


def replay(
    params: SearchParams, problem: Problem, truth: Truth, streams: int, progress: Callable[[int, int], None]
) -> Replay:
    """Replay the configured strategy and random search `streams` times; `progress` hears (rounds done, of how many)."""
    strategies: dict[str, StrategyParams] = {params.strategy.kind: params.strategy}
    strategies.setdefault(RandomSearch().kind, RandomSearch())
    points: list[ReplayPoint] = []
    rounds = [
        method(strategy).schedule(strategy, params.num_runs - num_repeats(strategy, params))
        for strategy in strategies.values()
    ]
    total = streams * sum(len(counts) for counts in rounds)
    for stream in range(streams):
        for strategy in strategies.values():
            for point in _search(params, strategy, problem, truth, stream):
                points.append(point)
                progress(len(points), total)
    natural, uniform, unimax = (truth.objective(row) for row in (problem.natural, problem.uniform, problem.unimax))
    found = [_best(truth, problem, params.seed), natural, uniform, unimax, *(point.objective for point in points)]
    return Replay(tuple(points), natural, uniform, unimax, min(found))


def _search(
    params: SearchParams, strategy: StrategyParams, problem: Problem, truth: Truth, stream: int
) -> Iterator[ReplayPoint]:
    """Yield where one search stands after its first round and after every other."""
    seed = params.seed + stream

    def measure(weights_D: Array, seed: int) -> Array:
        return truth.measure(weights_D, seed - stream, stream)

    for snapshot in trajectory(strategy, params, problem, measure, params.num_runs, seed):
        pick = method(strategy).finish(strategy, params.decision, snapshot.problem, snapshot.evidence, seed)
        weights_D = np.array(pick.chosen.weights)
        yield ReplayPoint(strategy.kind, stream, snapshot.spent, truth.objective(weights_D))


def _best(truth: Truth, problem: Problem, seed: int) -> float:
    """Return the lowest true objective that a local optimiser finds under the caps from the best of many draws."""
    pool_MD = draws(problem, _DRAWS, (0.3, 1.0, 3.0, 10.0), 1.0, problem.caps_D, seed)
    pool_MD = np.vstack([baselines(problem), pool_MD])

    def score(weights_MD: Array) -> Array:
        return -truth.objective_M(problem.admitted(weights_MD))

    starts = np.argsort(-score(pool_MD), kind="stable")[:_STARTS]
    return float(-score(ascend(score, pool_MD[starts], problem.caps_D)).max())
