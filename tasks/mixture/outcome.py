"""What a finished search hands on, as files. Axes: R runs, S held-out sets, K objectives."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.core.digest import digest_file
from tasks.evaluation.tasks.params import task_digest
from tasks.mixture.decay import decay_choice, recipe_stages
from tasks.mixture.earlier_runs.reuse import STEP, interactions
from tasks.mixture.forecast import forecast
from tasks.mixture.noise import run_noise
from tasks.mixture.problem import Problem, objective_shares
from tasks.mixture.published import Recipe
from tasks.mixture.published_candidates import Candidates, DecayChoice, Interactions, Pareto, ParetoPoint, TokenSupply
from tasks.mixture.published_forecast import Forecast
from tasks.mixture.published_mixtures import ChosenMixture
from tasks.mixture.published_predictors import ChosenPredictor, HeldOutPrediction
from tasks.mixture.runs import RUNS_FILE, to_csv
from tasks.mixture.search import Judgement, judgement, scores
from tasks.mixture.state import State

FILES = (Candidates.FILE, Forecast.FILE, Recipe.FILE, RUNS_FILE)

Array = npt.NDArray[np.float64]


def conclude(state: State, folder: Path) -> tuple[Judgement, Forecast]:
    """Write the four files of a finished search; return the judgement and the forecast."""
    judged = judgement(state)
    predicted = forecast(
        state.problem,
        judged.predictor,
        judged.pick,
        state.runs,
        size=state.size,
        noise_sd=run_noise(state.searched),
        other_text=state.other_text,
        confirmation=judged.confirmation,
        transfer=judged.transfer,
        target=state.target,
        onward=state.onward,
        curves=state.curves,
    )
    (folder / RUNS_FILE).write_text(to_csv(state.runs), encoding="utf-8")
    _candidates(state, judged).write(folder)
    _recipe(state, judged, digest_file(predicted.write(folder))).write(folder)
    return judged, predicted


def _recipe(state: State, judged: Judgement, forecast_digest: str) -> Recipe:
    problem, target = state.problem, state.params.target
    return Recipe(
        domains=problem.names,
        stages=recipe_stages(judged.pick.chosen.weights, target.tokens, target.sequence_length, _decay(state)),
        max_epochs=problem.max_epochs,
        baselines={
            "natural": tuple(problem.natural.tolist()),
            "uniform": tuple(problem.uniform.tolist()),
            "unimax": tuple(problem.unimax.tolist()),
        },
        uniform_capped=problem.capped,
        sets=problem.sets,
        objective=problem.objective,
        unit=state.runs.unit,
        tasks={task.name: task_digest(task.file, task.task) for task in state.params.tasks},
        forecast=forecast_digest,
        data=state.tokens,
    )


def _decay(state: State) -> DecayChoice | None:
    stage = state.params.stages
    if state.decay is None or stage is None:
        return None
    return decay_choice(state.decay, state.problem.objective, stage)


def _candidates(state: State, judged: Judgement) -> Candidates:
    pick = judged.pick
    return Candidates(
        strategy=state.params.strategy.kind,
        predictor=ChosenPredictor(
            name=judged.predictor.name,
            runs=len(state.paired.rows),
            inflation=judged.predictor.inflation,
            members=() if judged.choice is None else judged.choice.selected.members,
        ),
        tried=() if judged.choice is None else scores(judged.choice),
        rounds=state.rounds,
        held_out=_held_out(state, judged),
        noise_sd=run_noise(state.searched),
        kl_to_natural=state.problem.kl_to_natural,
        decision=ChosenMixture(source=pick.chosen.source, run=pick.chosen.run, reason=pick.reason),
        considered=pick.considered,
        confirmation=judged.confirmation,
        transfer=judged.transfer,
        supply=_supply(state),
        interactions=_interactions(state, judged),
        pareto=_pareto(state, judged),
        decay=_decay(state),
    )


def _held_out(state: State, judged: Judgement) -> tuple[HeldOutPrediction, ...]:
    """Return each run as it was predicted from the others: what the predictor is worth, run by run."""
    if judged.choice is None:
        return ()
    score = judged.choice.score
    rows = zip(state.paired.rows, score.predicted_R.tolist(), score.sd_R.tolist(), strict=True)
    return tuple(
        HeldOutPrediction(run=row.run, measured=row.objective, predicted=predicted, sd=sd)
        for row, predicted, sd in rows
    )


def _supply(state: State) -> TokenSupply:
    target, proxy = state.params.target.sequence_length, state.params.proxy.model.sequence_length
    domains = state.problem.domains
    return TokenSupply(
        target=tuple(domain.rows * target for domain in domains),
        proxy=tuple(domain.proxy_rows * proxy for domain in domains),
    )


def _interactions(state: State, judged: Judgement) -> Interactions:
    saved_SD = STEP * interactions(judged.predictor, state.problem)
    trained = [place for place, domain in enumerate(state.problem.domains) if domain.trainable]
    return Interactions(
        sets=state.problem.set_names,
        domains=tuple(state.problem.names[place] for place in trained),
        values=tuple(tuple(row) for row in saved_SD[:, trained].tolist()),
        unit=state.runs.unit,
        step=STEP,
    )


def _pareto(state: State, judged: Judgement) -> Pareto | None:
    """Return what each run is worth by every objective, and which runs no other beats in all of them."""
    objectives = state.params.objectives
    if objectives is None:
        return None
    shares_KS = shares_of(objectives, state.problem)
    rows = state.paired.rows
    values_RK = state.paired.losses_RS() @ shares_KS.T
    front_R = non_dominated(values_RK)
    both_KK = judged.predictor.outputs(np.array([judged.pick.chosen.weights, state.problem.natural])) @ shares_KS.T
    return Pareto(
        objectives=tuple(objectives),
        points=tuple(
            ParetoPoint(run=row.run, kind=row.kind, values=tuple(values), front=bool(front))
            for row, values, front in zip(rows, values_RK.tolist(), front_R, strict=True)
        ),
        chosen=tuple(both_KK[0].tolist()),
        natural=tuple(both_KK[1].tolist()),
    )


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
