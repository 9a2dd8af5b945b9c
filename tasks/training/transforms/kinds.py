"""All transforms of rows: the union of their configs, and the one place that chooses the function of a kind."""

from typing import TYPE_CHECKING, assert_never

from tasks.training.transforms import goldfish
from tasks.training.transforms.goldfish import Goldfish
from tasks.training.transforms.row import Row

if TYPE_CHECKING:
    from tasks.training.interleave import Integers

TransformKind = Goldfish


def transformed(config: TransformKind, tokens_U: "Integers", number: int, seed: int) -> Row:
    """Return what is made of a row of T + 1 tokens; `number` is its sample's in the run, `seed` the run's.

    A pure function: a run that is resumed, or read by other processes, sees the same. An end of a document behind another
    pads the row and stays where it is.
    """
    match config:
        case Goldfish():
            return goldfish.transformed(config, tokens_U)
        case _:
            assert_never(config)
