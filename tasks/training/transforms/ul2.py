"""UL2's mixture of denoisers for a decoder alone: spans of a row are hidden, and told behind it (arXiv 2205.05131).

A row of a denoiser is: a mode token, the text with a sentinel in the place of each span, and behind it each span after its
sentinel, with one sentinel more at the end. What stands behind the first sentinel of the answer is predicted, and nothing
else. A prefix denoiser hides nothing: the end of the row is predicted from its beginning.

Mode tokens and sentinels are the tokenizer's special tokens besides the end of a document, in the order of their ids: first
one for each mode that the denoisers name, in the order of their first mention, then sentinels.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from tasks.core.errors import ConfigError
from tasks.core.params import Params
from tasks.core.rng import generator
from tasks.training.transforms.row import NO_TARGET, Row, plain_row

if TYPE_CHECKING:
    from numpy.random import Generator

    from tasks.training.interleave import Integers


class Denoiser(Params):
    """A way to corrupt a row, and the share of rows it is given."""

    mode: str = Field(default="R", min_length=1, description="denoisers of one mode begin with one token")
    share: float = Field(gt=0, le=1, description="of the rows")
    rate: float = Field(
        gt=0, lt=1, description="share of a row's tokens that are hidden; of a prefix, that are predicted"
    )
    mean_span: float | None = Field(
        default=None,
        ge=1,
        description="tokens of a hidden span, on average; null = the end of the row, a prefix language model",
    )


class Ul2(Params):
    """Give each row to a denoiser by their shares; the rest of the rows stay as they are.

    The mixture of the paper is in `configs/ul2.yaml`; its numbers are from memory and not checked.
    """

    kind: Literal["ul2"] = "ul2"
    denoisers: tuple[Denoiser, ...] = Field(min_length=1)

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes, in the order of their first mention."""
        return tuple(dict.fromkeys(one.mode for one in self.denoisers))

    def mistakes(self) -> Iterator[str]:
        """Yield what does not fit together."""
        if (total := sum(one.share for one in self.denoisers)) > 1 + 1e-9:
            yield f"transform.denoisers: their shares sum to {total:g}; they are shares of the rows, at most 1 together"


def require_fits(config: Ul2, specials: "Integers", length: int) -> None:
    """Check that rows of `length` tokens can be corrupted with a tokenizer's special tokens.

    Raises:
        ConfigError: too few special tokens, or a row too short for a denoiser's spans; how many would do.
    """
    for place, one in enumerate(config.denoisers):
        if one.mean_span is not None and _size(one, length) * one.rate < one.mean_span:
            raise ConfigError(
                f"data.transform.denoisers.{place}: a row of {length} tokens has "
                f"{max(_size(one, length), 0) * one.rate:.1f} hidden tokens at rate {one.rate:g}, fewer than one span of "
                f"{one.mean_span:g}. Use longer samples, or leave this denoiser out."
            )
    needed = len(config.modes) + max(_most_sentinels(one, length) for one in config.denoisers)
    if len(specials) < needed:
        raise ConfigError(
            f"data.transform ul2 needs {needed} special tokens besides the end of a document, for {len(config.modes)} "
            f"mode(s) and the sentinels of rows of {length} tokens, and the pool's tokenizer has {len(specials)}. Set "
            f"tokenize.tokenizer.special_tokens to {needed} and run tokenize again."
        )


def transformed(config: Ul2, tokens_U: "Integers", number: int, seed: int, specials: "Integers", end: int) -> Row:
    """Return the row of T + 1 tokens as one of the denoisers, or none, gives it: the same for the same sample and seed.

    The last tokens of the row, as many as sentinels take, are left out; `end` fills what is left of it.
    """
    draw = generator(seed, "ul2", number)
    left = draw.random()
    for one in config.denoisers:
        if (left := left - one.share) < 0:
            mode = specials[config.modes.index(one.mode)]
            return _denoised(one, tokens_U, draw, mode, specials[len(config.modes) :], end)
    return plain_row(tokens_U)


def hidden(one: Denoiser, size: int, draw: "Generator") -> tuple["Integers", "Integers"]:
    """Return where spans begin among `size` tokens, and how many tokens each has.

    Spans and what stands between them are divided at random, as T5 does it (arXiv 1910.10683). Numbers are rounded at random
    too, so that rate and mean span hold on average.
    """
    import numpy as np

    assert one.mean_span is not None, "a prefix denoiser hides no span"
    tokens = min(max(_rounded(size * one.rate, draw), 1), size - 1)
    spans = min(max(_rounded(tokens / one.mean_span, draw), 1), tokens, size - tokens)
    lengths, gaps = _divided(tokens, spans, draw), _divided(size - tokens, spans, draw)
    begins: Integers = np.cumsum(gaps) + np.cumsum(lengths) - lengths
    return begins, lengths


def _denoised(
    one: Denoiser, tokens_U: "Integers", draw: "Generator", mode: int, sentinels: "Integers", end: int
) -> Row:
    import numpy as np

    length = len(tokens_U) - 1
    if one.mean_span is None:
        row = plain_row(np.concatenate([[mode], tokens_U[:-1]]))
        targets = row.targets.copy()
        targets[: length - max(round(length * one.rate), 1)] = NO_TARGET
        return Row(row.inputs, targets)
    text = tokens_U[: _size(one, length)]
    begins, lengths = hidden(one, len(text), draw)
    kept, told, before = [np.array([mode])], list["Integers"](), 0
    for place, (begin, size) in enumerate(zip(begins.tolist(), lengths.tolist(), strict=True)):
        kept += [text[before:begin], sentinels[place : place + 1]]
        told += [sentinels[place : place + 1], text[begin : begin + size]]
        before = begin + size
    question = np.concatenate([*kept, text[before:]])
    whole = np.concatenate([question, *told, sentinels[len(begins) : len(begins) + 1]])
    filled = np.concatenate([whole, np.full(length + 1 - len(whole), end)])
    row = plain_row(filled)
    targets = row.targets.copy()
    # The first sentinel of the answer says that it begins.
    targets[: len(question)] = NO_TARGET
    targets[len(whole) - 1 :] = NO_TARGET
    return Row(row.inputs, targets)


def _size(one: Denoiser, length: int) -> int:
    """Return of how many of its tokens a row is made, so that sentinels, mode and rounding have room."""
    return length if one.mean_span is None else int((length - 6) / (1 + 2 * one.rate / one.mean_span))


def _most_sentinels(one: Denoiser, length: int) -> int:
    return 0 if one.mean_span is None else int((_size(one, length) * one.rate + 1) / one.mean_span) + 2


def _rounded(value: float, draw: "Generator") -> int:
    """Return a whole number that is `value` on average."""
    return int(value + draw.random())


def _divided(total: int, parts: int, draw: "Generator") -> "Integers":
    """Return `parts` whole numbers of at least 1 with this sum, every division as likely."""
    import numpy as np

    cuts = np.sort(draw.choice(total - 1, parts - 1, replace=False)) + 1
    found: Integers = np.diff(np.concatenate([[0], cuts, [total]]))
    return found
