"""Noise of a run and of a difference between runs, and how small a gain they let one find. Axes: R runs, S seeds."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from math import sqrt
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy

from tasks.core.errors import DataError
from tasks.mixture.runs import IN_WORDS, RunTable

Array = npt.NDArray[np.float64]

POWER = 0.8
_CONFIDENCE = 0.95  # of what is told of noise on the way
_MIN_SEEDS = 3  # fewer make no claim: tasks.evaluation.compare
# More seeds than this are no plan: the noise has to come down in another way.
_MAX_SEEDS = 1000
# Runs at which a nat of divergence costs one sd of noise. Measured here on made laws (powers of shares plus products
# no law has, spread over mixtures .02 to .04; decision as shipped, 24 to 112 runs, noise .003 to .1, a process on
# sqrt(w)): with 14 domains 6 % less regret at 24 runs and 7 % at 56 runs with noise .03, nowhere more than 2 % more; with 6
# domains within 8 % either way. 100 runs were worse from noise .03 on, a fixed .03 per nat by up to 65 % at noise .003.
_PENALTY_RUNS = 10


@dataclass(frozen=True)
class Noise:
    """Standard deviation of the paired difference between two mixtures, and how it is known.

    "measured": from mixtures run with the same seeds. "bounded": only one mixture was repeated, so that what pairing
    cancels is unknown; sqrt(2) times its standard deviation is what is left if it cancels nothing. `degrees_of_freedom`
    are its own, 0 where nobody counted them.
    """

    sd: float
    known: Literal["measured", "bounded"]
    degrees_of_freedom: int = 0

    @property
    def run_sd(self) -> float:
        """Standard deviation of one run among those with its seed: a paired difference's over sqrt(2)."""
        return self.sd / sqrt(2)

    def interval(self, confidence: float) -> tuple[float, float] | None:
        """Return the interval of the standard deviation itself, by chi-square; a few seeds tell it within a factor of 3.

        >>> [round(bound, 2) for bound in Noise(1.0, "measured", 4).interval(0.9)]
        [0.65, 2.37]
        """
        if not self.degrees_of_freedom:
            return None
        most, least = scipy.stats.chi2.ppf((0.5 - confidence / 2, 0.5 + confidence / 2), self.degrees_of_freedom)
        return self.sd * sqrt(self.degrees_of_freedom / least), self.sd * sqrt(self.degrees_of_freedom / most)


@dataclass(frozen=True)
class Effect:
    """The smallest true gain that a paired t interval over `seeds` excludes zero for, with probability `power`."""

    gain: float
    seeds: int
    confidence: float
    power: float


@dataclass(frozen=True)
class Sizing:
    """What it takes at one measured size to find a gain: `seeds` of both mixtures, None where no number would do."""

    model_parameters: int
    tokens: int
    noise: Noise
    seeds: int | None

    @property
    def all_tokens(self) -> int | None:
        """Tokens of both mixtures with all seeds."""
        return None if self.seeds is None else 2 * self.seeds * self.tokens


def difference_noise(runs: RunTable) -> Noise | None:
    """Return the noise of the objective's paired difference between mixtures; None when nothing was repeated.

    Only runs of one size on the same data and instruction set are compared; several sizes are pooled, so ask
    `runs.at(...)` for one.
    """
    squares, pairs, degrees_of_freedom = 0.0, 0, 0
    for group in _by_size(runs).values():
        repeated = {weights: by_seed for weights, by_seed in group.items() if len(by_seed) > 1}
        for one, other in combinations(repeated.values(), 2):
            shared = sorted(one.keys() & other.keys())
            if len(shared) > 1:
                differences_S = np.array([one[seed] - other[seed] for seed in shared])
                squares += float(((differences_S - differences_S.mean()) ** 2).sum())
                pairs += len(shared) - 1
        degrees_of_freedom += _degrees_of_freedom(repeated)
    if pairs:
        return Noise(sqrt(squares / pairs), "measured", max(degrees_of_freedom, 1))
    noise_sd = runs.noise_sd()
    if noise_sd is None:
        return None
    seeds = [len(by_seed) for group in _by_size(runs).values() for by_seed in group.values()]
    return Noise(sqrt(2) * noise_sd, "bounded", sum(seeds) - len(seeds))


def run_noise(runs: RunTable) -> float | None:
    """Return the standard deviation of one run among runs with the same seed, None when nothing was repeated.

    It is a paired difference's over sqrt(2): what a seed shifts all mixtures by is no noise of a comparison.
    """
    noise = difference_noise(runs)
    return None if noise is None else noise.run_sd


def noise_sentence(runs: RunTable, confirm_seeds: int) -> str:
    """Say the noise and the smallest gain that a comparison of full seeds could find, before more is spent."""
    noise = difference_noise(runs)
    if noise is None:
        return "search: the noise is not known: no mixture was run with two seeds (search.num_noise_seeds)"
    seeds = max(confirm_seeds, _MIN_SEEDS)
    effect = detectable(noise, seeds, _CONFIDENCE)
    found = "" if effect is None else f"; with {seeds} seeds a gain of {effect.gain:.4f} would be found 4 times of 5"
    chance = f"{noise.sd:.4f} {IN_WORDS[runs.unit]} (sd, {noise.known})"
    return f"search: two runs of one size differ by chance by {chance}{found}"


def require_varied(objective_R: Array, what: str) -> None:
    """Refuse values that are the same in all runs: no predictor learns from them, and no mixture is better.

    `what` begins the message ("the target mean"). One run alone never varies.

    Raises:
        DataError: the values do not vary by more than rounding, or one is NaN.
    """
    if not np.ptp(objective_R) > 1e-9 * max(1.0, float(np.abs(objective_R).max())):
        raise DataError(
            f"{what} is {objective_R[0]:g} in all {len(objective_R)} runs, so there is nothing to learn. Check what its "
            "losses are measured on, or measure mixtures that differ."
        )


def detectable(noise: Noise, seeds: int, confidence: float, power: float = POWER) -> Effect | None:
    """Return the gain that a two-sided paired t interval finds with this power; None when the seeds are too few.

    The mean of S differences over its standard error is noncentral t with S - 1 degrees of freedom and centre
    gain sqrt(S) / sd; the claim is made when it is above the interval's quantile.

    >>> round(detectable(Noise(1.0, "measured"), 10, 0.95).gain, 3)  # R: power.t.test(n=10, power=.8, type="paired")
    0.996
    """
    if seeds < _MIN_SEEDS:
        return None
    quantile = float(scipy.stats.t.ppf(0.5 + confidence / 2, seeds - 1))
    return Effect(_gain(noise, seeds, quantile, seeds - 1, power), seeds, confidence, power)


def confirmable(noise: Noise, mixtures: int, seeds: int, confidence: float, power: float = POWER) -> Effect | None:
    """Return the gain over natural that a confirmation of `mixtures`, natural among them, finds with this power.

    As `detectable`, with the noise pooled over all mixtures and the quantile that allows for comparing each of them
    with natural. None for less than two mixtures or two seeds.
    """
    if min(mixtures, seeds) < 2:
        return None
    degrees_of_freedom = (mixtures - 1) * (seeds - 1)
    quantile = dunnett_quantile(mixtures - 1, degrees_of_freedom, confidence)
    return Effect(_gain(noise, seeds, quantile, degrees_of_freedom, power), seeds, confidence, power)


def seeds_needed(noise: Noise, gain: float, confidence: float, power: float = POWER, mixtures: int = 0) -> int | None:
    """Return how many paired seeds find a true gain with this power; None where not even 1000 do.

    For a confirmation of so many `mixtures` (see `confirmable`), else for one comparison (see `detectable`).

    >>> seeds_needed(Noise(1.0, "measured"), 1.0, 0.95)
    10
    """

    def enough(seeds: int) -> bool:
        if mixtures:
            effect = confirmable(noise, mixtures, seeds, confidence, power)
        else:
            effect = detectable(noise, seeds, confidence, power)
        return effect is not None and effect.gain <= gain

    if not enough(_MAX_SEEDS):
        return None
    low, high = 1, _MAX_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def sizings(runs: RunTable, gain: float, confidence: float, power: float = POWER) -> tuple[Sizing, ...]:
    """Return for each measured size with repeats how many seeds find `gain`, the cheapest in tokens first.

    Tokens are chosen among sizes that were measured: how noise falls between them is seen, beyond them it is not, and
    what held-out tokens add is not in it at all, as every run was measured on the same ones.
    """
    found = []
    for parameters, tokens in runs.fidelities():
        noise = difference_noise(runs.at(parameters, tokens))
        if noise is not None:
            found.append(Sizing(parameters, tokens, noise, seeds_needed(noise, gain, confidence, power)))
    return tuple(sorted(found, key=lambda sizing: (sizing.all_tokens is None, sizing.all_tokens or 0)))


@cache
def dunnett_quantile(comparisons: int, degrees_of_freedom: int, confidence: float) -> float:
    """Return the half-width, in standard errors, of simultaneous intervals of several means against one they share.

    Dunnett (1955): P(max |T_i| <= q) = confidence for T_i = (Z_i - Z_0) / (sqrt(2) s), all with the same number of
    runs, s^2 a pooled variance with `degrees_of_freedom` degrees of freedom. One comparison gives Student's t.

    >>> round(dunnett_quantile(3, 20, 0.95), 2)  # Dunnett's table of 1964, two-sided
    2.54
    >>> abs(dunnett_quantile(1, 2, 0.9) - float(scipy.stats.t.ppf(0.95, 2))) < 1e-6
    True
    """
    point_Q, weight_Q = np.polynomial.hermite_e.hermegauss(64)  # Q points for the mean that is shared
    # U points for s, where its density is not nothing.
    low, high = scipy.stats.chi.ppf((1e-12, 1 - 1e-12), degrees_of_freedom)
    point_U, weight_U = np.polynomial.legendre.leggauss(96)
    chi_U = low + (high - low) * (point_U + 1) / 2
    density_U = weight_U * scipy.stats.chi.pdf(chi_U, degrees_of_freedom)

    def excess(quantile: float) -> float:
        reach_UQ = sqrt(2 / degrees_of_freedom) * quantile * chi_U[:, None]
        inside_UQ = scipy.special.ndtr(point_Q + reach_UQ) - scipy.special.ndtr(point_Q - reach_UQ)
        held_U = inside_UQ**comparisons @ weight_Q / weight_Q.sum()
        return float(held_U @ density_U / density_U.sum()) - confidence

    return float(scipy.optimize.brentq(excess, 0.0, 1000.0, xtol=1e-10))


def penalty_of_noise(noise_sd: float | None, num_runs: int) -> float:
    """Return what a nat of divergence from natural must gain, in the objective's unit: noise_sd sqrt(10 / runs).

    Few or noisy runs promise more from mixtures far from natural than those keep. `noise_sd` is of one run (`run_noise`);
    where it was not measured there is no penalty.

    >>> [round(penalty_of_noise(0.1, 24), 3), round(penalty_of_noise(0.005, 112), 4)]
    [0.065, 0.0015]
    """
    return 0.0 if noise_sd is None else noise_sd * sqrt(_PENALTY_RUNS / num_runs)


def _gain(noise: Noise, seeds: int, quantile: float, degrees_of_freedom: int, power: float) -> float:
    centre = scipy.optimize.brentq(
        lambda value: scipy.stats.nct.sf(quantile, degrees_of_freedom, value) - power, 0.0, 10 * quantile + 10
    )
    return float(centre) * noise.sd / sqrt(seeds)


def _by_size(runs: RunTable) -> dict[object, dict[tuple[float, ...], dict[int, float]]]:
    """Return objectives by seed, by mixture, by what pairs must have in common: size, data and instruction set."""
    sizes: dict[object, dict[tuple[float, ...], dict[int, float]]] = {}
    for row in runs.rows:
        group = sizes.setdefault((row.fidelity, row.data, row.instruction_set), {})
        group.setdefault(row.weights, {})[row.seed] = row.objective
    return sizes


def _degrees_of_freedom(repeated: Mapping[tuple[float, ...], Mapping[int, float]]) -> int:
    """Return the degrees of freedom of objective = mixture + seed + noise: pairs of one mixture are not independent."""
    counts = Counter(seed for by_seed in repeated.values() for seed in by_seed)
    shared = [seed for seed, count in counts.items() if count > 1]
    cells = [sum(seed in shared for seed in by_seed) for by_seed in repeated.values()]
    mixtures = [count for count in cells if count > 1]
    return sum(mixtures) - len(mixtures) - len(shared) + 1 if len(mixtures) > 1 else 0
