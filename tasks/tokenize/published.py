"""What is in a token pool: its index. `pool` reads the tokens, `published_documents` says which document lies where."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from tasks.core.published import Model, Published

Split = Literal["train", "search", "test"]
TokenBits = Literal[16, 32]
SPLITS: tuple[Split, ...] = ("train", "search", "test")
LENGTHS_FILE = "token_bytes.bin"
TOKENIZER_FILE = "tokenizer.json"


class PackedSplit(Model):
    """The tokens of one domain in one split: where they lie, how many they are, and the UTF-8 bytes they stand for.

    `starts` is the file of the first token of each document, 64-bit little-endian numbers in the order of the tokens.
    `columns` are the files of the numbers of each document that were asked for, 64-bit floats, and `ids` that of 64 bits
    which stand for its id; None where nothing was asked for.
    """

    file: str
    starts: str
    columns: Mapping[str, str] = Field(default_factory=dict)
    ids: str | None = None
    tokens: NonNegativeInt
    bytes: NonNegativeInt
    documents: NonNegativeInt

    @property
    def files(self) -> tuple[str, ...]:
        """All files of the split."""
        return (self.file, self.starts, *self.columns.values(), *(() if self.ids is None else (self.ids,)))


class PackedDomain(Model):
    """One domain: its name, its place in every vector of weights, and its tokens by split."""

    name: str
    index: NonNegativeInt
    splits: Mapping[Split, PackedSplit]


class TokenPoolIndex(Published):
    """What is in a token pool. Token ids are unsigned little-endian numbers of `token_bits` bits."""

    FILE: ClassVar[str] = "tokens.json"

    format: Literal[3] = 3
    vocab_size: PositiveInt
    document_end: NonNegativeInt
    token_bits: TokenBits
    domains: tuple[PackedDomain, ...]

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if [domain.index for domain in self.domains] != list(range(len(self.domains))):
            raise ValueError("the domains must be in the order of their index, from 0")
        if lacking := [domain.name for domain in self.domains if {*domain.splits} != {*SPLITS}]:
            raise ValueError(f"{len(lacking)} domains do not have the splits {', '.join(SPLITS)}; first: {lacking[0]}")
        if not self.document_end < self.vocab_size <= 1 << self.token_bits:
            raise ValueError(f"{self.vocab_size} token ids with the end {self.document_end} in {self.token_bits} bits")
        return self
