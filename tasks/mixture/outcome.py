"""What a finished search hands on, as files. Axes: R runs, S held-out sets, K objectives."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.core.digest import digest_file
from tasks.mixture.forecast import Forecast, forecast
from tasks.mixture.noise import run_noise
from tasks.mixture.problem import Problem, objective_shares
from tasks.mixture.reuse import STEP, interactions
from tasks.mixture.runs import to_csv
from tasks.mixture.search import Judgement, State, judgement, scores
from tasks.mixture.transfer import Size

FILES = ("candidates.json", "forecast.json", "recipe.json", "runs.csv")

Array = npt.NDArray[np.float64]


def conclude(state: State, folder: Path, target: Size | None = None) -> tuple[Judgement, Forecast]:
    """Write the four files of a finished search; return the judgement and the forecast.

    `target` is the run that the recipe is for: forecast only where the order of mixtures is known to transfer.
    """
    judged = judgement(state)
    told = forecast(
        state.problem,
        judged.predictor,
        judged.pick,
        model_parameters=state.size.model_parameters,
        tokens=state.size.tokens,
        noise_sd=run_noise(state.searched),
        confirmation=judged.confirmation,
        transfer=judged.transfer,
        target=target,
    )
    (folder / "runs.csv").write_text(to_csv(state.runs), encoding="utf-8")
    _write(folder / "candidates.json", _candidates(state, judged))
    _write(folder / "forecast.json", told.to_json())
    _write(folder / "recipe.json", _recipe(state, judged, digest_file(folder / "forecast.json")))
    return judged, told


def _recipe(state: State, judged: Judgement, forecast_digest: str) -> dict[str, Any]:
    problem = state.problem
    return {
        "format": 1,
        "domains": list(problem.names),
        "phases": [{"tokens": state.params.target.tokens, "weights": list(judged.pick.chosen.weights)}],
        "max_epochs": problem.max_epochs,
        "baselines": {
            "natural": problem.natural.tolist(),
            "uniform": problem.uniform.tolist(),
            "unimax": problem.unimax.tolist(),
        },
        "uniform_capped": list(problem.capped),
        "objective": list(problem.objective),
        "forecast": forecast_digest,
    }


def _candidates(state: State, judged: Judgement) -> dict[str, Any]:
    confirmation, second, pick = judged.confirmation, judged.transfer, judged.pick
    return {
        "format": 1,
        "strategy": state.params.strategy.kind,
        "predictor": {
            "chosen": judged.predictor.kind,
            "runs": len(state.paired.rows),
            "inflation": judged.predictor.inflation,
            "members": [] if judged.choice is None else judged.choice.selected.to_json()["members"],
        },
        "tried": [] if judged.choice is None else scores(judged.choice),
        "rounds": list(state.rounds),
        "held_out": _held_out(state, judged),
        "noise_sd": run_noise(state.searched),
        "kl_to_natural": state.problem.kl_to_natural,
        "decision": {"chosen": pick.chosen.name, "reason": pick.reason},
        "considered": [vars(each) | {"weights": list(each.weights)} for each in pick.considered],
        "confirmation": None if confirmation is None else confirmation.to_json(),
        "transfer": None if second is None else second.to_json(),
        "supply": _supply(state),
        "interactions": _interactions(state, judged),
        "pareto": _pareto(state, judged),
    }


def _held_out(state: State, judged: Judgement) -> list[dict[str, Any]]:
    """Return each run as it was predicted from the others: what the predictor is worth, run by run."""
    if judged.choice is None:
        return []
    score = judged.choice.score
    rows = zip(state.paired.rows, score.predicted_R.tolist(), score.sd_R.tolist(), strict=True)
    return [
        {"run": row.run, "measured": row.objective, "predicted": predicted, "sd": sd} for row, predicted, sd in rows
    ]


def _supply(state: State) -> dict[str, list[int]]:
    """Return the tokens that each domain has for the target run and for a proxy."""
    target, proxy = state.params.target.sequence_length, state.params.proxy.model.sequence_length
    domains = state.problem.domains
    return {
        "target": [domain.rows * target for domain in domains],
        "proxy": [domain.proxy_rows * proxy for domain in domains],
    }


def _interactions(state: State, judged: Judgement) -> dict[str, Any]:
    helped_SD = STEP * interactions(judged.predictor, state.problem)
    trained = [place for place, domain in enumerate(state.problem.domains) if domain.trainable]
    return {
        "sets": list(state.problem.set_names),
        "domains": [state.problem.names[place] for place in trained],
        "values": helped_SD[:, trained].tolist(),
        "unit": f"{state.runs.unit} per +{STEP:g} of weight",
    }


def _pareto(state: State, judged: Judgement) -> dict[str, Any] | None:
    """Return what each run is worth by every objective, and which runs no other beats in all of them."""
    objectives = state.params.objectives
    if objectives is None:
        return None
    shares_KS = shares_of(objectives, state.problem)
    rows = state.paired.rows
    values_RK = state.paired.losses_RS() @ shares_KS.T
    front_R = non_dominated(values_RK)
    both_KK = judged.predictor.outputs(np.array([judged.pick.chosen.weights, state.problem.natural])) @ shares_KS.T
    return {
        "objectives": list(objectives),
        "points": [
            {"run": row.run, "kind": row.kind, "values": values, "front": bool(front)}
            for row, values, front in zip(rows, values_RK.tolist(), front_R, strict=True)
        ],
        "chosen": both_KK[0].tolist(),
        "natural": both_KK[1].tolist(),
    }


def shares_of(objectives: Mapping[str, Mapping[str, float]], problem: Problem) -> Array:
    """Return each objective's share of every held-out set, shape [K, S]."""
    return np.array([objective_shares(problem.set_names, shares) for shares in objectives.values()])


def non_dominated(values_RK: Array) -> npt.NDArray[np.bool_]:
    """Return for each row whether no other is at least as low in every column and lower in one.

    >>> non_dominated(np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 3.0]])).tolist()
    [True, True, False]
    """
    below_RRK, under_RRK = values_RK[:, None] <= values_RK[None], values_RK[:, None] < values_RK[None]
    beats_RR = below_RRK.all(axis=2) & under_RRK.any(axis=2)
    return np.asarray(~beats_RR.any(axis=0))


def _write(path: Path, value: Any) -> None:
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
