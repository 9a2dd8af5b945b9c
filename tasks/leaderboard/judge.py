"""What the seeds say of all selectors together: intervals that hold at the same time, multipliers of tokens.

Axes: A entrants, S seeds, K entrants that are compared with their twin, D draws.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tasks.core.errors import EvidenceError
from tasks.core.rng import generator
from tasks.evaluation.compare import MIN_SEEDS

Array = npt.NDArray[np.float64]
_DRAWS = 100_000


@dataclass(frozen=True)
class Simultaneous:
    """Gains of all entrants over their twins: `half` is half the width of each interval, `adjusted` are p-values.

    The intervals hold together at the confidence that was asked for. None where there are too few seeds.
    """

    gains_K: Array
    half: float | None
    adjusted_K: Array | None


def simultaneous(values_AS: Array, pairs: Sequence[tuple[int, int]], confidence: float) -> Simultaneous:
    """Return the gains of the first over the second of each pair, less being better, with intervals for all of them.

    Dunnett's comparison with controls (1955) in blocks: a value is that of its entrant plus that of its seed plus noise of
    one variance, which is estimated from all runs with (A - 1)(S - 1) degrees of freedom. The limit is the quantile of the
    largest |t| of all pairs, drawn with what pairs have in common by their twin.

    Raises:
        EvidenceError: a value is no finite number, or runs do not differ at all beside what entrants and seeds explain.
    """
    if not np.isfinite(values_AS).all():
        raise EvidenceError(f"{int((~np.isfinite(values_AS)).sum())} scores are no finite numbers. Measure them again.")
    means_A = values_AS.mean(axis=1)
    gains_K = np.array([means_A[twin] - means_A[own] for own, twin in pairs])
    number, seeds = values_AS.shape
    if seeds < MIN_SEEDS:
        return Simultaneous(gains_K, None, None)
    rest_AS = values_AS - means_A[:, None] - values_AS.mean(axis=0)[None] + values_AS.mean()
    freedom = (number - 1) * (seeds - 1)
    variance = float((rest_AS**2).sum()) / freedom
    if not variance > 0:
        raise EvidenceError(
            "runs of different seeds differ by the same amount everywhere: copies of one run are no evidence."
        )
    error = (2 * variance / seeds) ** 0.5
    largest_D = largest_t(number, pairs, freedom)
    adjusted_K = np.array([(largest_D >= abs(gain) / error).mean() for gain in gains_K])
    return Simultaneous(gains_K, float(np.quantile(largest_D, confidence)) * error, adjusted_K)


def largest_t(number: int, pairs: Sequence[tuple[int, int]], freedom: int) -> Array:
    """Return draws of the largest |t| of all pairs when nothing differs, float64 [D]."""
    drawn = generator(0, "largest t", number, freedom)
    means_DA = drawn.standard_normal((_DRAWS, number))
    scale_D = np.sqrt(drawn.chisquare(freedom, _DRAWS) / freedom)
    own, twin = (np.array(side) for side in zip(*pairs, strict=True))
    return np.asarray(np.abs(means_DA[:, own] - means_DA[:, twin]).max(axis=1) / 2**0.5 / scale_D)


def token_multiplier(loss: float, curve: Mapping[int, float], tokens: int) -> tuple[float | None, str]:
    """Return how many times the tokens the random twin needs for the same loss, and how that reads.

    `curve` has the twin's loss by its tokens; between them the loss is a line in the logarithm of tokens. None where the
    loss is beyond the curve, or the curve does not fall.

    >>> token_multiplier(2.5, {100: 3.0, 200: 2.0, 400: 1.0}, 200)[1]
    '0.71'
    >>> token_multiplier(0.5, {100: 3.0, 200: 2.0, 400: 1.0}, 200)
    (None, 'above 2 (beyond range)')
    """
    budgets = sorted(curve)
    losses = [curve[budget] for budget in budgets]
    if any(not later < earlier for earlier, later in pairwise(losses)):
        return None, "none: the twin's loss does not fall with tokens"
    if loss < losses[-1]:
        return None, f"above {budgets[-1] / tokens:.2g} (beyond range)"
    if loss > losses[0]:
        return None, f"below {budgets[0] / tokens:.2g} (beyond range)"
    needed = float(np.exp(np.interp(-loss, [-one for one in losses], np.log(budgets))))
    return needed / tokens, f"{needed / tokens:.2f}"
