"""What a task asks of a model, and what a model answers: the likelihood of texts that go on from a context."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from typing import Literal

Direction = Literal["higher", "lower"]


@dataclass(frozen=True)
class Request:
    """How likely is `continuation` behind `context`? Both are text; an empty context is the beginning of a document."""

    context: str
    continuation: str


@dataclass(frozen=True)
class Item:
    """One item of a task: its requests, and which of them is right.

    `id` is made of the record alone, so that it stays when the file is sorted anew; `line` (from 1) is where it stands.
    """

    id: str
    line: int
    requests: tuple[Request, ...]
    gold: int = 0


@dataclass(frozen=True)
class Likelihood:
    """The natural logarithm of a continuation's probability, of how many tokens, and whether each was the likeliest."""

    log_p: float
    tokens: int
    greedy: bool


@dataclass(frozen=True)
class ItemScores:
    """The scores of one item by name. A task's score is the mean over items, weighted by `weight`."""

    values: Mapping[str, float]
    weight: float = 1.0


def bits_per_byte(request: Request, answer: Likelihood) -> float:
    """Return -log2 P(continuation) by UTF-8 byte of it.

    >>> round(bits_per_byte(Request("", "ab"), Likelihood(-1.386294, 2, True)), 4)
    1.0
    """
    return -answer.log_p / (log(2) * num_bytes(request))


def num_bytes(request: Request) -> int:
    """Return the UTF-8 bytes of a continuation."""
    return len(request.continuation.encode())
