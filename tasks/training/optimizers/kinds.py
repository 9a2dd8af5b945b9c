"""All optimizers: the union of their configs, and the one place that chooses the functions of a kind."""

from typing import Annotated, assert_never

from pydantic import Field

from tasks.training.optimizers import adafactor, adamw, frugal, low_rank, muon
from tasks.training.optimizers.adafactor import Adafactor
from tasks.training.optimizers.adamw import AdamW
from tasks.training.optimizers.frugal import Frugal
from tasks.training.optimizers.low_rank import LowRank
from tasks.training.optimizers.method import OptimizerMethod, Shapes
from tasks.training.optimizers.muon import Muon

OptimizerKind = Annotated[Adafactor | AdamW | Frugal | LowRank | Muon, Field(discriminator="kind")]
# What is taken where none is named. Here, so that who reads a config does not have the code of a method in its key.
DEFAULT = AdamW()


def method(config: OptimizerKind) -> OptimizerMethod:
    """Return the functions of an optimizer."""
    match config:
        case Adafactor():
            found = adafactor.METHOD
        case AdamW():
            found = adamw.METHOD
        case Frugal():
            found = frugal.method(config)
        case LowRank():
            found = low_rank.METHOD
        case Muon():
            found = muon.METHOD
        case _:
            assert_never(config)
    return found


def state_bytes(config: OptimizerKind, shapes: Shapes) -> int:
    """Return the memory of an optimizer's state for weights of these shapes, without making it."""
    return method(config).state_bytes(config, shapes)
