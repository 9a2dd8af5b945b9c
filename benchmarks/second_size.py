"""What a second size costs the search: whole searches replayed with the budgets that it leaves, their regret.

Whole: noise, rounds, confirmation by fresh seeds, what ships. Runs of the second size judge the pick and have no part in
making it, so that what they cost is the proxies that were not measured. Truths: RegMix's tables as `strategies` has them
(17 domains, the loss on Pile-CC), and a predictor fitted to the mixing-laws table of RedPajama (7 domains, as many as the
demo has, the mean of 22 losses). A run's noise is a fifth of what the best mixture gains over natural, as in the demo; what
a seed does to all mixtures alike is twice that.

Axes: D domains, S losses (sets), N seeds.
"""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.inputs import shared
from benchmarks.measure import Line, Note, Spread
from benchmarks.options import Options
from benchmarks.predictors import mixing_laws
from benchmarks.strategies import _one_thread, losses_of, regmix_problem, truth
from tasks.comparison.table import interval
from tasks.core.rng import generator
from tasks.mixture.config import SearchParams
from tasks.mixture.confirm import ConfirmParams
from tasks.mixture.noise import penalty_of_noise, run_noise
from tasks.mixture.predictors.choose import choose
from tasks.mixture.predictors.predictor import Measured
from tasks.mixture.problem import Problem, SearchedDomain
from tasks.mixture.runs import ProxyRun, RunTable
from tasks.mixture.search import (
    ProxyRequest,
    contender_round,
    counts,
    design_round,
    judgement,
    next_round,
    noise_round,
    not_measured,
    proposed,
)
from tasks.mixture.state import State
from tasks.mixture.strategies.local_search import ascend
from tasks.training.params import demo_full

Array = npt.NDArray[np.float64]
Losses = Callable[[Array], Array]

# Proxies, and candidates that are confirmed; the second size of the demo takes the compute of eight proxies.
BUDGETS = {
    "36 proxies, 2 candidates, no second size": (36, 2),
    "28 proxies, 1 candidate, second size": (28, 1),
    "28 proxies, 2 candidates, second size": (28, 2),
}
_NOISE = 0.2
_CONFIDENCE = 0.95
# RedPajama's own shares, in the order of the table: CommonCrawl, C4, GitHub, ArXiv, books, StackExchange, Wikipedia.
_REDPAJAMA = (0.67, 0.15, 0.045, 0.025, 0.045, 0.02, 0.045)
_TOKENS = 10**9
_USAGE = 15.0


@dataclass(frozen=True)
class Known:
    """A truth: what is searched, the losses of every mixture, and the objective of natural and of the best one."""

    problem: Problem
    losses: Losses
    natural: float
    best: float


def run(options: Options) -> Iterator[Line | Note]:
    """Replay whole searches with every budget, on every truth and with every noise."""
    if (data := shared()) is None:
        yield Note("no shared data here: the published tables are absent")
        return
    yield Note(
        "regret of what ships as a share of what the best mixture gains over natural: means over seeds (95 % t intervals); "
        "`more` is paired by seed"
    )
    keys = [(target, name) for target in TRUTHS for name in BUDGETS]
    jobs = [(data, *key, seed) for key in keys for seed in range(options.search_seeds)]
    with multiprocessing.get_context("spawn").Pool(options.workers, _one_thread) as pool:
        regrets_KN = np.array(pool.starmap(regret, jobs, chunksize=1)).reshape(len(TRUTHS), len(BUDGETS), -1)
    for label, found_BN in (*zip(TRUTHS, regrets_KN, strict=True), ("all", regrets_KN.mean(axis=0))):
        for name, own_N in zip(BUDGETS, found_BN, strict=True):
            yield Line(f"{label}: {name}", "of the gain", _spread(own_N))
        for name, own_N in zip([*BUDGETS][1:], found_BN[1:], strict=True):
            yield Line(f"{label}: {name}, more", "of the gain", _spread(own_N - found_BN[0]))


def regret(data: Path, target: str, budget: str, seed: int) -> float:
    """Return the regret of what a search ships, as a share of what natural lacks."""
    known = TRUTHS[target](data)
    gain = known.natural - known.best
    shipped = whole_search(known, _NOISE * gain, BUDGETS[budget], seed)
    return float((known.losses(np.array([shipped]))[0] @ known.problem.objective_S - known.best) / gain)


def whole_search(known: Known, noise_sd: float, budget: tuple[int, int], seed: int) -> tuple[float, ...]:
    """Return the mixture that a search ships; its rounds are those of the stage, its proxies the truth with noise."""
    num_runs, num_candidates = budget
    confirm = ConfirmParams(num_candidates=num_candidates)
    # Searches of one seed have the same noise of a mixture and seed, whatever their budget.
    params = SearchParams(num_runs=num_runs, confirm=confirm, seed=100 * seed).aimed_at(demo_full())
    problem = known.problem

    def measured(state: State, requests: Sequence[ProxyRequest]) -> State:
        rows, size = list(state.runs.rows), state.size
        for ask in requests:
            losses = known.losses(np.array([ask.weights]))[0] + _noise(ask, noise_sd)
            objective = float(losses @ problem.objective_S)
            told = (size.model_parameters, size.tokens, 1, objective, ask.weights, tuple(losses.tolist()))
            rows.append(ProxyRun(len(rows), ask.round, ask.kind, ask.seed, *told))
        return replace(state, runs=replace(state.runs, rows=tuple(rows)))

    nothing = RunTable(problem.names, problem.set_names, "loss", ())
    state = State(params, problem, 1000, "", nothing)
    state = measured(state, not_measured(state, noise_round(params, problem)))
    penalty = penalty_of_noise(run_noise(state.searched), params.num_runs)
    state = replace(state, problem=replace(problem, kl_to_natural=penalty))
    state = measured(state, design_round(state))
    for _ in counts(params, problem)[1:]:
        round_ = next_round(state)
        state = replace(measured(state, proposed(params, round_)), rounds=(*state.rounds, round_))
    return judgement(measured(state, contender_round(state))).pick.chosen.weights


def _noise(ask: ProxyRequest, sd: float) -> float:
    """Return noise that is the same in every loss, so that the objective has just this much."""
    shared_part = generator(ask.seed, "benchmark", "seed").standard_normal()
    own = generator(ask.seed, "benchmark", "run", repr(ask.weights)).standard_normal()
    return float(sd * (2 * shared_part + own))


@cache
def regmix_pile_cc(data: Path) -> Known:
    """Return RegMix's truth with the loss on Pile-CC as objective."""
    web = [str(name) for name in truth(data)["losses"]].index("pile_cc")
    objective_S = np.eye(13)[web]
    problem = regmix_problem(data, objective_S)

    def losses(weights_MD: Array) -> Array:
        return losses_of(data, weights_MD)

    natural = float(losses(problem.natural[None])[0] @ objective_S)
    return Known(problem, losses, natural, float(truth(data)["min_pile_cc"]))


@cache
def redpajama(data: Path) -> Known:
    """Return what a predictor makes of the 42 mixtures of RedPajama at 70M, with the mean of 22 losses as objective."""
    table = mixing_laws(data, "RedPajama", "70M")
    sets = table.losses_RO.shape[1]
    shares_S = np.full(sets, 1 / sets)
    predictor = choose(SearchParams().selection, Measured(table.weights_RD, table.losses_RO, shares_S)).predictor
    rows = [round(share * _TOKENS) for share in _REDPAJAMA]
    domains = tuple(SearchedDomain(f"d{place}", n, n, n, n) for place, n in enumerate(rows))
    names = tuple(f"s{place}" for place in range(sets))
    problem = Problem(domains, tuple(shares_S.tolist()), _TOKENS, _TOKENS, _USAGE, sets=names)

    def score(weights_MD: Array) -> Array:
        return np.asarray(-predictor.outputs(weights_MD) @ shares_S)

    starts_MD = np.vstack([problem.natural, problem.uniform, problem.unimax])
    best = max(float(score(ascend(score, start_D[None], problem.caps_D))[0]) for start_D in starts_MD)
    return Known(problem, predictor.outputs, -float(score(problem.natural[None])[0]), -best)


TRUTHS: dict[str, Callable[[Path], Known]] = {
    "RegMix, pile_cc": regmix_pile_cc,
    "RedPajama": redpajama,
}


def _spread(values_N: Array) -> Spread:
    lower, upper = interval(values_N, _CONFIDENCE)
    assert lower is not None and upper is not None, "there are several seeds"
    return Spread(float(values_N.mean()), lower, upper)
