"""Runs whose parameters and tokens grew in proportion: what a larger one with as many tokens per parameter will reach.

A law of both sizes has to bend where runs are short, and four sizes cannot tell how. With as many tokens per parameter sizes
lie on one line, on which two of them and an exponent that is known (`tasks.mixture.third_size`) say the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot, log, sqrt
from typing import Literal

import numpy as np
from pydantic import NonNegativeFloat

from tasks.core.errors import EvidenceError
from tasks.core.params import Params
from tasks.laws.curve import Columns
from tasks.mixture.third_size import fall
from tasks.mixture.transfer import Size

# How far tokens per parameter may lie beyond a size's own: runs have whole steps.
_ROUNDING = 0.05


class Proportional(Params):
    """A loss falls on from the two largest smaller sizes, compared at the tokens per parameter that are asked for.

    `noise` is the relative standard deviation of one set's loss about that. On the ladder of docs/ladder.md sets were off
    by 2 to 5 % beside what their mean was.
    """

    kind: Literal["proportional"] = "proportional"
    noise: NonNegativeFloat = 0.02


@dataclass(frozen=True)
class Predicted:
    """A loss with its interval, and how many times beyond the largest run it lies, in compute."""

    prediction: float
    lower: float
    upper: float
    extrapolation: float


def predicted(
    law: Proportional, sets: Mapping[str, Columns], mean: str, params: float, tokens: float, confidence: float
) -> dict[str, Predicted]:
    """Return what every set and their `mean` will be in a run.

    The doubt in the law is that of the mean in all sets: their own falls are told by single runs.

    Raises:
        EvidenceError: fewer than two smaller sizes have runs with as many tokens per parameter.
    """
    from scipy.stats import norm

    ratio = tokens / params
    of_mean = _levels(sets[mean], params, ratio)
    if len(of_mean) < 2:
        raise EvidenceError(
            f"{len(of_mean)} sizes below {params:.4g} parameters have runs with {ratio:.3g} tokens per parameter; two are "
            "needed. Run more sizes, ask for tokens per parameter that the ladder has, or take another --kind."
        )
    first, second = of_mean[-2:]
    target = Size(round(params), round(tokens))
    onward = fall(first.size(ratio), second.size(ratio), target)
    doubt = onward.sd * (first.loss - second.loss)
    quantile, beyond = float(norm.ppf(0.5 + confidence / 2)), target.compute / second.size(ratio).compute
    found = {}
    for name, columns in sets.items():
        low, high = _levels(columns, params, ratio)[-2:]
        value = high.loss - onward.factor * (low.loss - high.loss)
        own = law.noise * value / (sqrt(len(sets) - 1) if name == mean else 1.0)
        half = quantile * hypot(doubt, own)
        found[name] = Predicted(value, value - half, value + half, max(beyond, 1.0))
    return found


@dataclass(frozen=True)
class _Level:
    """What a size reaches with the tokens per parameter that are asked for."""

    params: float
    loss: float

    def size(self, ratio: float) -> Size:
        return Size(round(self.params), round(self.params * ratio))


def _levels(columns: Columns, below: float, ratio: float) -> Sequence[_Level]:
    """Return the sizes below one that reach so many tokens per parameter, ascending; between two runs along log tokens."""
    found = []
    for size in sorted({*columns["params"].tolist()}):
        own = columns["params"] == size
        ratios_R, loss_R = columns["tokens"][own] / size, columns["loss"][own]
        known = sorted({*ratios_R.tolist()})
        if size < below and known[0] * (1 - _ROUNDING) <= ratio <= known[-1] * (1 + _ROUNDING):
            levels = [float(loss_R[ratios_R == each].mean()) for each in known]
            found.append(_Level(size, float(np.interp(log(ratio), np.log(known), levels))))
    return found
