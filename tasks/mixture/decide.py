"""The final pick: natural, the best measured or the best predicted. Axes: M mixtures, D domains.

Picking the best prediction is what fails in practice (winner's curse: with LightGBM after 112 runs it was worse than
the natural mixture on RegMix's tables), so a candidate has to be better than natural by more than its own uncertainty,
and one that was never measured has to be better than the best measured in the same way; if not, that one stands.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tasks.core.params import Params
from tasks.mixture.predictors.predictor import Predictor
from tasks.mixture.problem import Problem, gridded
from tasks.mixture.runs import Run, Runs
from tasks.mixture.strategies.local_search import climb

Array = npt.NDArray[np.float64]

NATURAL, PREDICTED = "natural", "predicted best"
_STARTS = 3


class DecisionParams(Params):
    """How sure one has to be, in standard deviations of the predicted gain; 1 was best on published tables."""

    caution: float = Field(default=1.0, ge=0)


@dataclass(frozen=True)
class Candidate:
    """A mixture that could become the recipe. `gain` is over natural, `score` = gain - caution x gain_sd - penalty.

    `measured` is the run's own objective, None for a mixture that was only predicted.
    """

    name: str
    weights: tuple[float, ...]
    measured: float | None
    predicted: float
    gain: float
    gain_sd: float
    score: float


@dataclass(frozen=True)
class Pick:
    """The recipe's mixture, why it and no other, and all that were considered, best score first."""

    chosen: Candidate
    reason: str
    considered: tuple[Candidate, ...]


def decide(params: DecisionParams, problem: Problem, predictor: Predictor, runs: Runs) -> Pick:
    """Return the pick among natural, what was measured and what the optimiser finds; only what keeps to the caps.

    `runs` are those with one seed; each is scored by what the predictor says, not by its own lucky or unlucky result.
    """
    natural = _candidate(params, problem, predictor, NATURAL, problem.natural, _measured(runs, problem.natural))
    rows = [row for row in runs.rows if problem.allows(np.array([row.weights]))[0] and not _is(row, problem.natural)]
    measured = [_candidate(params, problem, predictor, f"run {r.run}", np.array(r.weights), r.objective) for r in rows]
    best = min([natural, *measured], key=lambda candidate: -candidate.score)
    predicted = _predicted_best(params, problem, predictor, [natural, *measured])
    considered = tuple(sorted([natural, *measured, predicted], key=lambda candidate: -candidate.score))
    gain_M, sd_M = predictor.gain(np.array([predicted.weights]), np.array(best.weights))
    advantage, doubt = float(gain_M[0]), float(sd_M[0])
    if advantage > params.caution * doubt and predicted.score > best.score:
        reason = f"predicted to beat the best measured ({best.name}) by {advantage:.4f}, standard deviation {doubt:.4f}"
        return Pick(predicted, reason, considered)
    if best is natural:
        reason = f"no mixture is credibly better than natural: the best gain is {_strongest(considered)}"
        return Pick(natural, reason, considered)
    reason = f"the best measured; a better one is not credible ({advantage:.4f}, standard deviation {doubt:.4f})"
    return Pick(best, reason, considered)


def _predicted_best(
    params: DecisionParams, problem: Problem, predictor: Predictor, known: list[Candidate]
) -> Candidate:
    """Return the best score that the local optimiser finds from the best candidates, uniform and natural."""

    def score(weights_MD: Array) -> Array:
        gain_M, sd_M = predictor.gain(weights_MD, problem.natural)
        return gain_M - params.caution * sd_M - problem.penalty(weights_MD)

    ranked = sorted(known, key=lambda candidate: -candidate.score)[:_STARTS]
    starts = [*(np.array(candidate.weights) for candidate in ranked), problem.uniform, problem.natural]
    tops_MD = np.array([gridded(climb(score, start_D, problem.caps_D), problem.caps_D) for start_D in starts])
    return _candidate(params, problem, predictor, PREDICTED, tops_MD[int(np.argmax(score(tops_MD)))], None)


def _candidate(
    params: DecisionParams, problem: Problem, predictor: Predictor, name: str, weights_D: Array, measured: float | None
) -> Candidate:
    if name == NATURAL:
        gain, doubt = 0.0, 0.0
    else:
        gain_M, sd_M = predictor.gain(weights_D[None], problem.natural)
        gain, doubt = float(gain_M[0]), float(sd_M[0])
    predicted = float(predictor.mean(weights_D[None])[0])
    score = gain - params.caution * doubt - float(problem.penalty(weights_D[None])[0])
    return Candidate(name, tuple(weights_D.tolist()), measured, predicted, gain, doubt, score)


def _measured(runs: Runs, weights_D: Array) -> float | None:
    return next((row.objective for row in runs.rows if _is(row, weights_D)), None)


def _is(row: Run, weights_D: Array) -> bool:
    return bool(np.abs(np.array(row.weights) - weights_D).max() < 1e-9)


def _strongest(considered: tuple[Candidate, ...]) -> str:
    natural = next(candidate for candidate in considered if candidate.name == NATURAL)
    others = [candidate for candidate in considered if candidate.weights != natural.weights]
    if not others:
        return "none"
    return f"{others[0].gain:.4f} with standard deviation {others[0].gain_sd:.4f} ({others[0].name})"
