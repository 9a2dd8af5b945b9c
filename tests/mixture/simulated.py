"""Proxies that cost nothing: losses of a known landscape, with the noise of seeds and of runs."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.core.rng import generator
from tasks.mixture.config import SearchParams
from tasks.mixture.problem import Domain, Problem, objective_shares
from tasks.mixture.runs import Kind, Run, Runs
from tasks.mixture.search import State, conclude, first_round, next_round, rows_of

Array = npt.NDArray[np.float64]
Landscape = Callable[[Array], Array]

# Of bits per byte, as measured on small proxies here: what a seed shifts all mixtures by, and what is left of it.
SEED_SD, RUN_SD = 0.01, 0.005


def problem_with(tokens: tuple[int, ...], target: int = 100) -> Problem:
    rows = [count // 10 for count in tokens]
    domains = tuple(Domain(f"d{i}", 10 * n, 40 * n, n, n) for i, n in enumerate(rows))
    return Problem(domains, objective_shares([domain.name for domain in domains], None), target, target, 4.0)


def bits_per_byte(landscape: Landscape, weights: tuple[float, ...], seed: int, name: str) -> tuple[float, ...]:
    """One measurement: the landscape, a shift that all mixtures with this seed share, and noise of this run's own."""
    clean_D = landscape(np.array(weights))
    shared_D = SEED_SD * generator(seed, name, "seed").standard_normal(len(clean_D))
    own_D = RUN_SD * generator(seed, name, "run", repr(weights)).standard_normal(len(clean_D))
    return tuple((clean_D + shared_D + own_D).tolist())


def search(params: SearchParams, problem: Problem, landscape: Landscape, folder: Path, name: str = "search") -> State:
    """Run a whole search through the real rounds and the real decision; proxies are simulated."""

    def measured(runs: Runs, round_: int, asked: list[tuple[Kind, int, tuple[float, ...]]]) -> Runs:
        rows = []
        for kind, seed, weights in asked:
            bpb = bits_per_byte(landscape, weights, seed, name)
            number = len(runs.rows) + len(rows)
            rows.append(Run(number, round_, kind, seed, 1000, 2048, 10**6, float(np.mean(bpb)), weights, bpb))
        return replace(runs, rows=(*runs.rows, *rows))

    asked = [(ask.kind, ask.seed, ask.weights) for ask in first_round(params, problem)]
    state = State(params, problem, measured(Runs(problem.names, ()), 0, asked))
    for number in range(1, params.rounds + 1):
        value: Mapping[str, Any] = next_round(state)
        proposals = [("proposal", params.seed, weights) for weights in rows_of(value["proposals"])]
        runs = measured(state.runs, number, proposals)  # type: ignore[arg-type]
        state = replace(state, runs=runs, rounds=(*state.rounds, value))
    conclude(state, folder)
    return state
