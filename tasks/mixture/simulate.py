"""A search replayed against a truth that is known: the predictor fitted to a measured table, plus its noise.

What a strategy would have found, and with how many runs, at no cost. The truth has the shape of one of our own
predictors and so is kinder to strategies that use it than the world is; a strategy that fails here fails everywhere.

Axes: R runs, M mixtures, D domains.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.core.errors import DataError
from tasks.core.rng import generator
from tasks.mixture.config import SearchParams
from tasks.mixture.decide import decide
from tasks.mixture.designs.space_filling import draws
from tasks.mixture.predictors.choose import Choice
from tasks.mixture.predictors.predictor import Predictor
from tasks.mixture.problem import Domain, Problem, objective_shares
from tasks.mixture.runs import Run, Runs
from tasks.mixture.search import Asked, State, first_round, fitted, next_round, rows_of
from tasks.mixture.strategies.local_search import climb
from tasks.mixture.strategies.random_search import RandomSearch
from tasks.mixture.table_fit import MEAN, fit_table, measurements_of_runs

Array = npt.NDArray[np.float64]

_DRAWS, _STARTS = 2000, 5
_NOMINAL_TOKENS = 10**9


@dataclass(frozen=True)
class Truth:
    """Losses of every mixture without noise, and what a run adds: a shift that its seed shares, and its own part."""

    predictor: Predictor
    objective_D: Array
    seed_sd: float
    run_sd: float

    def objective_M(self, weights_MD: Array) -> Array:
        """Return the true objective of every mixture, shape [M]."""
        return np.asarray(self.predictor.outputs(weights_MD) @ self.objective_D)

    def objective(self, weights_D: Array) -> float:
        """Return the true objective of one mixture."""
        return float(self.objective_M(weights_D[None])[0])

    def measure(self, weights_D: Array, seed: int, stream: int) -> Array:
        """Return one measurement; the same mixture, seed and stream give the same."""
        shared = self.seed_sd * generator(seed, "simulate", stream, "seed").standard_normal()
        own = self.run_sd * generator(seed, "simulate", stream, "run", repr(weights_D.tolist())).standard_normal()
        return np.asarray(self.predictor.outputs(weights_D[None])[0] + shared + own)


@dataclass(frozen=True)
class Point:
    """Where a strategy stood after so many runs: the true objective of what it would have shipped."""

    strategy: str
    stream: int
    runs: int
    objective: float


@dataclass(frozen=True)
class Replay:
    """All points, the truth's objective of natural, uniform and the best mixture known."""

    points: tuple[Point, ...]
    natural: float
    uniform: float
    best: float

    def regrets(self, strategy: str, runs: int) -> list[float]:
        """Return the regret of each stream of a strategy after so many runs."""
        chosen = [point for point in self.points if point.strategy == strategy and point.runs == runs]
        return [point.objective - self.best for point in sorted(chosen, key=lambda point: point.stream)]

    def to_json(self) -> dict[str, Any]:
        """Return regrets per strategy and number of runs."""
        keys = dict.fromkeys((point.strategy, point.runs) for point in self.points)
        rows = [{"strategy": name, "runs": runs, "regrets": self.regrets(name, runs)} for name, runs in keys]
        constants = {"natural": self.natural - self.best, "uniform": self.uniform - self.best}
        return {"strategies": rows, "regret": constants, "best": self.best}


def truth_of(params: SearchParams, runs: Runs, where: str) -> tuple[Truth, Choice]:
    """Return the truth that a measured table suggests, and how well its predictor does on runs left out.

    The objective is the one in the params. Noise between seeds comes from repeats, noise of a run from the fit.

    Raises:
        ConfigError: the objective names a domain that the table does not have.
        DataError, EvidenceError: the table has no runs, too few, or all the same.
    """
    shares = np.array(objective_shares(runs.domains, params.objective))
    choice = fit_table(params.selection, measurements_of_runs(runs, MEAN, where)).choice
    run_sd = choice.predictor.noise_sd
    between = runs.noise_sd()
    seed_sd = 0.0 if between is None else float(np.sqrt(max(between**2 - run_sd**2, 0.0)))
    return Truth(choice.predictor, shares, seed_sd, run_sd), choice


def free_problem(params: SearchParams, runs: Runs, where: str) -> Problem:
    """Return a search over the table's domains without caps, natural being what the table calls natural.

    Raises:
        DataError: no run in the table is natural.
    """
    natural = next((row.weights for row in runs.rows if row.kind == "natural"), None)
    if natural is None:
        raise DataError(f"{where}: no run has kind `natural`, so nothing can be compared with it. Measure it first.")
    tokens = [round(weight * _NOMINAL_TOKENS) for weight in natural]
    domains = tuple(
        Domain(name, count, count, _NOMINAL_TOKENS, _NOMINAL_TOKENS)
        for name, count in zip(runs.domains, tokens, strict=True)
    )
    shares = objective_shares(runs.domains, params.objective)
    return Problem(domains, shares, target_samples=1, proxy_samples=1, max_epochs=1.0)


def replay(
    params: SearchParams, problem: Problem, truth: Truth, streams: int, progress: Callable[[int, int], None]
) -> Replay:
    """Replay the configured strategy and random search `streams` times; `progress` hears (rounds done, of how many)."""
    strategies = {params.strategy.kind: params}
    strategies.setdefault(RandomSearch().kind, params.model_copy(update={"strategy": RandomSearch()}))
    points: list[Point] = []
    total = streams * len(strategies) * (params.rounds + 1)
    for stream in range(streams):
        for name, strategy in strategies.items():
            for point in _search(name, strategy, problem, truth, stream):
                points.append(point)
                progress(len(points), total)
    natural, uniform = truth.objective(problem.natural), truth.objective(problem.uniform)
    found = [_best(truth, problem, params.seed), natural, uniform, *(point.objective for point in points)]
    return Replay(tuple(points), natural, uniform, min(found))


def _search(name: str, params: SearchParams, problem: Problem, truth: Truth, stream: int) -> Iterator[Point]:
    """Yield where one search stands after its design and after every round."""
    params = params.model_copy(update={"seed": params.seed + stream})
    first = _measured(truth, problem, Runs(problem.names, ()), first_round(params, problem), params.seed)
    state = State(params, problem, first)
    yield _point(name, state, truth, stream)
    for number in range(1, params.rounds + 1):
        value = next_round(state)
        proposed = [Asked(number, "proposal", params.seed, row) for row in rows_of(value["proposals"])]
        runs = _measured(truth, problem, state.runs, proposed, params.seed)
        state = replace(state, runs=runs, rounds=(*state.rounds, value))
        yield _point(name, state, truth, stream)


def _measured(truth: Truth, problem: Problem, runs: Runs, asked: Sequence[Asked], stream: int) -> Runs:
    rows = []
    for number, ask in enumerate(asked, start=len(runs.rows)):
        bpb = truth.measure(np.array(ask.weights), ask.seed - stream, stream)
        objective, losses = float(bpb @ problem.objective_D), tuple(bpb.tolist())
        rows.append(Run(number, ask.round, ask.kind, ask.seed, 1, 1, 1, objective, ask.weights, losses))
    return replace(runs, rows=(*runs.rows, *rows))


def _point(name: str, state: State, truth: Truth, stream: int) -> Point:
    paired = state.runs.paired(state.params.seed)
    pick = decide(state.params.decision, state.problem, fitted(state).predictor, paired)
    return Point(name, stream, len(state.runs.rows), truth.objective(np.array(pick.chosen.weights)))


def _best(truth: Truth, problem: Problem, seed: int) -> float:
    """Return the lowest true objective that a local optimiser finds under the caps from the best of many draws."""
    pool_MD = draws(problem, _DRAWS, (0.3, 1.0, 3.0, 10.0), 1.0, problem.caps_D, seed)
    pool_MD = np.vstack([problem.natural, problem.uniform, pool_MD])

    def score(weights_MD: Array) -> Array:
        return -truth.objective_M(weights_MD)

    starts = np.argsort(-score(pool_MD), kind="stable")[:_STARTS]
    return min(truth.objective(climb(score, pool_MD[start], problem.caps_D)) for start in starts)
