"""From what two sizes measured to a third: the law of a loss, the change of a gain, and what each may be wrong by.

Sizes lie on a line in log(parameters x tokens): the second a = log(C2 / C1) beyond the first, the target b = log(Ct / C2)
beyond the second. Nothing but two points is known, so that a form has to be believed, and a doubt about it told.
"""

from dataclasses import dataclass
from math import expm1, log, sqrt

from tasks.mixture.published_forecast import SizeGain
from tasks.mixture.transfer import Size, normal_sd, require_larger, size_gain, size_of

# What is left above the floor of a loss falls as compute^-0.1: between what Chinchilla's exponents make of parameters and
# tokens together (.16, arXiv 2203.15556) and the straight line in log compute that short runs are on.
_EXPONENT = 0.1
# Standard deviation of the fall from second size to target, relative to what the exponent makes of it. On a ladder of 55k to
# 400k parameters, 16 domains, .5 to 3 tokens per parameter, from one size to the next of 3.5 times the compute the mean
# fell by .7 to 2.4 times as much as from the size before (median .99); the logarithm has the standard deviation .42.
_DOUBT = 0.4
# Share of a gain's drift that lasts from one step to the next. A guess: nothing here tells trend from chance.
_LASTING = 0.5


@dataclass(frozen=True)
class Fall:
    """How far a loss falls from second size to target, in falls from the first to the second, and the doubt in it."""

    factor: float
    sd: float


def fall(first: Size, second: Size, target: Size) -> Fall:
    """Return how a loss falls on its way: L = E + A C^-g gives e^(-g a) (1 - e^(-g b)) / (1 - e^(-g a)) whatever E and A.

    >>> found = fall(Size(1, 1), Size(2, 1), Size(4, 1))
    >>> round(found.factor, 3), round(found.sd, 3)
    (0.933, 0.373)

    Raises:
        ConfigError: the second size has no more compute than the first.
    """
    require_larger(first, second)
    between, beyond = log(second.compute / first.compute), log(target.compute / second.compute)
    factor = expm1(-_EXPONENT * beyond) / expm1(-_EXPONENT * between) * (1 + expm1(-_EXPONENT * between))
    # Towards the first size, which was measured, the doubt ends.
    return Fall(factor, _DOUBT * abs(factor) * min(1.0, max(1 + factor, 0.0)))


@dataclass(frozen=True)
class Sizes:
    """The proxies' size, the second one and the target; the latter two None where nothing is said of the target."""

    first: Size
    second: Size | None = None
    target: Size | None = None

    @property
    def fall(self) -> Fall | None:
        """How losses fall from the second size to the target."""
        if self.second is None or self.target is None:
            return None
        return fall(self.first, self.second, self.target)


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
