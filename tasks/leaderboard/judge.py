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
Flags = npt.NDArray[np.bool_]
_DRAWS = 100_000


@dataclass(frozen=True)
class Simultaneous:
    """Gains of all entrants over their twins: `halves` are half the widths of their intervals, `adjusted` are p-values.

    The intervals hold together at the confidence that was asked for. None where there are too few seeds.
    """

    gains_K: Array
    halves_K: Array | None
    adjusted_K: Array | None


def simultaneous(
    values_AS: Array, pairs: Sequence[tuple[int, int]], confidence: float, drawn_A: Sequence[bool] = ()
) -> Simultaneous:
    """Return the gains of the first over the second of each pair, less being better, with intervals for all of them.

    Dunnett's comparison with controls (1955) in blocks: a value is that of its entrant plus that of its seed plus noise.
    Entrants whose documents are drawn anew for each seed (`drawn_A`) have noise of another variance than those whose
    documents stay; with fewer than two of either, all have one. Entrants with the same runs count once in it. The limit is
    the quantile of the largest |t| of all pairs, drawn with what pairs have in common by their twin, and with the
    variances' ratio as it was found.

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
    variance_A, freedoms, groups = np.zeros(number), list[int](), _groups(values_AS, drawn_A)
    for group in groups:
        variance_A[group], freedom = _noise(values_AS[group])
        freedoms.append(freedom)
    own, twin = _sides(pairs)
    errors_K = np.sqrt((variance_A[own] + variance_A[twin]) / seeds)
    largest_D = largest_t(variance_A, groups, freedoms, pairs)
    adjusted_K = np.array([(largest_D >= one).mean() for one in abs(gains_K) / errors_K])
    return Simultaneous(gains_K, float(np.quantile(largest_D, confidence)) * errors_K, adjusted_K)


def largest_t(
    variance_A: Array, groups: Sequence[Flags], freedoms: Sequence[int], pairs: Sequence[tuple[int, int]]
) -> Array:
    """Return draws of the largest |t| of all pairs when nothing differs, float64 [D].

    The variance of each group of entrants, bool [A], is estimated with its degrees of freedom.
    """
    drawn = generator(0, "largest t", len(variance_A), *freedoms)
    means_DA = drawn.standard_normal((_DRAWS, len(variance_A))) * np.sqrt(variance_A)
    found_DA = np.zeros_like(means_DA)
    for group, freedom in zip(groups, freedoms, strict=True):
        found_DA[:, group] = drawn.chisquare(freedom, _DRAWS)[:, None] / freedom * variance_A[group]
    own, twin = _sides(pairs)
    errors_DK = np.sqrt(found_DA[:, own] + found_DA[:, twin])
    return np.asarray((np.abs(means_DA[:, own] - means_DA[:, twin]) / errors_DK).max(axis=1))


def _groups(values_AS: Array, drawn_A: Sequence[bool]) -> list[Flags]:
    """Return the entrants of each variance, bool [A]."""
    drawn = np.array(drawn_A or [False] * len(values_AS))
    groups = [drawn, ~drawn]
    enough = all(len(np.unique(values_AS[group], axis=0)) > 1 for group in groups)
    return groups if enough else [np.ones_like(drawn)]


def _noise(values_AS: Array) -> tuple[float, int]:
    """Return the variance of what neither entrant nor seed explains, and its degrees of freedom, (A - 1)(S - 1)."""
    own_AS = np.unique(values_AS, axis=0)
    rest_AS = own_AS - own_AS.mean(axis=1)[:, None] - own_AS.mean(axis=0)[None] + own_AS.mean()
    freedom = (own_AS.shape[0] - 1) * (own_AS.shape[1] - 1)
    variance = float((rest_AS**2).sum()) / max(freedom, 1)
    if not variance > 0:
        raise EvidenceError(
            "runs of different seeds differ by the same amount everywhere: copies of one run are no evidence."
        )
    return variance, freedom


def _sides(pairs: Sequence[tuple[int, int]]) -> tuple[list[int], list[int]]:
    return [own for own, _ in pairs], [twin for _, twin in pairs]


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
