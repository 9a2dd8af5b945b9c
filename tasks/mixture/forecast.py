"""The forecast: what the recipe's model and natural's will have, and what is gained, said before either is trained.

Of the size that the proxies had it says what the predictor and fresh seeds say. Where a second size was measured it speaks
of the target's, with what the way there may change in the interval.
"""

from collections.abc import Sequence
from math import sqrt

import numpy as np
import numpy.typing as npt
import scipy

from tasks.core.words import percent
from tasks.mixture.decide import Pick
from tasks.mixture.expected_curve import RunCurve
from tasks.mixture.noise import difference_noise
from tasks.mixture.problem import Problem
from tasks.mixture.published_candidates import Transfer
from tasks.mixture.published_forecast import ONE_SIZE, DomainForecast, Forecast, Said, SizeGain
from tasks.mixture.published_mixtures import Confirmation
from tasks.mixture.runs import IN_WORDS, LossUnit, RunTable
from tasks.mixture.strategies.evidence import Predicts
from tasks.mixture.third_size import Fall, Sizes, extrapolated
from tasks.mixture.transfer import Size, normal_sd, size_gain, size_of
from tasks.mixture.values import SEEDS, mixture_values

Array = npt.NDArray[np.float64]

CONFIDENCE = 0.8
# With fewer degrees of freedom the second size's noise is told by both sizes together.
_FEW = 4


def forecast(
    problem: Problem,
    predictor: Predicts,
    pick: Pick,
    runs: RunTable,
    *,
    size: Size,
    noise_sd: float | None,
    other_text: Sequence[float],
    confirmation: Confirmation | None = None,
    transfer: Transfer | None = None,
    target: Size | None = None,
    onward: Fall | None = None,
    curves: Sequence[RunCurve] = (),
) -> Forecast:
    """Return what natural's model and the pick's will have, and what the pick gains.

    From one size nothing can be said about another: the status is "one size", the numbers are of the `size` that the
    proxies had. With a second size the status is the gate's, and the numbers are the `target`'s, if that is named and the
    noise at both sizes is known. `other_text` says how much each set's loss differs on other text, `onward` how losses
    fall from there where a ladder says it.

    Raises:
        ConfigError: the second size has no more compute than the first.
    """
    own = _own(pick, confirmation, size)
    sizes = (own,) if transfer is None else (own, _second(transfer.gains[1], runs, size))
    gain, way = own, Sizes(size)
    if transfer is not None and target is not None and sizes[-1].sd is not None:
        gain = extrapolated(own, sizes[-1], target, transfer.drift_per_efold, CONFIDENCE)
        way = Sizes(size, size_of(sizes[-1]), target, onward)
    both_MD = np.array([problem.natural, pick.chosen.weights])
    natural_S, searched_S = predictor.outputs(both_MD)
    natural, searched = (float(value) for value in predictor.mean(both_MD))
    run_sd = predictor.noise_sd if noise_sd is None else noise_sd
    kept = pick.chosen.weights == tuple(problem.natural.tolist())
    # What comes out is the mean of some pairs of runs, not what an endless number of them would have.
    sd = 0.0 if kept else sqrt((normal_sd(gain, CONFIDENCE) or 0.0) ** 2 + 2 * run_sd**2 / SEEDS)
    half_width = float(scipy.stats.norm.ppf(0.5 + CONFIDENCE / 2)) * sd
    said = Said(value=gain.gain, lower=gain.gain - half_width, upper=gain.gain + half_width)
    values, gains = mixture_values(
        problem,
        runs,
        way,
        pick.chosen.weights,
        said,
        other_text=other_text,
        drift_per_efold=0.0 if transfer is None else transfer.drift_per_efold,
        confidence=CONFIDENCE,
        curves=curves,
    )
    return Forecast(
        objective=_objective(problem, runs.unit),
        gain_over_natural=said.value,
        lower=said.lower,
        upper=said.upper,
        confidence=CONFIDENCE,
        predicted_searched=searched,
        predicted_natural=natural,
        per_domain={
            name: DomainForecast(natural=at_natural, searched=at_searched)
            for name, at_natural, at_searched in zip(
                problem.set_names, natural_S.tolist(), searched_S.tolist(), strict=True
            )
        },
        model_parameters=gain.model_parameters,
        tokens=gain.tokens,
        noise_sd=run_sd,
        status=ONE_SIZE if transfer is None else transfer.verdict,
        statement=_kept(gain) if kept else f"{_gains(gain, said, runs.unit)} {_reach(gain, own, transfer, target)}",
        sizes=sizes,
        values=values,
        gains=gains,
    )


def _own(pick: Pick, confirmation: Confirmation | None, size: Size) -> SizeGain:
    """Return the gain at the proxies' size: as predicted, and where fresh seeds confirmed it, both by their precision.

    The variance of the fresh mean, 2 noise_sd^2 / S, is taken (t / z)^2 times (`normal_sd`) before it is pooled
    with the prediction's.
    """
    gain, sd = pick.chosen.gain, pick.chosen.gain_sd
    fresh = (
        next((row for row in confirmation.rows if row.contender == confirmation.shipped), None)
        if confirmation
        else None
    )
    if confirmation is None or fresh is None or fresh.over_natural is None:
        return size_gain(size, gain, sd)
    error = confirmation.noise_sd * sqrt(2 / len(confirmation.seeds))
    fresh_gain = size_gain(size, fresh.over_natural.mean, error, confirmation.degrees_of_freedom)
    fresh_sd = normal_sd(fresh_gain, CONFIDENCE)
    assert fresh_sd is not None
    variance = fresh_sd**2
    share = 1.0 if not sd**2 + variance > 0 else sd**2 / (sd**2 + variance)
    return size_gain(size, gain + share * (fresh.over_natural.mean - gain), sqrt(share * variance))


def _second(second: SizeGain, runs: RunTable, size: Size) -> SizeGain:
    """Return the gain at the second size; where a few pairs alone would tell its noise, with that of both sizes."""
    here = difference_noise(runs.at(second.model_parameters, second.tokens))
    first = difference_noise(runs.at(size.model_parameters, size.tokens))
    if here is None or first is None or second.sd is None or not (here.sd > 0 and here.degrees_of_freedom < _FEW):
        return second
    degrees = here.degrees_of_freedom + first.degrees_of_freedom
    squares = sum(each.degrees_of_freedom * each.sd**2 for each in (here, first))
    return size_gain(size_of(second), second.gain, second.sd * sqrt(squares / degrees) / here.sd, degrees)


def _objective(problem: Problem, unit: LossUnit) -> str:
    counted = {name: share for name, share in zip(problem.set_names, problem.objective, strict=True) if share}
    over, shares = ("domains", problem.objective) if not problem.sets else (", ".join(counted), [*counted.values()])
    return f"{'mean' if max(shares) - min(shares) < 1e-12 else 'weighted mean'} {unit} over {over}"


def _kept(gain: SizeGain) -> str:
    return (
        f"A model of {_said(size_of(gain))} is predicted to gain nothing over natural weights by any mixture found, so "
        "natural is kept."
    )


def _gains(gain: SizeGain, said: Said, unit: LossUnit) -> str:
    return (
        f"A model of {_said(size_of(gain))} with the searched mixture is predicted to need {gain.gain:.4f} "
        f"{IN_WORDS[unit]} less than with natural weights, {percent(CONFIDENCE)} interval {said.lower:.4f} to "
        f"{said.upper:.4f}."
    )


def _reach(gain: SizeGain, own: SizeGain, transfer: Transfer | None, target: Size | None) -> str:
    if transfer is None:
        return "Proxies had this one size, so it is untransferred to others."
    second = transfer.gains[1]
    measured = (
        f"At {_said(size_of(second))} the mixture gained {second.gain:+.4f}, at the proxies' size {own.gain:+.4f}."
    )
    if gain is not own:
        return f"{transfer.statement} {measured} From there to this size nothing was measured."
    if target is None:
        return f"{transfer.statement} {measured} Of other sizes nothing is said."
    return (
        f"{transfer.statement} {measured} Of {_said(target)} nothing is said, as noise at the second size is unknown: run "
        "its mixtures with two seeds."
    )


def _said(size: Size) -> str:
    return f"{size.model_parameters:,} parameters trained on {size.tokens:,} tokens"
