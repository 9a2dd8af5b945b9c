"""All ways of predicting tokens further ahead: the union of their configs, and the one place that chooses a method."""

from typing import Annotated, assert_never

from pydantic import Field

from tasks.training.multi_token import future, heads, sequential
from tasks.training.multi_token.future import Future
from tasks.training.multi_token.heads import Heads
from tasks.training.multi_token.method import FurtherMethod
from tasks.training.multi_token.sequential import Sequential

MultiTokenKind = Annotated[Future | Heads | Sequential, Field(discriminator="kind")]


def method(config: MultiTokenKind) -> FurtherMethod:
    """Return the functions of a kind."""
    match config:
        case Future():
            return future.METHOD
        case Heads():
            return heads.METHOD
        case Sequential():
            return sequential.METHOD
        case _:
            assert_never(config)
