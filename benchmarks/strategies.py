"""Search strategies on published measurements: regret on a pool of measured mixtures and on a simulated truth.

Tables: RegMix's 768 mixtures of 17 domains at 1M parameters (a strategy picks 64 of them), and `oracles/mixture_truth.npz`,
an ensemble of networks fitted to them (any mixture may be measured, noise is added to the objective). Regret is in nats.

A strategy's trajectory takes seconds to a minute, so they are spread over processes; results do not depend on how many.

Axes: M mixtures, R runs, D domains, S losses (sets), H hidden units, N networks.
"""

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from benchmarks.inputs import shared
from benchmarks.measure import Line, Note, Spread, spread_of
from benchmarks.options import Options
from tasks.core.rng import generator
from tasks.mixture.config import SearchParams
from tasks.mixture.problem import Problem, SearchedDomain
from tasks.mixture.strategies.climb import Climb
from tasks.mixture.strategies.default import Default
from tasks.mixture.strategies.kinds import StrategyParams, method
from tasks.mixture.strategies.random_search import RandomSearch
from tasks.mixture.strategies.regmix import RegMix
from tasks.mixture.trajectory import pool_trajectory, trajectory
from tasks.training.params import demo_full

Array = npt.NDArray[np.float64]

_TOKENS = 10**9
# RegMix's bound, which is the cap of the truth as well.
_USAGE = 15.0
_POOL_RUNS, _BUDGETS, _NOISES = 64, (56, 112), (0.01, 0.1)
_COMPARED: dict[str, StrategyParams] = {
    "CLIMB": Climb(),
    "CLIMB, swarm candidates": Climb(candidates="swarm"),
    "RegMix": RegMix(),
    "RegMix, swarm candidates": RegMix(candidates="swarm"),
    "random search": RandomSearch(),
}


@dataclass(frozen=True)
class Found:
    """What a trajectory came to: regret in nats by (what, runs), and the CPU seconds of every round."""

    regrets: dict[tuple[str, int], float]
    seconds: tuple[float, ...] = ()


def run(options: Options) -> Iterator[Line | Note]:
    """Replay the default on the pool and the truth, the released methods and baselines on the truth."""
    if (data := shared()) is None:
        yield Note("no shared data here: the published tables and the simulated truth are absent")
        return
    yield Note(
        "regrets are means over seeds (lowest to highest); as released CLIMB and RegMix take candidates around natural"
    )
    with multiprocessing.get_context("spawn").Pool(options.workers, _one_thread) as pool:
        for target in ("mean of 13", "pile_cc"):
            work = partial(on_pool, data, target)
            yield from _lines(f"pool, {target}: default", pool.map(work, range(2 * options.search_seeds), chunksize=1))
        yield from _baselines(data)
        for noise in _NOISES:
            for name in ("default", *_COMPARED):
                work = partial(on_truth, data, name, noise)
                found = pool.map(work, range(options.search_seeds), chunksize=1)
                yield from _lines(f"truth, {noise:g}: {name}", found)


def on_pool(data: Path, target: str, seed: int) -> Found:
    """Return the regret of the best measured among 64 of the 768 mixtures."""
    weights_RD, losses_RS = published(data)
    objective_S = np.full(losses_RS.shape[1], 1 / losses_RS.shape[1])
    if target == "pile_cc":
        objective_S = np.eye(losses_RS.shape[1])[_names(data, "losses").index("pile_cc")]
    problem = regmix_problem(data, objective_S)
    selection = SearchParams().selection
    seconds, start = list[float](), time.process_time()
    for snapshot in pool_trajectory(Default(), selection, problem, (weights_RD, losses_RS), _POOL_RUNS, seed):
        best = min(row.objective for row in snapshot.evidence.runs.rows)
        seconds.append(time.process_time() - start)
        start = time.process_time()
    return Found({("best measured", _POOL_RUNS): best - float((losses_RS @ objective_S).min())}, tuple(seconds))


def on_truth(data: Path, name: str, noise_sd: float, seed: int) -> Found:
    """Return the regret of what a strategy ships after 56 and after 112 runs: the default in one go, others in two."""
    problem = regmix_problem(data, np.full(13, 1 / 13))
    least = float(truth(data)["min_mean13"])
    regrets, seconds = dict[tuple[str, int], float](), list[float]()
    strategy = Default() if name == "default" else _COMPARED[name]
    params = SearchParams().aimed_at(demo_full())
    budgets = _BUDGETS[-1:] if isinstance(strategy, Default) else _BUDGETS
    for budget in budgets:
        start = time.process_time()
        for snapshot in trajectory(strategy, params, problem, partial(noisy_losses, data, noise_sd), budget, seed):
            if snapshot.spent in _BUDGETS:
                pick = method(strategy).finish(strategy, params.decision, snapshot.problem, snapshot.evidence, seed)
                value = float(losses_of(data, np.array([pick.chosen.weights]))[0].mean())
                if snapshot.spent == budget or isinstance(strategy, Default):
                    regrets["shipped", snapshot.spent] = value - least
            seconds.append(time.process_time() - start)
            start = time.process_time()
    return Found(regrets, tuple(seconds))


def noisy_losses(data: Path, noise_sd: float, weights_D: Array, seed: int) -> Array:
    """Return losses with the same noise in each, so that the objective has noise of just this standard deviation."""
    own = generator(seed, "benchmark", "noise", repr(weights_D.tolist())).standard_normal()
    return np.asarray(losses_of(data, weights_D[None])[0] + noise_sd * own)


def _lines(label: str, found: Sequence[Found]) -> Iterator[Line]:
    """Yield mean and spread of the regrets, then the CPU seconds of a round: fit, proposal and pick."""
    for what, runs in found[0].regrets:
        values = [each.regrets[what, runs] for each in found]
        yield Line(f"{label}, {runs} runs, {len(values)} seeds", "nats", mean_of(values))
    # Of the default: measure, refit, propose and, where the table asks, decide; chosen anew once per doubling of runs.
    yield Line(f"{label}, a round", "CPU-s", spread_of([value for each in found for value in each.seconds]))
    yield Line(f"{label}, last round", "CPU-s", spread_of([each.seconds[-1] for each in found]))


def mean_of(values: Sequence[float]) -> Spread:
    """Return the mean (issues and papers state means), with the smallest and the largest."""
    return Spread(float(np.mean(values)), min(values), max(values))


def _baselines(data: Path) -> Iterator[Line]:
    problem = regmix_problem(data, np.full(13, 1 / 13))
    least = float(truth(data)["min_mean13"])
    for name, weights_D in (("natural", problem.natural), ("uniform", problem.uniform), ("UniMax", problem.unimax)):
        yield Line(f"truth: {name}, no runs", "nats", mean_of([float(losses_of(data, weights_D[None]).mean()) - least]))


def regmix_problem(data: Path, objective_S: Array) -> Problem:
    """Return the search over RegMix's domains: natural its token shares, caps 15 times those."""
    rows = [round(share * _TOKENS) for share in truth(data)["prior"].tolist()]
    domains = tuple(SearchedDomain(name, n, n, n, n) for name, n in zip(_names(data, "domains"), rows, strict=True))
    names = tuple(_names(data, "losses"))
    return Problem(domains, tuple(objective_S.tolist()), _TOKENS, _TOKENS, _USAGE, sets=names)


def published(data: Path) -> tuple[Array, Array]:
    """Return all 768 measured mixtures, training and test, shape [768, 17], and their 13 losses."""
    folder = data / "tables" / "regmix"
    tables = [
        np.vstack(
            [
                np.loadtxt(folder / f"{part}_{name}_1m.csv", delimiter=",", skiprows=1)[:, 1:]
                for part in ("train", "test")
            ]
        )
        for name in ("mixture", "pile_loss")
    ]
    # The weights are rounded to three decimals in the table.
    return tables[0] / tables[0].sum(axis=1, keepdims=True), tables[1]


@cache
def truth(data: Path) -> dict[str, Array]:
    """Return the arrays of the simulated truth."""
    with np.load(data / "oracles" / "mixture_truth.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def losses_of(data: Path, weights_MD: Array) -> Array:
    """Return the true losses, shape [M, 13]: for each loss the mean of four networks on (w, sqrt(w))."""
    net = truth(data)
    features_MF = np.concatenate([weights_MD, np.sqrt(weights_MD)], axis=1)
    columns = [_network(net, features_MF, loss) for loss in range(len(net["losses"]))]
    return np.column_stack(columns)


def _network(net: dict[str, Array], features_MF: Array, loss: int) -> Array:
    z_MF = (features_MF - net["feat_mean"][loss]) / net["feat_sd"][loss]
    first_NMH = _silu(z_MF @ net["w1"][loss] + net["b1"][loss])
    second_NMH = _silu(first_NMH @ net["w2"][loss] + net["b2"][loss])
    member_NM = (second_NMH @ net["w3"][loss] + net["b3"][loss])[..., 0] + net["wlin"][loss] @ z_MF.T
    return np.asarray(member_NM.mean(axis=0) * net["y_sd"][loss] + net["y_mean"][loss])


def _silu(values: Array) -> Array:
    return np.asarray(values / (1 + np.exp(-values)))


def _names(data: Path, which: str) -> list[str]:
    return [str(name) for name in truth(data)[which]]


def _one_thread() -> None:
    """Pin this process to one thread, as workers are."""
    threadpool_limits(1)
