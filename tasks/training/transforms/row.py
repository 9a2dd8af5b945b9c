"""A row as a model is given it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.training.interleave import Integers

# Where nothing is to be predicted.
NO_TARGET = -1


@dataclass(frozen=True)
class Row:
    """The tokens that a model is given, [T], and what it is to predict behind each, [T]; NO_TARGET = nothing."""

    inputs: "Integers"
    targets: "Integers"


def plain_row(tokens_U: "Integers") -> Row:
    """Return a row of T + 1 tokens as it is: behind each token the next is to be predicted."""
    return Row(tokens_U[:-1], tokens_U[1:])
