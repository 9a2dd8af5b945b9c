"""What the training loss of the recipe's run is expected to be on its way, from the loss curves of the search's own runs.

Nothing is trained for it: every proxy has a loss curve, and a share of a run is the same place on the schedule of all.
Axes: P shares of a run (`tasks.training.curve.SHARES`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from tasks.mixture.published_forecast import ExpectedLoss
from tasks.mixture.runs import RunTable
from tasks.mixture.third_size import Sizes
from tasks.training.config import TrainingConfig
from tasks.training.curve import SHARES, Reading, rates_at, read_curve, same_rate

# How much of what the fall to the target is off by shows at each of `SHARES`, as a correlation. A guess, and a low one: in
# two runs of the demo readings were off by more than their batches' noise, and moved values away from what came out.
_SHOWN = (0.4, 0.5, 0.6, 0.7)


@dataclass(frozen=True)
class RunCurve:
    """The training loss of a run of the search at each of `SHARES`; `rates` are shares of the learning rate's peak there."""

    run: int
    readings: tuple[Reading, ...]
    rates: tuple[float, ...]


def run_curve(run: int, losses: Sequence[float], training: TrainingConfig) -> RunCurve:
    """Return what a run's loss curve reads."""
    return RunCurve(run, read_curve(losses), rates_at(training))


def expected_curve(
    runs: RunTable, sizes: Sizes, weights: tuple[float, ...], curves: Sequence[RunCurve]
) -> tuple[ExpectedLoss, ...]:
    """Return the training loss that is expected on the way, by the law of the losses at its end."""
    onward = sizes.fall
    if onward is None or sizes.second is None:
        return ()
    known: Mapping[int, RunCurve] = {each.run: each for each in curves}
    first, second = (
        [known[row.run] for row in at.rows if row.weights == weights and row.run in known]
        for at in (runs.at(size.model_parameters, size.tokens) for size in (sizes.first, sizes.second))
    )
    if not first or not second or not all(map(same_rate, first[0].rates, second[0].rates)):
        return ()
    found = []
    for place, (share, shown) in enumerate(zip(SHARES, _SHOWN, strict=True)):
        (one, one_sd), (other, other_sd) = (
            _read([each.readings[place] for each in group]) for group in (first, second)
        )
        off = onward.sd * (one - other)
        noise = sqrt(((1 + onward.factor) * other_sd) ** 2 + (onward.factor * one_sd) ** 2)
        found.append(
            ExpectedLoss(
                share=share,
                rate=second[0].rates[place],
                loss=other - onward.factor * (one - other),
                common=shown * off,
                sd=sqrt((1 - shown**2) * off**2 + noise**2),
            )
        )
    return tuple(found)


def _read(readings: Sequence[Reading]) -> tuple[float, float]:
    """Return the mean of several runs' readings, and the noise in it."""
    return (
        float(np.mean([each.loss for each in readings])),
        sqrt(sum(each.sd**2 for each in readings)) / len(readings),
    )
