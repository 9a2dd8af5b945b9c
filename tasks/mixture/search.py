"""What a search hands on: runs.csv, recipe.json, forecast.json and candidates.json, and the steps that make them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.core.digest import digest_file
from tasks.mixture.config import SearchParams
from tasks.mixture.decide import Candidate, Pick, decide
from tasks.mixture.designs.design import design
from tasks.mixture.forecast import Forecast, forecast
from tasks.mixture.predictors.choose import Choice, choose
from tasks.mixture.predictors.predictor import Measured
from tasks.mixture.problem import Problem
from tasks.mixture.runs import Kind, Runs, to_csv
from tasks.mixture.strategies.expected_improvement import Proposal
from tasks.mixture.strategies.propose import propose

FILES = ("candidates.json", "forecast.json", "recipe.json", "runs.csv")


@dataclass(frozen=True)
class State:
    """Where a search stands: what it searches, what was measured, and what each round proposed (as JSON values)."""

    params: SearchParams
    problem: Problem
    runs: Runs
    rounds: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Asked:
    """A proxy to measure, and what it is in the table."""

    round: int
    kind: Kind
    seed: int
    weights: tuple[float, ...]


def first_round(params: SearchParams, problem: Problem) -> list[Asked]:
    """Return what is measured before the first fit: natural, uniform, the design, then natural with other seeds."""
    natural, uniform = tuple(problem.natural.tolist()), tuple(problem.uniform.tolist())
    designed = design(params.design, problem, params.num_initial - 2, params.seed)
    asked = [Asked(0, "natural", params.seed, natural), Asked(0, "uniform", params.seed, uniform)]
    asked += [Asked(0, "design", params.seed, tuple(row.tolist())) for row in designed]
    repeats = range(params.seed + 1, params.seed + 1 + params.num_repeats_natural)
    return asked + [Asked(0, "repeat", seed, natural) for seed in repeats]


def fitted(state: State) -> Choice:
    """Return the predictor that cross-validation chooses for the runs so far."""
    paired = state.runs.paired(state.params.seed)
    measured = Measured(paired.weights_RD(), paired.bpb_RD(), state.problem.objective_D, state.runs.noise_sd())
    return choose(state.params.selection, measured)


def next_round(state: State) -> dict[str, Any]:
    """Return what the next round measures, as a JSON value: the predictor's scores and the proposals."""
    params, number = state.params, len(state.rounds) + 1
    choice = fitted(state)
    measured_RD = state.runs.paired(params.seed).weights_RD()
    # Each round has draws of its own; the same round of the same search has the same.
    seed = params.seed * 1_000_003 + number
    proposals = propose(params.strategy, state.problem, choice.predictor, measured_RD, params.runs_per_round, seed)
    return {
        "round": number,
        "predictor": choice.predictor.kind,
        "tried": _scores(choice),
        "proposals": [_proposal(proposal) for proposal in proposals],
    }


def conclude(state: State, folder: Path) -> tuple[Pick, Forecast]:
    """Write the four files of a finished search; return the pick and the forecast."""
    choice = fitted(state)
    paired = state.runs.paired(state.params.seed)
    pick = decide(state.params.decision, state.problem, choice.predictor, paired)
    first = state.runs.rows[0]
    told = forecast(
        state.problem,
        choice.predictor,
        pick,
        model_parameters=first.model_parameters,
        tokens=first.tokens,
        noise_sd=state.runs.noise_sd(),
    )
    (folder / "runs.csv").write_text(to_csv(state.runs), encoding="utf-8")
    _write(folder / "candidates.json", _candidates(state, choice, paired, pick))
    _write(folder / "forecast.json", told.to_json())
    _write(folder / "recipe.json", _recipe(state, pick, digest_file(folder / "forecast.json")))
    return pick, told


def _recipe(state: State, pick: Pick, forecast_digest: str) -> dict[str, Any]:
    problem = state.problem
    return {
        "format": 1,
        "domains": list(problem.names),
        "phases": [{"tokens": state.params.target_tokens, "weights": list(pick.chosen.weights)}],
        "max_epochs": problem.max_epochs,
        "baselines": {"natural": problem.natural.tolist(), "uniform": problem.uniform.tolist()},
        "uniform_capped": list(problem.capped),
        "objective": list(problem.objective),
        "forecast": forecast_digest,
    }


def _candidates(state: State, choice: Choice, paired: Runs, pick: Pick) -> dict[str, Any]:
    held_out = zip(paired.rows, choice.score.predicted_R.tolist(), choice.score.sd_R.tolist(), strict=True)
    return {
        "format": 1,
        "predictor": {
            "chosen": choice.predictor.kind,
            "runs": len(paired.rows),
            "inflation": choice.predictor.inflation,
        },
        "tried": _scores(choice),
        "rounds": list(state.rounds),
        # Each run as it was predicted from the others: what the predictor is worth, run by run.
        "held_out": [
            {"run": row.run, "measured": row.objective, "predicted": predicted, "sd": sd}
            for row, predicted, sd in held_out
        ],
        "decision": {"chosen": pick.chosen.name, "reason": pick.reason},
        "considered": [_candidate(candidate) for candidate in pick.considered],
    }


def _scores(choice: Choice) -> list[dict[str, Any]]:
    return [
        {"kind": score.kind, "rmse": score.rmse, "spearman": score.spearman, "coverage": score.coverage}
        for score in choice.scores
        if np.isfinite(score.rmse)
    ]


def _proposal(proposal: Proposal) -> dict[str, Any]:
    return {**vars(proposal), "weights": list(proposal.weights)}


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {**vars(candidate), "weights": list(candidate.weights)}


def _write(path: Path, value: Any) -> None:
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def rows_of(proposals: Sequence[Mapping[str, Any]]) -> list[tuple[float, ...]]:
    """Return the weights of a round's proposals."""
    return [tuple(float(weight) for weight in proposal["weights"]) for proposal in proposals]
