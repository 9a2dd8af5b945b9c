"""The forecast: what the recipe will gain over natural, said before it is trained, with an interval.

Of the size that the proxies had it says what the predictor and fresh seeds say. Of the target it says something only where
a second size was measured and mixtures kept their order there.
"""

from math import log, sqrt

import numpy as np
import numpy.typing as npt
import scipy

from tasks.core.words import percent
from tasks.mixture.decide import Pick
from tasks.mixture.problem import Problem
from tasks.mixture.published import ONE_SIZE, TRANSFERS, DomainForecast, Forecast, SizeGain
from tasks.mixture.published_candidates import Confirmation, Transfer
from tasks.mixture.runs import IN_WORDS, LossUnit
from tasks.mixture.strategies.evidence import Predicts
from tasks.mixture.transfer import Size, normal_sd, require_larger, size_gain, size_of

Array = npt.NDArray[np.float64]

CONFIDENCE = 0.9


def forecast(
    problem: Problem,
    predictor: Predicts,
    pick: Pick,
    *,
    model_parameters: int,
    tokens: int,
    noise_sd: float | None,
    confirmation: Confirmation | None = None,
    transfer: Transfer | None = None,
    target: Size | None = None,
    unit: LossUnit = "bits per byte",
) -> Forecast:
    """Return what the pick is predicted to gain over natural.

    From one size nothing can be said about another: the status is "one size", the numbers are of the size that the proxies
    had. With a second size the status is the gate's; where it "transfers" the numbers are the `target`'s, if that is named
    and the noise at both sizes is known. Where it does not there is no number for the target, only for what was measured.

    Raises:
        ConfigError: as `extrapolated`.
    """
    own = _own(pick, confirmation, Size(model_parameters, tokens))
    sizes = (own,) if transfer is None else (own, transfer.gains[1])
    gain, reached = own, transfer is not None and transfer.verdict == TRANSFERS and target is not None
    if reached and sizes[-1].sd is not None:
        assert transfer is not None and target is not None
        gain = extrapolated(own, transfer.gains[1], target, transfer.drift_per_efold)
    both_MD = np.array([problem.natural, pick.chosen.weights])
    natural_S, searched_S = predictor.outputs(both_MD)
    natural, searched = (float(value) for value in predictor.mean(both_MD))
    half_width = float(scipy.stats.norm.ppf(0.5 + CONFIDENCE / 2)) * (normal_sd(gain, CONFIDENCE) or 0.0)
    lower, upper = gain.gain - half_width, gain.gain + half_width
    kept = pick.chosen.weights == tuple(problem.natural.tolist())
    return Forecast(
        objective=_objective(problem, unit),
        gain_over_natural=gain.gain,
        lower=lower,
        upper=upper,
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
        noise_sd=predictor.noise_sd if noise_sd is None else noise_sd,
        status=ONE_SIZE if transfer is None else transfer.verdict,
        statement=_kept(gain) if kept else f"{_gains(gain, lower, upper, unit)} {_reach(gain, own, transfer, target)}",
        sizes=sizes,
    )


def extrapolated(one: SizeGain, other: SizeGain, target: Size, drift_per_efold: float) -> SizeGain:
    """Return the gain at the target: the line through both sizes in log(parameters x tokens), where gains shrink.

    Of the two, in whichever order, `small` has less compute and `large` more. The target is
    h = log(target / large) / log(large / small) steps on from the large one. A gain that grew is held at the large size's:
    two sizes are no proof of growth. One that shrinks ends at 0. The variance adds the noise of both gains, each as
    `normal_sd` at 90 %, carried h steps on; the change that is extrapolated, as if all of it could be wrong; and
    `drift_per_efold` x log(target / large) of the gain, as two sizes that agree do not show that a third will.

    Raises:
        ConfigError: both sizes have the same compute, so that no line leads from them to the target.
    """
    small, large = sorted((one, other), key=lambda each: size_of(each).compute)
    small_size, large_size = size_of(small), size_of(large)
    require_larger(small_size, large_size)
    small_sd, large_sd = normal_sd(small, CONFIDENCE), normal_sd(large, CONFIDENCE)
    assert small_sd is not None and large_sd is not None
    efolds = log(target.compute / large_size.compute)
    steps = efolds / log(large_size.compute / small_size.compute)
    trend = steps * (large.gain - small.gain)
    held = steps > 0 and trend * large.gain >= 0
    gain = large.gain if held else 0.0 if (large.gain + trend) * large.gain < 0 else large.gain + trend
    noise = large_sd**2 if held else (1 + steps) ** 2 * large_sd**2 + steps**2 * small_sd**2
    return size_gain(target, gain, sqrt(noise + trend**2 + (drift_per_efold * efolds * large.gain) ** 2))


def _own(pick: Pick, confirmation: Confirmation | None, size: Size) -> SizeGain:
    """Return the gain at the proxies' size: as predicted, and where fresh seeds confirmed it, both by their precision.

    The variance of the fresh mean, 2 noise_sd^2 / S, is taken (t / z)^2 times (`normal_sd`) before it is pooled
    with the prediction's. Measured here on made gains, 4 degrees of freedom: the 90 % interval holds 90 % where the fresh
    seeds decide and 88 % where both count the same; with noise_sd taken as known it was 83 % of both.
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


def _objective(problem: Problem, unit: LossUnit) -> str:
    counted = {name: share for name, share in zip(problem.set_names, problem.objective, strict=True) if share}
    over, shares = ("domains", problem.objective) if not problem.sets else (", ".join(counted), [*counted.values()])
    return f"{'mean' if max(shares) - min(shares) < 1e-12 else 'weighted mean'} {unit} over {over}"


def _kept(gain: SizeGain) -> str:
    return (
        f"A model of {_said(size_of(gain))} is predicted to gain nothing over natural weights by any mixture found, so "
        "natural is kept."
    )


def _gains(gain: SizeGain, lower: float, upper: float, unit: LossUnit) -> str:
    return (
        f"A model of {_said(size_of(gain))} with the searched mixture is predicted to need {gain.gain:.4f} "
        f"{IN_WORDS[unit]} less than with natural weights, {percent(CONFIDENCE)} interval {lower:.4f} to {upper:.4f}."
    )


def _reach(gain: SizeGain, own: SizeGain, transfer: Transfer | None, target: Size | None) -> str:
    if transfer is None:
        return "Proxies had this one size, so it is untransferred to others."
    if gain is not own:
        return f"{transfer.statement} Between these two sizes and this one nothing was measured."
    second = transfer.gains[1]
    measured = f"At {_said(size_of(second))} the mixture gained {second.gain:+.4f}."
    if transfer.verdict != TRANSFERS or target is None:
        return f"{transfer.statement} {measured} Of other sizes nothing is said."
    return (
        f"{transfer.statement} {measured} Of {_said(target)} nothing is said, as noise at the second size is unknown: run "
        "its mixtures with two seeds."
    )


def _said(size: Size) -> str:
    return f"{size.model_parameters:,} parameters trained on {size.tokens:,} tokens"
