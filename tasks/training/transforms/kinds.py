"""All transforms of rows: the union of their configs, and the one place that chooses the function of a kind."""

from typing import TYPE_CHECKING, Annotated, assert_never

from pydantic import Field

from tasks.training.transforms import goldfish, ul2
from tasks.training.transforms.goldfish import Goldfish
from tasks.training.transforms.row import Row
from tasks.training.transforms.ul2 import Ul2

if TYPE_CHECKING:
    from tasks.training.interleave import Integers

TransformKind = Annotated[Goldfish | Ul2, Field(discriminator="kind")]


def require_fits(config: TransformKind, specials: "Integers", length: int) -> None:
    """Check that a transform can be made of rows of `length` tokens with a tokenizer's special tokens.

    Raises:
        ConfigError: it cannot, and what to do.
    """
    match config:
        case Goldfish():
            return
        case Ul2():
            ul2.require_fits(config, specials, length)
        case _:
            assert_never(config)


def rearranges(config: TransformKind) -> bool:
    """Return whether what a place of the row predicts is not always the token behind it in the text."""
    return isinstance(config, Ul2)


def transformed(
    config: TransformKind, tokens_U: "Integers", number: int, seed: int, specials: "Integers", end: int
) -> Row:
    """Return what is made of a row of T + 1 tokens; `number` is its sample's in the run, `seed` the run's.

    `specials` are the tokenizer's special tokens besides `end`, which ends documents. A pure function: a run that is
    resumed, or read by other processes, sees the same. An end of a document behind another pads the row and stays where it
    is.
    """
    match config:
        case Goldfish():
            return goldfish.transformed(config, tokens_U)
        case Ul2():
            return ul2.transformed(config, tokens_U, number, seed, specials, end)
        case _:
            assert_never(config)
