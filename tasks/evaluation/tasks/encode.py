"""Requests as tokens: which tokens are given, and which are asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tasks.core.errors import DataError
from tasks.evaluation.tasks.item import Request

Encode = Callable[[str], list[int]]


class Reads(Protocol):
    """Who reads text: a model, or what stands for one that is still to be trained."""

    @property
    def context_length(self) -> int:
        """The most tokens that are read at once."""

    @property
    def beginning(self) -> int:
        """The token that stands before the first of a document."""

    @property
    def encode(self) -> Encode:
        """Gives the tokens of a text, without any that mark its beginning or end."""


@dataclass(frozen=True)
class Pair:
    """Tokens that are given, at least one, and the tokens behind them whose likelihood is asked for."""

    given: tuple[int, ...]
    asked: tuple[int, ...]

    @property
    def inputs(self) -> tuple[int, ...]:
        """What a model reads: all but the last token."""
        return (*self.given, *self.asked)[:-1]


def encoded(request: Request, encode: Encode, beginning: int) -> Pair:
    """Return a request as tokens, as lm-evaluation-harness cuts it; an empty context is the token `beginning`.

    Blanks at the end of the context belong to the continuation, and the continuation is what the whole text has beyond the
    tokens of the context: tokenizers join blanks with the word behind them.

    Raises:
        DataError: nothing of the continuation is left.
    """
    context = request.context.rstrip()
    continuation = request.context[len(context) :] + request.continuation
    given = tuple(encode(context)) if context else ()
    asked = tuple(encode(context + continuation)[len(given) :])
    if not asked:
        raise DataError(
            f"{request.continuation!r:.40} has no tokens behind {context[-40:]!r}. Leave the record out, or set another "
            "answer_delimiter."
        )
    return Pair(given or (beginning,), asked)


def windows(text: str, encode: Encode, beginning: int, length: int) -> list[Pair]:
    """Return a text as windows of at most `length` inputs that do not overlap; each token is asked for once.

    Raises:
        DataError: it has no tokens.
    """
    tokens = encode(text)
    if not tokens:
        raise DataError("the text has no tokens. Leave the record out.")
    before = [beginning, *tokens]
    return [Pair((before[first],), tuple(tokens[first : first + length])) for first in range(0, len(tokens), length)]


def longest(pairs: Sequence[Pair]) -> int:
    """Return how many tokens a model has to read at once."""
    return max(len(pair.inputs) for pair in pairs)
