"""Params of the tokenize stage."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from tasks.core.params import Params


class TrainedBpe(Params):
    """Byte-level BPE, trained on the train split of the pool.

    The sample is spread evenly over the domains, because the objective is a mean over domains: each gives the same
    number of bytes, a small one all it has.
    """

    kind: Literal["bpe"] = "bpe"
    vocab_size: int | None = Field(
        default=None,
        ge=257,
        description="256 bytes, the end of a document, merges; null = a token per 1,000 bytes of training text, 512 to 4096",
    )
    training_bytes: PositiveInt = Field(default=8_000_000, description="UTF-8 bytes of text to train on, at most")


class TokenizerFile(Params):
    """The user's tokenizer: a byte-level `tokenizer.json`, of any size, that changes no byte of a text."""

    kind: Literal["file"]
    path: str = Field(min_length=1, description="a tokenizer.json")
    document_end: str = Field(min_length=1, description="the special token that ends a document")


TokenizerChoice = Annotated[TrainedBpe | TokenizerFile, Field(discriminator="kind")]


class TokenizeParams(Params):
    """Params of the tokenize stage: which tokenizer, and the seed of the order in which documents are packed."""

    seed: int = 0
    tokenizer: TokenizerChoice = TrainedBpe()
