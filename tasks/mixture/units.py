"""The steps of a search that compute something of its runs, as units: designs, proposals, contenders, the conclusion."""

from collections.abc import Sequence

from tasks.core.results import Here, UnitResult
from tasks.mixture.outcome import conclude
from tasks.mixture.search import (
    ProposedRound,
    ProxyRequest,
    ProxyRequests,
    contender_round,
    design_round,
    next_round,
    picked_round,
    transfer_round,
)
from tasks.mixture.state import State


def search_design(state: State, here: Here) -> UnitResult:
    """Write the strategy's first mixtures."""
    return _requested(design_round(state), here)


def search_proposal(state: State, here: Here) -> UnitResult:
    """Write what the next round measures."""
    ProposedRound(round=next_round(state)).write(here.folder)
    return UnitResult()


def search_contenders(state: State, here: Here) -> UnitResult:
    """Write the fresh runs of the top candidates."""
    return _requested(contender_round(state), here)


def search_transfer(state: State, here: Here) -> UnitResult:
    """Write the runs of the second size."""
    return _requested(transfer_round(state), here)


def search_pick(state: State, here: Here) -> UnitResult:
    """Write the mixture that was picked."""
    return _requested(picked_round(state), here)


def search_conclusion(state: State, here: Here) -> UnitResult:
    """Write the four files of a finished search."""
    problem = state.problem
    judged, forecast = conclude(state, here.folder)
    mixtures = {
        "searched": list(judged.pick.chosen.weights),
        "natural": problem.natural.tolist(),
        "uniform": problem.uniform.tolist(),
        "unimax": problem.unimax.tolist(),
    }
    return UnitResult(
        summary={
            "proxies": len(state.runs.rows),
            "chosen": judged.pick.chosen.name,
            "reason": judged.pick.reason,
            "statement": forecast.statement,
            "gain_over_natural": forecast.gain_over_natural,
            "weights": {name: dict(zip(problem.names, weights, strict=True)) for name, weights in mixtures.items()},
        }
    )


def _requested(requests: Sequence[ProxyRequest], here: Here) -> UnitResult:
    ProxyRequests(requests=tuple(requests)).write(here.folder)
    return UnitResult()
