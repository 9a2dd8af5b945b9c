"""A row whose end comes first, as in filling in the middle; what follows the seam is no target."""

from typing import Literal

from tasks.core.params import Params
from tasks.core.rng import generator
from tasks.training.interleave import Integers
from tasks.training.transforms.row import NO_TARGET, Row, plain_row


class Rotated(Params):
    """Cut each row at a random place, and put the parts the other way round."""

    kind: Literal["rotated"] = "rotated"


def transformed(tokens_U: Integers, number: int, seed: int) -> Row:
    """Return the row with its end first; where it is cut depends on the run's seed and the sample's number alone."""
    import numpy as np

    cut = int(generator(seed, "rotated", number).integers(1, len(tokens_U) - 1))
    row = plain_row(np.concatenate([tokens_U[cut:], tokens_U[:cut]]))
    targets = row.targets.copy()
    targets[len(tokens_U) - cut - 1] = NO_TARGET
    return Row(row.inputs, targets)
