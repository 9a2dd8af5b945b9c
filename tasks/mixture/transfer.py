"""The transfer gate: do mixtures keep their order at a second size? Axes: M mixtures, S seeds, D domains.

Small models' order of mixtures need not be a large model's: from 1M to 1B parameters it is kept for one web target
(Spearman .99) and half lost for a mean of 13 domains (.74; RegMix's tables), and near the optimum it is weakest. So some
mixtures are measured at a second size, and where they do not keep their order nothing is said of a third.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import sqrt

import numpy as np
import numpy.typing as npt
import scipy
from pydantic import Field, PositiveFloat, PositiveInt

from tasks.core.errors import ConfigError, EvidenceError
from tasks.core.params import Params
from tasks.core.ranks import rank_correlation
from tasks.core.words import percent
from tasks.mixture.noise import Noise, difference_noise
from tasks.mixture.published_candidates import Correlation, MixtureAtTwoSizes, Transfer
from tasks.mixture.published_forecast import SizeGain, TransferVerdict
from tasks.mixture.runs import ProxyRun, RunTable
from tasks.mixture.strategies.evidence import Predicts
from tasks.training.config import TrainingConfig

Array = npt.NDArray[np.float64]

# Fisher's z has the variance (1 + rho^2 / 2) / (M - 3): below 5 mixtures an interval says nothing.
_MIN_MIXTURES = 5
_CLOSE = 1e-9  # two mixtures that differ by less are one


class TransferParams(Params):
    """A second size, from which a gain is forecast for a third, and what has to be seen there to say that order transfers.

    `drift_per_efold` is the standard deviation of a gain's relative change with each e-fold of compute (parameters x
    tokens). From proxies to full runs of 5 times their compute gains changed here by +.43, +.37, +.32, +.27 and -.53 an
    e-fold in five searches; pile_cc's spread over mixtures lost .19 from 60M parameters and 1B tokens to 1B and 25B
    (RegMix's tables).
    """

    training: TrainingConfig | None = Field(
        default=None, description="null = half way between the proxies and the run that is trained"
    )
    most_compute: float = Field(
        default=4.0, gt=1, description="of one run where training is null, in proxies (parameters x tokens)"
    )
    num_mixtures: int = Field(
        default=8, ge=2, description="natural and the pick among them; below 5 their order is not asked"
    )
    num_seeds: PositiveInt = Field(default=1, description="of each; from 2 on the second size's noise is known")
    min_spearman: float = Field(default=0.8, gt=0, lt=1)
    top_share: float = Field(default=0.25, gt=0, lt=1, description="the best of the first size, looked at alone")
    confidence: float = Field(default=0.9, gt=0.5, lt=1)
    drift_per_efold: PositiveFloat = 0.4

    @property
    def second(self) -> TrainingConfig:
        """The training config of the second size.

        Raises:
            ConfigError: it follows the run that is trained, and nobody has said which that is.
        """
        if self.training is None:
            raise ConfigError(
                "search.transfer.training is null: it lies between search.proxy and train.training, which is not known "
                "here. Name it."
            )
        return self.training


@dataclass(frozen=True)
class Size:
    """How large a run is."""

    model_parameters: int
    tokens: int

    @property
    def compute(self) -> float:
        """Parameters x tokens: FLOPs up to a factor."""
        return float(self.model_parameters) * float(self.tokens)

    def __str__(self) -> str:
        return f"{self.model_parameters:,} parameters and {self.tokens:,} tokens"


def normal_sd(found: SizeGain, confidence: float) -> float | None:
    """Return the known standard deviation whose normal interval is as wide as Student's of the estimated one.

    That is sd t / z, both quantiles at (1 + confidence) / 2: at 90 %, 1.3 sd with 4 degrees of freedom.

    >>> round(normal_sd(size_gain(Size(1, 1), 0.0, 1.0, 4), 0.9), 3)
    1.296
    """
    if found.sd is None or found.degrees_of_freedom is None:
        return found.sd
    point = 0.5 + confidence / 2
    return found.sd * float(scipy.stats.t.ppf(point, found.degrees_of_freedom)) / float(scipy.stats.norm.ppf(point))


def size_gain(size: Size, gain: float, sd: float | None, degrees_of_freedom: int | None = None) -> SizeGain:
    """Return the gain at a size."""
    return SizeGain(
        model_parameters=size.model_parameters,
        tokens=size.tokens,
        gain=gain,
        sd=sd,
        degrees_of_freedom=degrees_of_freedom,
    )


def size_of(found: SizeGain) -> Size:
    """Return the size that a gain is of."""
    return Size(found.model_parameters, found.tokens)


def require_larger(first: Size, second: Size) -> None:
    """Refuse a second size that has no more compute (parameters x tokens) than the first: it leads nowhere larger.

    Raises:
        ConfigError: the second size's compute is that of the first or less.
    """
    if not second.compute > first.compute:
        raise ConfigError(
            f"search.transfer.training: {second} are {second.compute:.3g} of compute (parameters x tokens), no more than "
            f"the {first.compute:.3g} of the other size, {first}, so nothing follows for a larger run. Give "
            "search.transfer.training a larger model or more num_tokens than search.proxy has."
        )


def transfer_mixtures(
    runs: RunTable,
    predictor: Predicts,
    natural: Sequence[float],
    pick: Sequence[float],
    count: int,
    top_share: float = 0.25,
) -> tuple[tuple[float, ...], ...]:
    """Return `count` mixtures to measure at a second size: natural, the pick, and measured ones over the whole range.

    `runs` are paired runs of the first size. Half of what is left comes from the best `top_share` as predicted, half from
    the rest, each evenly over its ranks: the order of the best is what counts, and what is most easily lost.
    """
    chosen = [tuple(natural), *([] if _same(natural, pick) else [tuple(pick)])]
    fresh = [row.weights for row in runs.rows if not any(_same(row.weights, each) for each in chosen)]
    if not fresh:
        return tuple(chosen[:count])
    ranked = [fresh[at] for at in np.argsort(predictor.mean(np.array(fresh)), kind="stable")]
    top = max(round(top_share * len(runs.rows)), 1)
    remaining = max(count - len(chosen), 0)
    best = _spread(ranked[:top], (remaining + 1) // 2)
    rest = _spread(ranked[top:], remaining - len(best))
    more = (each for each in ranked if each not in best and each not in rest)
    return (*chosen, *best, *rest, *islice(more, remaining - len(best) - len(rest)))


def transfer(
    params: TransferParams, runs: RunTable, small: Size, large: Size, natural: Sequence[float], pick: Sequence[float]
) -> Transfer:
    """Return what the mixtures measured at both sizes say; of fewer than 5 only what the pick gained.

    The order transfers when the interval of Spearman's rho is above 0 and rho at least `min_spearman`, and the pick still
    gains over natural. It does not when the interval ends below `min_spearman` times the noise ceiling, or that of the
    best ends below 0, or that of the pick's gain does, by Student's t. Else nobody can tell yet.

    Raises:
        EvidenceError: natural, the pick or fewer mixtures than asked for were measured at both sizes, with a seed that
            natural had.
    """
    natural_run, pick_run = tuple(natural), tuple(pick)
    at_small, at_large = (_measured(runs, size, natural_run) for size in (small, large))
    weights = [each for each in at_large.levels if each in at_small.levels]
    least = min(params.num_mixtures, _MIN_MIXTURES) if pick_run != natural_run else 1
    if len(weights) < least or pick_run not in weights:
        raise EvidenceError(
            f"{len(weights)} mixtures were measured with natural's seeds both at {small} and at {large}, the pick "
            f"{'' if pick_run in weights else 'not '}among them: measure it and at least {least}."
        )
    best = np.quantile([level.objective for level in at_small.levels.values()], params.top_share)
    top = [each for each in weights if at_small.levels[each].objective <= best]
    ordered = len(weights) >= _MIN_MIXTURES
    overall = _correlation(at_small, at_large, weights, params.confidence) if ordered else None
    of_top = _correlation(at_small, at_large, top, params.confidence) if len(top) >= _MIN_MIXTURES else None
    gains = (at_small.gain(natural_run, pick_run), at_large.gain(natural_run, pick_run))
    verdict = _verdict(params, overall, of_top, None if pick_run == natural_run else gains[1])
    mixtures = tuple(
        MixtureAtTwoSizes(
            run=at_small.levels[each].run,
            weights=each,
            small=at_small.levels[each].objective,
            large=at_large.levels[each].objective,
            top=each in top,
        )
        for each in weights
    )
    return Transfer(
        verdict=verdict,
        overall=overall,
        top=of_top,
        gains=gains,
        mixtures=mixtures,
        drift_per_efold=params.drift_per_efold,
        statement=_statement(verdict, overall, of_top, small, large, params.confidence),
    )


def spearman(one_M: Array, other_M: Array, confidence: float) -> tuple[float, float, float]:
    """Return Spearman's rho and its interval: Fisher's z with the variance of Bonett and Wright (2000).

    Psychometrika 65, 23-28: (1 + rho^2 / 2) / (M - 3). Where the orders are the same z is infinite; half the smallest step
    of rho, 6 / (M^3 - M), is taken off. Of fewer than 4 mixtures nothing is known: -1 to 1.

    Raises:
        EvidenceError: at one of the sizes all mixtures are the same.
    """
    number = len(one_M)
    if (rho := rank_correlation(one_M, other_M)) is None:
        raise EvidenceError(f"all {number} mixtures measured the same at one size, so they have no order there.")
    if number <= 3:
        return rho, -1.0, 1.0
    most = 1 - 6 / (number**3 - number)
    inner = min(max(rho, -most), most)
    half_width = float(scipy.stats.norm.ppf(0.5 + confidence / 2)) * sqrt((1 + inner**2 / 2) / (number - 3))
    lower, upper = np.tanh(np.arctanh(inner) - half_width), np.tanh(np.arctanh(inner) + half_width)
    return rho, float(min(lower, rho)), float(max(upper, rho))


@dataclass(frozen=True)
class _Level:
    """What a mixture measured, seed by seed beside natural: shifts that seeds have in common are taken out."""

    run: int
    objective: float
    num_seeds: int


@dataclass(frozen=True)
class _AtSize:
    """All mixtures of one size that share a seed with natural, and the noise of a paired difference of single runs."""

    size: Size
    levels: Mapping[tuple[float, ...], _Level]
    noise: Noise | None

    def gain(self, natural: tuple[float, ...], pick: tuple[float, ...]) -> SizeGain:
        gain = self.levels[natural].objective - self.levels[pick].objective
        if self.noise is None:
            return size_gain(self.size, gain, None)
        sd = self.noise.sd / sqrt(self.levels[pick].num_seeds)
        return size_gain(self.size, gain, sd, self.noise.degrees_of_freedom or None)

    def reliability(self, weights: Sequence[tuple[float, ...]]) -> float | None:
        """Return the share of the variance between these mixtures that is no noise; None where noise is not measured."""
        if self.noise is None or self.noise.known != "measured":
            return None
        noise = float(np.mean([self.noise.sd**2 / 2 / self.levels[each].num_seeds for each in weights]))
        spread = float(np.var([self.levels[each].objective for each in weights], ddof=1))
        return max(0.0, 1 - noise / spread) if spread > 0 else 0.0


def _measured(runs: RunTable, size: Size, natural: tuple[float, ...]) -> _AtSize:
    table = runs.at(size.model_parameters, size.tokens)
    by_mixture: dict[tuple[float, ...], dict[int, ProxyRun]] = {}
    for row in table.rows:
        by_mixture.setdefault(row.weights, {}).setdefault(row.seed, row)
    base = by_mixture.get(natural)
    if base is None:
        raise EvidenceError(f"natural was not measured at {size}, so no gain over it is known there: measure it.")
    level, levels = float(np.mean([row.objective for row in base.values()])), {}
    for weights, by_seed in by_mixture.items():
        if shared := sorted(by_seed.keys() & base.keys()):
            gain = float(np.mean([base[seed].objective - by_seed[seed].objective for seed in shared]))
            levels[weights] = _Level(by_seed[shared[0]].run, level - gain, len(shared))
    return _AtSize(size, levels, difference_noise(table))


def _correlation(
    small: _AtSize, large: _AtSize, weights: Sequence[tuple[float, ...]], confidence: float
) -> Correlation:
    one_M, other_M = (np.array([size.levels[each].objective for each in weights]) for size in (small, large))
    shares = [size.reliability(weights) for size in (small, large)]
    ceiling = None if shares[0] is None or shares[1] is None else sqrt(shares[0] * shares[1])
    rho, lower, upper = spearman(one_M, other_M, confidence)
    return Correlation(rho=rho, lower=lower, upper=upper, mixtures=len(weights), ceiling=ceiling)


def _verdict(
    params: TransferParams, overall: Correlation | None, top: Correlation | None, pick: SizeGain | None
) -> TransferVerdict:
    width = float(scipy.stats.norm.ppf(0.5 + params.confidence / 2))
    sd = None if pick is None else normal_sd(pick, params.confidence)
    lost = pick is not None and sd is not None and pick.gain + width * sd < 0
    if lost:
        return "does not transfer"
    if overall is None:
        return "cannot tell"
    reach = 1.0 if overall.ceiling is None else overall.ceiling
    if overall.upper < params.min_spearman * reach or (top is not None and top.upper < 0):
        return "does not transfer"
    gains = pick is None or pick.gain > 0
    return "transfers" if overall.lower > 0 and overall.rho >= params.min_spearman and gains else "cannot tell"


def _statement(
    verdict: TransferVerdict,
    overall: Correlation | None,
    top: Correlation | None,
    small: Size,
    large: Size,
    confidence: float,
) -> str:
    if overall is None:
        lost = "is worse than natural" if verdict == "does not transfer" else "was measured"
        return (
            f"The pick {lost} at {large}; too few mixtures were measured there to say whether their order at {small} "
            "is kept."
        )

    def said(found: Correlation) -> str:
        return f"{found.rho:.2f} ({percent(confidence)} interval {found.lower:.2f} to {found.upper:.2f})"

    ceiling = "" if overall.ceiling is None else f", noise alone would leave {overall.ceiling:.2f}"
    best = "too few of the best were sent to say their own" if top is None else f"among the best {said(top)}"
    name = {"transfers": "The order transfers", "does not transfer": "The order does not transfer"}.get(
        verdict, "Whether the order transfers cannot be told"
    )
    return (
        f"{name} from {small} to {large}: Spearman over {overall.mixtures} mixtures {said(overall)}{ceiling}; {best}."
    )


def _spread(ranked: Sequence[tuple[float, ...]], count: int) -> list[tuple[float, ...]]:
    """Return `count` of these at even distances, the first and the last among them."""
    places = np.linspace(0, max(len(ranked) - 1, 0), min(count, len(ranked)))
    return [ranked[round(place)] for place in places.tolist()]


def _same(one: Sequence[float], other: Sequence[float]) -> bool:
    return bool(np.abs(np.array(one) - np.array(other)).max() < _CLOSE)
