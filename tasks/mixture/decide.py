"""The final pick: natural, the best measured or the best predicted.

Picking the best prediction is what fails in practice (winner's curse: with LightGBM after 112 runs it was worse than
the natural mixture on RegMix's tables), so a candidate has to be better than natural by more than its own uncertainty,
and one that was never measured has to be better than the best measured in the same way; if not, that one stands.

Axes: M mixtures, S starts, D domains, B domains of what is searched (fewer than D where some keep their relative shares).
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tasks.core.errors import EvidenceError
from tasks.core.params import Params
from tasks.mixture.earlier_runs.reuse import Reuse
from tasks.mixture.predictors.choose import fit
from tasks.mixture.predictors.gp_sqrt import GpSqrt
from tasks.mixture.problem import Problem
from tasks.mixture.published import BaselineName
from tasks.mixture.published_mixtures import Candidate, MixtureOrigin
from tasks.mixture.runs import ProxyRun, RunTable
from tasks.mixture.strategies.evidence import MARGIN, Evidence, Predicts, brought_in, excess
from tasks.mixture.strategies.local_search import ascend

Array = npt.NDArray[np.float64]

NATURAL: Literal["natural"] = "natural"
PREDICTED: Literal["predicted"] = "predicted"
_PREDICTED_ALONE = MixtureOrigin(source=PREDICTED)
_STARTS = 3
# What a unit of a broken constraint costs the score of a candidate: more than any gain.
_BROKEN = 1e3


class DecisionParams(Params):
    """How sure one has to be, in standard deviations of the predicted gain.

    Measured on two truths (the ensemble of networks on RegMix's runs, and a made law with interactions; 56 and 112 runs,
    noise .01 and .1, law plus process): mean regret .053 nats for a caution of 0, .054 for 1, .056 for 2; the mean of the
    best 2 to 16 candidates .055 to .057, of the 128 best of 20,000 draws .096. So the choice is for what is claimed, not for
    the regret: with 1 a gain is larger than its own uncertainty.
    """

    caution: float = Field(default=1.0, ge=0)


@dataclass(frozen=True)
class Pick:
    """The recipe's mixture, why it and no other, and all that were considered, best score first."""

    chosen: Candidate
    reason: str
    considered: tuple[Candidate, ...]


def decide(
    params: DecisionParams, problem: Problem, predictor: Predicts, runs: RunTable, within: Reuse | None = None
) -> Pick:
    """Return the pick among natural, what was measured and what the optimiser finds; only what keeps to the caps.

    `runs` are those with one seed; each is scored by what the predictor says, not by its own lucky or unlucky result.
    Candidates predicted to break a constraint come last. `within` a smaller problem all but natural keep its frozen shares.
    """
    if within is not None:
        held_R = within.basis.holds(runs.weights_RD())
        runs = replace(
            runs,
            rows=tuple(row for row, held in zip(runs.rows, held_R, strict=True) if held or _is(row, problem.natural)),
        )
    known = _known(params, problem, predictor, runs)
    natural, best = known[0], min(known, key=lambda candidate: -candidate.score)
    predicted = _predicted_best(params, problem, predictor, known, within)
    considered = tuple(sorted([*known, predicted], key=lambda candidate: -candidate.score))
    gain_M, sd_M = predictor.gain(np.array([predicted.weights]), np.array(best.weights))
    advantage, sd = float(gain_M[0]), float(sd_M[0])
    if advantage > params.caution * sd and predicted.score > best.score:
        reason = f"predicted to beat the best measured ({best.name}) by {advantage:.4f}, standard deviation {sd:.4f}"
        return Pick(predicted, reason, considered)
    if best is natural:
        reason = f"no mixture is credibly better than natural: the best gain is {_strongest(considered)}"
        return Pick(natural, reason, considered)
    reason = f"the best measured; a better one is not credible ({advantage:.4f}, standard deviation {sd:.4f})"
    return Pick(best, reason, considered)


def shipped(params: DecisionParams, problem: Problem, evidence: Evidence, weights_D: Array, reason: str) -> Pick:
    """Return what a released method ships, whatever it is worth: brought under the caps, which the reason then says."""
    # What was measured ships as it was measured, not rounded to the grid of proposals.
    as_it_is = _measured(evidence.runs, weights_D) is not None and bool(problem.allows(weights_D[None])[0])
    kept_D, moved = (weights_D, 0.0) if as_it_is else brought_in(problem, weights_D)
    predictor = evidence.predictor or fit(GpSqrt(), evidence.measured(problem))
    if moved > 0:
        over = "a cap or a limit" if problem.limits else "a cap"
        reason += f"; {moved:.4f} of its weight was above {over} and went to other domains"
    if float(broken := excess(problem, predictor, kept_D[None])[0]) > 0:
        reason += f"; it is predicted to break the constraints by {broken:.4f}"
    known = _known(params, problem, predictor, evidence.runs)
    same = next((c for c in known if np.abs(np.array(c.weights) - kept_D).max() < 1e-9), None)
    chosen = same or _candidate(params, problem, predictor, _PREDICTED_ALONE, kept_D, None)
    others = [candidate for candidate in known if candidate is not same]
    return Pick(chosen, reason, tuple(sorted([chosen, *others], key=lambda candidate: -candidate.score)))


def best_measured(params: DecisionParams, problem: Problem, evidence: Evidence, reason: str) -> Pick:
    """Return the run with the lowest objective among those under the caps, natural where there is none."""
    allowed = [row for row in evidence.runs.rows if problem.allows(np.array([row.weights]))[0]]
    if not allowed:
        return shipped(params, problem, evidence, problem.natural, f"{reason}: none keeps to the caps, so natural")
    best = min(allowed, key=lambda row: row.objective)
    return shipped(params, problem, evidence, np.array(best.weights), f"{reason}: {best.objective:.4f}")


def baseline(
    params: DecisionParams, problem: Problem, evidence: Evidence, name: BaselineName, weights_D: Array
) -> Pick:
    """Return a mixture that needs no search, with what was measured of it beside natural.

    Raises:
        EvidenceError: no predictor was fitted, and it, natural or the noise between seeds was not measured.
    """
    if evidence.predictor is not None:
        pick = shipped(params, problem, evidence, weights_D, f"{name}, as configured: nothing was searched")
        return replace(pick, chosen=pick.chosen.model_copy(update={"source": name, "run": None}))
    own, natural = _measured(evidence.runs, weights_D), _measured(evidence.runs, problem.natural)
    if own is None or natural is None or evidence.noise_sd is None:
        raise EvidenceError(
            f"strategy {name}: what it gains over natural is unknown. Measure it, natural and natural with other seeds."
        )
    at_natural = name == NATURAL
    gain, gain_sd = (0.0, 0.0) if at_natural else (natural - own, float(np.sqrt(2)) * evidence.noise_sd)
    chosen = Candidate(
        source=name,
        weights=tuple(weights_D.tolist()),
        measured=own,
        predicted=own,
        gain=gain,
        gain_sd=gain_sd,
        score=gain - params.caution * gain_sd - float(problem.penalty(weights_D[None])[0]),
    )
    return Pick(chosen, f"{name}, as configured: nothing was searched", (chosen,))


def _known(params: DecisionParams, problem: Problem, predictor: Predicts, runs: RunTable) -> list[Candidate]:
    """Return natural, then every run that keeps to the caps."""
    origin = MixtureOrigin(source=NATURAL)
    natural = _candidate(params, problem, predictor, origin, problem.natural, _measured(runs, problem.natural))
    rows = [row for row in runs.rows if problem.allows(np.array([row.weights]))[0] and not _is(row, problem.natural)]
    origins = [MixtureOrigin(source="measured", run=row.run) for row in rows]
    return [
        natural,
        *(
            _candidate(params, problem, predictor, origin, np.array(row.weights), row.objective)
            for row, origin in zip(rows, origins, strict=True)
        ),
    ]


def _predicted_best(
    params: DecisionParams, problem: Problem, predictor: Predicts, known: list[Candidate], within: Reuse | None
) -> Candidate:
    """Return the best score that the local optimiser finds from the best candidates, uniform and natural."""
    searched = problem if within is None else within.problem
    basis = None if within is None else within.basis

    def whole(weights_MB: Array) -> Array:
        return weights_MB if basis is None else basis.expand(weights_MB)

    def score(weights_MD: Array) -> Array:
        gain_M, sd_M = predictor.gain(weights_MD, problem.natural)
        worth_M = gain_M - params.caution * sd_M - problem.penalty(weights_MD)
        return np.asarray(worth_M - _BROKEN * excess(problem, predictor, weights_MD, MARGIN))

    ranked_SD = np.array([each.weights for each in sorted(known, key=lambda candidate: -candidate.score)])
    ranked_SB = ranked_SD if basis is None else basis.reduce(ranked_SD[basis.holds(ranked_SD)])
    starts_SB = np.vstack([ranked_SB[:_STARTS], searched.uniform, searched.natural])
    found_SB = ascend(lambda weights_MB: score(whole(searched.admitted(weights_MB))), starts_SB, searched.caps_D)
    tops_MD = whole(np.array([searched.gridded(top_B) for top_B in found_SB]))
    return _candidate(params, problem, predictor, _PREDICTED_ALONE, tops_MD[int(np.argmax(score(tops_MD)))], None)


def _candidate(
    params: DecisionParams,
    problem: Problem,
    predictor: Predicts,
    origin: MixtureOrigin,
    weights_D: Array,
    measured: float | None,
) -> Candidate:
    if origin.source == NATURAL:
        gain, gain_sd = 0.0, 0.0
    else:
        gain_M, sd_M = predictor.gain(weights_D[None], problem.natural)
        gain, gain_sd = float(gain_M[0]), float(sd_M[0])
    score = gain - params.caution * gain_sd - float(problem.penalty(weights_D[None])[0])
    return Candidate(
        source=origin.source,
        run=origin.run,
        weights=tuple(weights_D.tolist()),
        measured=measured,
        predicted=float(predictor.mean(weights_D[None])[0]),
        gain=gain,
        gain_sd=gain_sd,
        score=score - _BROKEN * float(excess(problem, predictor, weights_D[None])[0]),
    )


def _measured(runs: RunTable, weights_D: Array) -> float | None:
    return next((row.objective for row in runs.rows if _is(row, weights_D)), None)


def _is(row: ProxyRun, weights_D: Array) -> bool:
    return bool(np.abs(np.array(row.weights) - weights_D).max() < 1e-9)


def _strongest(considered: tuple[Candidate, ...]) -> str:
    natural = next(candidate for candidate in considered if candidate.source == NATURAL)
    others = [candidate for candidate in considered if candidate.weights != natural.weights]
    if not others:
        return "none"
    return f"{others[0].gain:.4f} with standard deviation {others[0].gain_sd:.4f} ({others[0].name})"
