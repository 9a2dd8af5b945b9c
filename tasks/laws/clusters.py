"""Items of a task grouped by how their pass rates grow: a mean shift whose clusters have a bounded radius.

Axes: I items, R runs.
"""

import numpy as np
import numpy.typing as npt

from tasks.laws.curve import Array

Items = npt.NDArray[np.int64]

_MAX_SHIFTS = 50


def clusters_of(passes_IR: Array, radius: float, least_items: int) -> list[Items]:
    """Return clusters of items, largest first as found; items in none of at least `least_items` are left out.

    Distances are root mean squares over runs. The densest place is found by shifting the mean of the items around the one
    with most neighbours until it rests (flat kernel); what lies within the radius of it is a cluster, and the rest goes on.
    """
    left, found = np.arange(len(passes_IR)), []
    while len(left) >= least_items:
        rates_IR = passes_IR[left]
        near_I = np.array([int((_distance(rates_IR, rate_R) <= radius).sum()) for rate_R in rates_IR])
        inside_I = _densest(rates_IR, rates_IR[int(near_I.argmax())], radius)
        if inside_I.sum() < least_items:
            break
        found.append(left[inside_I])
        left = left[~inside_I]
    return found


def _densest(rates_IR: Array, mean_R: Array, radius: float) -> npt.NDArray[np.bool_]:
    inside_I = _distance(rates_IR, mean_R) <= radius
    for _ in range(_MAX_SHIFTS):
        shifted_I = _distance(rates_IR, rates_IR[inside_I].mean(axis=0)) <= radius
        if shifted_I.sum() <= inside_I.sum():
            break
        inside_I = shifted_I
    return np.asarray(inside_I)


def _distance(rates_IR: Array, mean_R: Array) -> Array:
    return np.asarray(np.sqrt(((rates_IR - mean_R) ** 2).mean(axis=1)))
