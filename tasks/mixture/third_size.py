"""From what two sizes measured to a third: the law of a loss, the change of a gain, and what each may be wrong by.

Sizes lie on a line in log(parameters x tokens): the second a = log(C2 / C1) beyond the first, the target b = log(Ct / C2)
beyond the second. Nothing but two points is known, so that a form has to be believed, and a doubt about it told.
"""

from dataclasses import dataclass
from math import expm1, log, sqrt

from tasks.mixture.published_forecast import SizeGain
from tasks.mixture.transfer import Size, normal_sd, require_larger, size_gain, size_of

# What is left above the floor of a loss falls as compute^-0.16: what Chinchilla's exponents make of parameters and tokens
# that grow together (arXiv 2203.15556). Runs of few tokens per parameter have not come to that law, their loss falls ever
# faster at first. On a ladder of 55k to 400k parameters and 16 domains the mean fell from one size to the next of 3.7 times
# the compute by 2.4 and 1.7 times as much as from the size before at .5 tokens per parameter, by 1.7 and .9 at 1, by .7 and
# 1.1 at 2, by .8 and .8 at 3; these are exponents of -.5, -.2, .1 and .16.
_EXPONENT, _SLOWER, _SETTLED = 0.16, 0.4, 2.5
# A loss that fell ever faster for long would end below nothing.
_LEAST_EXPONENT = -0.3
# Standard deviation of the fall from second size to target, relative to what the exponent makes of it: its logarithm is off
# by .26 (rms) on that ladder and by .6 on a second one, of another corpus and a vocabulary of 4096.
_DOUBT = 0.5
# Share of a gain's drift that lasts from one step to the next. A guess: nothing here tells trend from chance.
_LASTING = 0.5


@dataclass(frozen=True)
class Fall:
    """How far a loss falls from second size to target, in falls from the first to the second, and the doubt in it."""

    factor: float
    sd: float


def fall(first: Size, second: Size, target: Size) -> Fall:
    """Return how a loss falls on its way: L = E + A C^-g gives e^(-g a) (1 - e^(-g b)) / (1 - e^(-g a)) whatever E and A.

    The exponent g is that of the tokens per parameter between second size and target (their geometric mean).

    >>> found = fall(Size(1, 10), Size(2, 20), Size(4, 40))
    >>> round(found.factor, 3), round(found.sd, 3)
    (0.801, 0.401)

    Raises:
        ConfigError: the second size has no more compute than the first.
    """
    require_larger(first, second)
    between, beyond = log(second.compute / first.compute), log(target.compute / second.compute)
    ratios = [each.tokens / each.model_parameters for each in (second, target)]
    exponent = exponent_at(sqrt(ratios[0] * ratios[1]))
    factor = beyond / between
    if exponent:
        step = expm1(-exponent * between)
        factor = expm1(-exponent * beyond) / step * (1 + step)
    # Towards the first size, which was measured, the doubt ends.
    return Fall(factor, _DOUBT * abs(factor) * min(1.0, max(1 + factor, 0.0)))


def exponent_at(tokens_per_parameter: float) -> float:
    """Return with which power of compute the part of a loss above its floor falls; negative where it falls ever faster.

    >>> [round(exponent_at(ratio), 2) for ratio in (20, 2, 1, 0.4)]
    [0.16, 0.07, -0.21, -0.3]
    """
    short = max(log(_SETTLED / tokens_per_parameter), 0.0)
    return max(_EXPONENT - _SLOWER * short, _LEAST_EXPONENT)


@dataclass(frozen=True)
class Sizes:
    """The proxies' size, the second one and the target; the latter two None where nothing is said of the target.

    `told` is how losses fall where a ladder says it.
    """

    first: Size
    second: Size | None = None
    target: Size | None = None
    told: Fall | None = None

    @property
    def fall(self) -> Fall | None:
        """How losses fall from the second size to the target."""
        if self.second is None or self.target is None:
            return None
        return self.told or fall(self.first, self.second, self.target)


def extrapolated(one: SizeGain, other: SizeGain, target: Size, drift_per_efold: float, confidence: float) -> SizeGain:
    """Return the gain at the target, from that at two sizes, in whichever order.

    A gain changes with log compute, as likely up as down, with the standard deviation s = `drift_per_efold` x the larger
    of both gains an e-fold; half of the variance lasts from the first step to the next, half comes anew. With v1, v2 the
    variances of the measured gains, d their difference and V = s^2 a^2 + v1 + v2, the gain is
    g2 + (s^2 a b / 2 - v2) d / V, its variance v2 + s^2 b^2 - (s^2 a b / 2 - v2)^2 / V. Noise that few seeds told is as wide
    as Student's t (`normal_sd` at `confidence`).

    Raises:
        ConfigError: both sizes have the same compute.
    """
    small, large = sorted((one, other), key=lambda each: size_of(each).compute)
    small_size, large_size = size_of(small), size_of(large)
    require_larger(small_size, large_size)
    small_sd, large_sd = normal_sd(small, confidence), normal_sd(large, confidence)
    assert small_sd is not None and large_sd is not None
    between, beyond = log(large_size.compute / small_size.compute), log(target.compute / large_size.compute)
    drift = (drift_per_efold * max(abs(small.gain), abs(large.gain))) ** 2
    total = drift * between**2 + small_sd**2 + large_sd**2
    if not total > 0:
        return size_gain(target, large.gain, 0.0)
    told = _LASTING * drift * between * beyond - large_sd**2
    variance = large_sd**2 + drift * beyond**2 - told**2 / total
    return size_gain(target, large.gain + told / total * (large.gain - small.gain), sqrt(max(variance, 0.0)))
