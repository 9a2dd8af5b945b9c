"""What a stage hook is shown, and what is done with its answer."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tasks.core.errors import EvidenceError
from tasks.mixture.problem import filled
from tasks.tokenize.pool import TokenPool

if TYPE_CHECKING:
    from tasks.training.model import Decoder
    from tasks.training.starts.start import Start

Weights = tuple[float, ...]


@dataclass(frozen=True)
class Boundary:
    """Where a run stands at the start of a stage: the model there, the pool's train split, and the steps made.

    `weights` are what the recipe says of the stage, per domain in the pool's order; `caps` the largest that its epoch caps
    leave, after what the run has taken so far; `losses` those of the steps made, in nats per token. `before` are the weights
    that the stage before ended with, `teachers` the models that the run learns from.
    """

    weights: Weights
    caps: Weights
    model: "Decoder"
    pool: TokenPool
    losses: tuple[float, ...]
    seed: int
    before: Weights
    teachers: "tuple[Start, ...]" = ()

    @property
    def step(self) -> int:
        """Steps made so far."""
        return len(self.losses)


def under_caps(wanted: Weights, caps: Weights) -> Weights:
    """Return weights as near to `wanted` as the caps allow: what is cut off goes to the others in proportion.

    >>> under_caps((6.0, 3.0, 1.0), (0.5, 1.0, 1.0))
    (0.5, 0.375, 0.125)

    Raises:
        EvidenceError: `wanted` is nothing that weights can be made of, or the caps leave too little.
    """
    wanted_N, caps_N = np.array(wanted, dtype=np.float64), np.array(caps, dtype=np.float64)
    if not (np.isfinite(wanted_N).all() and (wanted_N >= 0).all() and caps_N[wanted_N > 0].sum() >= 1):
        raise EvidenceError(
            f"the hook wants the weights {list(wanted)}, and the epoch caps leave at most {list(caps)}: no mixture can be "
            "made of them. Train on fewer tokens, raise max_epochs, or give the stage weights of its own."
        )
    return tuple(filled(wanted_N, caps_N).tolist())
