"""Proxies that cost nothing: losses of a known landscape, with the noise of seeds and of runs."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.core.rng import generator
from tasks.mixture.config import SearchParams
from tasks.mixture.outcome import conclude
from tasks.mixture.problem import Problem, SearchedDomain, objective_shares
from tasks.mixture.runs import ProxyRun, RunTable
from tasks.mixture.search import (
    ProxyRequest,
    contender_round,
    counts,
    design_round,
    next_round,
    noise_round,
    proposed,
    transfer_round,
)
from tasks.mixture.state import State
from tasks.mixture.transfer import Size
from tasks.training.config import TrainingConfig
from tasks.training.model_size import num_parameters

Array = npt.NDArray[np.float64]
Landscape = Callable[[Array], Array]

# Of bits per byte, as measured on small proxies here: what a seed shifts all mixtures by, and what is left of it.
SEED_SD, RUN_SD = 0.01, 0.005
VOCABULARY = 1000


def problem_with(tokens: tuple[int, ...], target: int = 100) -> Problem:
    rows = [count // 10 for count in tokens]
    domains = tuple(SearchedDomain(f"d{i}", 10 * n, 40 * n, n, n) for i, n in enumerate(rows))
    return Problem(domains, objective_shares([domain.name for domain in domains], None), target, target, 4.0)


def bits_per_byte(landscape: Landscape, weights: tuple[float, ...], seed: int, name: str) -> tuple[float, ...]:
    """One measurement: the landscape, a shift that all mixtures with this seed share, and noise of this run's own."""
    clean_D = landscape(np.array(weights))
    shared_D = SEED_SD * generator(seed, name, "seed").standard_normal(len(clean_D))
    own_D = RUN_SD * generator(seed, name, "run", repr(weights)).standard_normal(len(clean_D))
    return tuple((clean_D + shared_D + own_D).tolist())


def size_of(training: TrainingConfig) -> Size:
    return Size(num_parameters(training.model, VOCABULARY)[0], training.num_tokens)


def search(params: SearchParams, problem: Problem, landscape: Landscape, folder: Path, name: str = "search") -> State:
    """Run a whole search through the real rounds and the real decision; proxies are simulated."""

    def measured(state: State, requests: Sequence[ProxyRequest]) -> State:
        rows = []
        for number, ask in enumerate(requests, start=len(state.runs.rows)):
            bpb = bits_per_byte(landscape, ask.weights, ask.seed, name)
            size = state.size if not ask.second_size or params.transfer is None else size_of(params.transfer.second)
            told = (size.model_parameters, size.tokens, 10**6, float(problem.objective_S @ np.array(bpb)))
            rows.append(ProxyRun(number, ask.round, ask.kind, ask.seed, *told, ask.weights, bpb))
        return replace(state, runs=replace(state.runs, rows=(*state.runs.rows, *rows)))

    nothing = RunTable(problem.names, problem.set_names, "bits per byte", ())
    state = measured(State(params, problem, VOCABULARY, "", nothing), noise_round(params, problem))
    state = measured(state, design_round(state))
    for _ in counts(params, problem)[1:]:
        value = next_round(state)
        state = replace(measured(state, proposed(params, value)), rounds=(*state.rounds, value))
    state = measured(state, contender_round(state))
    state = measured(state, transfer_round(state))
    conclude(replace(state, other_text=(0.017,) * len(problem.names)), folder)
    return state
