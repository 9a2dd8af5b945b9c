"""A search followed round by round on anything that can be measured: what every strategy knows after so many runs.

Axes: M mixtures, D domains, S held-out sets.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tasks.core.rng import generator
from tasks.mixture.designs.space_filling import farthest
from tasks.mixture.noise import penalty_of_noise, run_noise
from tasks.mixture.predictors.choose import Choice, Selection, choose, refit
from tasks.mixture.predictors.predictor import Measured
from tasks.mixture.problem import Problem
from tasks.mixture.runs import ProxyRun, RunKind, RunTable
from tasks.mixture.strategies.default import Default, propose_from
from tasks.mixture.strategies.evidence import Evidence
from tasks.mixture.strategies.kinds import StrategyParams, method

Array = npt.NDArray[np.float64]
Measure = Callable[[Array, int], Array]
NextMixtures = Callable[[Evidence, int, int], list[tuple[float, ...]]]


class Settings(Protocol):
    """What a replay takes from the params of a search."""

    @property
    def selection(self) -> Selection: ...  # noqa: D102
    @property
    def num_noise_seeds(self) -> int: ...  # noqa: D102
    @property
    def kl_to_natural(self) -> float | None: ...  # noqa: D102


@dataclass(frozen=True)
class Snapshot:
    """Where a replayed search stands: how many runs it has spent, what it searches and what it knows."""

    spent: int
    problem: Problem
    evidence: Evidence


def trajectory(
    strategy: StrategyParams, settings: Settings, problem: Problem, measure: Measure, num_runs: int, seed: int
) -> Iterator[Snapshot]:
    """Yield where a strategy stands after every round; `measure` maps weights and a seed to a loss per set.

    Strategies that need it get the predictor that cross-validation chooses, anew whenever the runs have doubled; they
    also measure the noise first, natural and uniform with `num_noise_seeds` other seeds, out of the same budget. Released
    methods spend all of it on mixtures.
    """
    runs = RunTable(problem.names, problem.set_names, "loss", ())
    noise_sd, spent = None, num_repeats(strategy, settings)
    if spent:
        noise_sd = _measured_noise(runs, settings, problem, measure, seed)
    if spent and settings.kl_to_natural is None:
        problem = replace(problem, kl_to_natural=penalty_of_noise(noise_sd, num_runs))
    next_mixtures = partial(_next_mixtures, strategy, problem, seed)
    counts = method(strategy).schedule(strategy, num_runs - spent)
    fits = settings.selection if method(strategy).needs_predictor else None
    snapshot = Snapshot(spent, problem, Evidence(runs, None, noise_sd))
    yield from _followed(snapshot, counts, next_mixtures, measure, fits, seed)


def pool_trajectory(
    strategy: Default, selection: Selection, problem: Problem, pool: tuple[Array, Array], num_runs: int, seed: int
) -> Iterator[Snapshot]:
    """Yield where the default stands after every round if only the mixtures of a pool can be measured.

    `pool` is their weights, shape [M, D], and losses, shape [M, S]. The first round is spread over a random half of the
    pool, the others follow the same acquisition.
    """
    weights_MD, losses_MS = pool
    half = generator(seed, "simulate", "pool").permutation(len(weights_MD))[: len(weights_MD) // 2]

    def next_mixtures(known: Evidence, number: int, count: int) -> list[tuple[float, ...]]:
        if number == 0:
            return [tuple(row) for row in farthest(problem.natural[None], weights_MD[half], count)[1:].tolist()]
        return [proposal.weights for proposal in propose_from(strategy, problem, known, weights_MD, count)]

    def measure(weights_D: Array, seed: int) -> Array:
        return np.asarray(losses_MS[int(np.argmin(np.abs(weights_MD - weights_D).sum(axis=1)))])

    nothing = Snapshot(0, problem, Evidence(RunTable(problem.names, problem.set_names, "loss", ())))
    counts = method(strategy).schedule(strategy, num_runs)
    yield from _followed(nothing, counts, next_mixtures, measure, selection, seed)


def _followed(
    snapshot: Snapshot,
    counts: Sequence[int],
    next_mixtures: NextMixtures,
    measure: Measure,
    selection: Selection | None,
    seed: int,
) -> Iterator[Snapshot]:
    """Yield the snapshot after every round; with a selection a predictor is fitted after each."""
    choice = None
    for number, count in enumerate(counts):
        mixtures = next_mixtures(snapshot.evidence, number, count)
        runs = _grown(snapshot.evidence.runs, snapshot.problem, measure, mixtures, number, seed)
        evidence = replace(snapshot.evidence, runs=runs)
        if selection is not None:
            choice = next_choice(selection, evidence.measured(snapshot.problem), choice)
            evidence = replace(evidence, predictor=choice.predictor)
        spent = snapshot.spent + len(runs.rows) - len(snapshot.evidence.runs.rows)
        snapshot = replace(snapshot, spent=spent, evidence=evidence)
        yield snapshot


def next_choice(selection: Selection, measured: Measured, before: Choice | None) -> Choice:
    """Return the predictor for more runs: chosen anew where they have doubled since the last choice, else only refitted."""
    if before is None or len(measured.weights_RD) >= 2 * before.selected.runs:
        return choose(selection, measured)
    return refit(before.selected, measured)


def num_repeats(strategy: StrategyParams, settings: Settings) -> int:
    """Return the runs that only tell the noise: natural and uniform with other seeds."""
    return 2 * settings.num_noise_seeds if method(strategy).needs_predictor else 0


def _measured_noise(runs: RunTable, settings: Settings, problem: Problem, measure: Measure, seed: int) -> float | None:
    pair = [tuple(problem.natural.tolist()), tuple(problem.uniform.tolist())]
    for other in range(settings.num_noise_seeds + 1):
        runs = _grown(runs, problem, measure, pair, 0, seed + other)
    return run_noise(runs)


def _next_mixtures(
    strategy: StrategyParams, problem: Problem, seed: int, known: Evidence, number: int, count: int
) -> list[tuple[float, ...]]:
    if number == 0:
        return [tuple(row) for row in method(strategy).first(strategy, problem, count, seed).tolist()]
    return [proposal.weights for proposal in method(strategy).propose(strategy, problem, known, number, count, seed)]


def _grown(
    runs: RunTable, problem: Problem, measure: Measure, weights: Sequence[tuple[float, ...]], number: int, seed: int
) -> RunTable:
    kind: RunKind = "proposal" if number else "design"
    rows = list(runs.rows)
    for row in weights:
        losses_S = measure(np.array(row), seed)
        objective = float(losses_S @ problem.objective_S)
        rows.append(ProxyRun(len(rows), number, kind, seed, 1, 1, 1, objective, row, tuple(losses_S.tolist())))
    return replace(runs, rows=tuple(rows))
