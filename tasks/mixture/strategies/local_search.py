"""A local optimiser on the simplex under caps, for scores that cost little and have no gradient. No random numbers.

Several climbs go on in lockstep, so that the score is asked for hundreds of mixtures at once: its cost per call counts.

Axes: S starts, M mixtures, D domains, K candidates per start.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tasks.mixture.problem import filled

Array = npt.NDArray[np.float64]
Score = Callable[[Array], Array]

# Weight by which slopes are felt out; well above rounding, far below what matters.
_PROBE = 2e-4
_ROUNDS = 40
# Step lengths tried each round, in units of the current one; where none helps the current one gets smaller.
_LENGTHS = (0.5, 1.5)
_SHRINK, _FIRST = 0.4, 0.2
# Pairs of domains between which weight is moved: the best of each side by slope.
_SIDES = 2


def ascend(score: Score, starts_SD: Array, caps_D: Array, finest: float = 0.005) -> Array:
    """Return the best mixture found from each start, shape [S, D]; `score` maps [M, D] to [M], higher is better.

    `finest` is the weight below which moves are not worth looking for.

    Each round the slopes towards every domain are felt out; then weight is moved from the worst domains to the best, in
    pairs and in all domains at once, in several step lengths, and the best move is made. Weights stay in [0, cap] and sum
    to 1.
    """
    best_SD, best_S = starts_SD.copy(), score(starts_SD)
    step_S = np.full(len(starts_SD), _FIRST)
    for _ in range(_ROUNDS):
        going = np.flatnonzero(step_S >= finest)
        if not len(going):
            break
        slopes_SD = _slopes(score, best_SD[going], best_S[going])
        moved_SKD = np.stack([_moved(best_SD[s], slopes_SD[row], step_S[s], caps_D) for row, s in enumerate(going)])
        scores_SK = score(moved_SKD.reshape(-1, len(caps_D))).reshape(len(going), -1)
        winner_S = np.argmax(scores_SK, axis=1)
        rows = np.arange(len(going))
        better_S = scores_SK[rows, winner_S] > best_S[going]
        best_SD[going[better_S]] = moved_SKD[rows, winner_S][better_S]
        best_S[going[better_S]] = scores_SK[rows, winner_S][better_S]
        step_S[going[~better_S]] *= _SHRINK
    return best_SD


def diverse(weights_MD: Array, scores_M: Array, count: int, apart: float) -> Array:
    """Return up to `count` of the mixtures, best scores first, each `apart` (Hellinger, at most 1.4)."""
    chosen: list[int] = []
    roots_MD = np.sqrt(weights_MD)
    for index in np.argsort(-scores_M, kind="stable").tolist():
        if len(chosen) == count:
            break
        if all(float(((roots_MD[index] - roots_MD[other]) ** 2).sum()) >= apart**2 for other in chosen):
            chosen.append(index)
    return weights_MD[chosen]


def _slopes(score: Score, weights_SD: Array, scores_S: Array) -> Array:
    """Return how the score changes with weight that goes to one domain from all, shape [S, D]."""
    starts, domains = weights_SD.shape
    probes_SDD = (1 - _PROBE) * weights_SD[:, None] + _PROBE * np.eye(domains)
    return np.asarray((score(probes_SDD.reshape(-1, domains)).reshape(starts, domains) - scores_S[:, None]) / _PROBE)


def _moved(weights_D: Array, slopes_D: Array, step: float, caps_D: Array) -> Array:
    """Return candidates, shape [K, D]; where a move is impossible the mixture itself stands in its place."""
    slopes_D = np.where(np.isfinite(slopes_D), slopes_D, -np.inf)
    order = np.argsort(-slopes_D, kind="stable")
    takers = [d for d in order if weights_D[d] < caps_D[d] - 1e-9][:_SIDES]
    givers = [d for d in order[::-1] if weights_D[d] > 1e-9][:_SIDES]
    moved = [weights_D] * (_SIDES * _SIDES * len(_LENGTHS))
    spots = iter(range(len(moved)))
    for taker in takers:
        for giver in givers:
            for length in _LENGTHS:
                spot = next(spots)
                amount = min(step * length, weights_D[giver], caps_D[taker] - weights_D[taker])
                if taker != giver and amount > 0:
                    changed_D = weights_D.copy()
                    changed_D[giver] = max(changed_D[giver] - amount, 0.0)
                    changed_D[taker] += amount
                    moved[spot] = changed_D
    return np.array([*moved, *_tilted(weights_D, slopes_D, step, caps_D)])


def _tilted(weights_D: Array, slopes_D: Array, step: float, caps_D: Array) -> list[Array]:
    """Return steps of exponentiated gradients: every weight times exp(slope), the largest slope being some steps long."""
    known_D = np.where(np.isfinite(slopes_D), slopes_D, 0.0)
    widest = float(np.abs(known_D).max())
    if not widest > 0:
        return [weights_D] * len(_LENGTHS)
    # A weight of 0 would stay 0 whatever its slope.
    floor_D = np.maximum(weights_D, 1e-3 * step * (caps_D > 0))
    tilts = [floor_D * np.exp(10 * step * length * known_D / widest) for length in _LENGTHS]
    return [filled(tilt_D / tilt_D.sum(), caps_D) for tilt_D in tilts]
