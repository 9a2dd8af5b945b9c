"""Goldfish loss: a share of the tokens is never predicted, so that no passage is learnt by heart (arXiv 2406.10209)."""

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveInt

from tasks.core.params import Params
from tasks.training.transforms.row import NO_TARGET, Row, plain_row

if TYPE_CHECKING:
    from tasks.training.interleave import Integers

# Any odd number: a token counts differently at each place of a context.
_FACTOR = 0x9E3779B97F4A7C15


class Goldfish(Params):
    """Leave out one token of `every`, chosen by the tokens before it: the same ones wherever a passage is repeated."""

    kind: Literal["goldfish"] = "goldfish"
    every: int = Field(default=4, ge=2, description="k in the paper")
    context_tokens: PositiveInt = Field(default=13, description="h in the paper; nothing is left out before so many")


def transformed(config: Goldfish, tokens_U: "Integers") -> Row:
    """Return the row of T + 1 tokens with gaps among its targets."""
    import numpy as np

    from tasks.training.permutation import mixed

    row, size = plain_row(tokens_U), config.context_tokens
    factors = np.array([pow(_FACTOR, place, 1 << 64) for place in range(size)], dtype=np.uint64)
    if len(row.inputs) < size:
        return row
    # Target t stands behind inputs t - size + 1 to t.
    hashes = mixed(np.convolve(row.inputs.astype(np.uint64), factors, "valid"))
    targets = row.targets.copy()
    targets[size - 1 :][hashes % np.uint64(config.every) == 0] = NO_TARGET
    return replace(row, targets=targets)
