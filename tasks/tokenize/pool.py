"""The token pool: packed tokens per domain and split, as memory maps. Needs numpy and pydantic alone.

A pool is a folder: `tokens.json` says what is there, `tokens/<split>/<NN>-<domain>.bin` hold the tokens (unsigned
little-endian numbers of 16 bits where the vocabulary fits, else of 32; documents one after the other, each ended by
`document_end`), `<NN>-<domain>.starts.bin` beside them the first token of each document (64 bits), and, where
columns of documents were asked for, `<NN>-<domain>.column-<name>.bin` their numbers (64-bit floats) and
`<NN>-<domain>.ids.bin` 64 bits that stand for their ids,
`metadata/` the documents behind their metadata, where that was asked for (see `prefixed`),
`token_bytes.bin` the number of UTF-8 bytes that each token id stands for (16 bits; 0 for special
tokens), so that nats per token become bits per byte.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import numpy as np
import numpy.typing as npt

from tasks.core.errors import DataError
from tasks.core.handles import Tree
from tasks.tokenize.prefixed import Prefixed, prefixed_paths, with_prefixes
from tasks.tokenize.published import LENGTHS_FILE, SPLITS, PackedDomain, PackedSplit, Split, TokenBits, TokenPoolIndex

# What is read of a pool besides the tokens of its splits.
POOL_FILES = (TokenPoolIndex.FILE, LENGTHS_FILE)
_TRAIN = "tokens/train/"

Tokens = npt.NDArray[np.unsignedinteger[Any]]
Number = TypeVar("Number", bound=np.number[Any])
_BYTES_DTYPE, _STARTS_DTYPE, _COLUMN_DTYPE = np.dtype("<u2"), np.dtype("<u8"), np.dtype("<f8")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class SplitTokens:
    """The packed tokens of one domain in one split: shape [tokens]; `bytes` are UTF-8 bytes of text.

    `starts` is the first token of each document, shape [documents]; so are the `columns` of numbers that were asked for,
    and `ids`, 64 bits that stand for each document's id (empty where no columns were). `prefixed` are the documents behind
    their metadata; None = that was not asked for.
    """

    tokens: Tokens
    starts: Tokens
    bytes: int
    columns: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    ids: Tokens = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    prefixed: Prefixed | None = None


@dataclass(frozen=True)
class DomainTokens:
    """One domain: its place in every vector of weights, its name, and its tokens by split."""

    index: int
    name: str
    splits: Mapping[str, SplitTokens]


@dataclass(frozen=True)
class TokenPool:
    """All domains of a pool, in order of their index. `token_bytes` has shape [vocab_size]."""

    domains: tuple[DomainTokens, ...]
    vocab_size: int
    document_end: int
    token_bytes: Tokens

    def __post_init__(self) -> None:
        if [domain.index for domain in self.domains] != list(range(len(self.domains))):
            raise ValueError("domains of a pool must be in the order of their index, from 0")
        if self.token_bytes.shape != (self.vocab_size,):
            raise ValueError(f"token_bytes has shape {self.token_bytes.shape}, expected ({self.vocab_size},)")

    @property
    def names(self) -> tuple[str, ...]:
        """The domains' names, in the order of every vector of weights."""
        return tuple(domain.name for domain in self.domains)

    @cached_property
    def specials(self) -> npt.NDArray[np.int64]:
        """The special tokens besides the end of a document, which stand for no byte either, in the order of their ids."""
        found: npt.NDArray[np.int64] = np.setdiff1d(np.flatnonzero(self.token_bytes == 0), [self.document_end])
        return found

    def tokens(self, split: str) -> npt.NDArray[np.int64]:
        """Return the number of tokens per domain, shape [domains]."""
        return np.array([domain.splits[split].tokens.size for domain in self.domains], dtype=np.int64)

    def bytes(self, split: str) -> npt.NDArray[np.int64]:
        """Return the number of UTF-8 bytes per domain, shape [domains]."""
        return np.array([domain.splits[split].bytes for domain in self.domains], dtype=np.int64)

    def rows(self, split: str, sequence_length: int) -> npt.NDArray[np.int64]:
        """Return how many rows of `sequence_length` + 1 tokens each domain gives, shape [domains].

        Neighbouring rows share one token, the last target of one and the first input of the next, so that every
        token but the first is a target exactly once: rows = (tokens - 1) // sequence_length.
        """
        return np.maximum(self.tokens(split) - 1, 0) // sequence_length

    def row(self, domain: int, split: str, index: int, sequence_length: int) -> Tokens:
        """Return row `index` of a domain: shape [sequence_length + 1], inputs `[:-1]`, targets `[1:]`.

        Raises:
            IndexError: the domain has no such row.
        """
        tokens = self.domains[domain].splits[split].tokens
        start = index * sequence_length
        if not (index >= 0 and start + sequence_length < tokens.size):
            raise IndexError(f"{self.names[domain]}, split {split}: no row {index} of {sequence_length} + 1 tokens")
        return tokens[start : start + sequence_length + 1]


def token_bits(vocab_size: int) -> TokenBits:
    """Return the bits that the token ids of a vocabulary take.

    >>> token_bits(65_536), token_bits(65_537)
    (16, 32)
    """
    return 16 if vocab_size <= 1 << 16 else 32


def token_dtype(bits: TokenBits) -> np.dtype[np.unsignedinteger[Any]]:
    """Return how token ids of so many bits lie on the disk."""
    return np.dtype("<u2" if bits == 16 else "<u4")


def token_path(split: str, index: int, name: str) -> str:
    """Return where the tokens of a domain and split lie, relative to the pool.

    >>> token_path("train", 3, "python-code")
    'tokens/train/03-python-code.bin'

    Raises:
        DataError: the name cannot be part of a file name.
    """
    if not _NAME.fullmatch(name):
        raise DataError(
            f"domain {index}: its name {name!r} cannot be part of a file name. "
            "Use letters, digits, '.', '_' and '-' only, and begin with a letter or digit."
        )
    return f"tokens/{split}/{index:02d}-{name}.bin"


def starts_path(tokens: str) -> str:
    """Return where the first tokens of the documents lie whose tokens are in a file.

    >>> starts_path("tokens/train/03-python-code.bin")
    'tokens/train/03-python-code.starts.bin'
    """
    return f"{tokens.removesuffix('.bin')}.starts.bin"


def read_pool(folder: Path, *splits: Split) -> TokenPool:
    """Return the pool in a folder, with these splits (none named: all); tokens stay on the disk until they are looked at.

    Raises:
        DataError: there is no pool, its format is another, or a file is missing or not as long as it should be.
    """
    index = TokenPoolIndex.read(folder)
    domains = tuple(_read_domain(folder, domain, index.token_bits, splits or SPLITS) for domain in index.domains)
    token_bytes = np.array(mapped(folder / LENGTHS_FILE, index.vocab_size, _BYTES_DTYPE))
    return TokenPool(domains, index.vocab_size, index.document_end, token_bytes)


def train_digest(files: Tree) -> str:
    """Return the digest of the tokens to train on, of the files of a pool: what a recipe names as its `data`."""
    return files.under(_TRAIN).digest


def write_pool(
    folder: Path,
    domains: Mapping[str, Mapping[str, npt.ArrayLike]],
    *,
    vocab_size: int,
    document_end: int,
    token_bytes: npt.ArrayLike | None = None,
    columns: Mapping[str, Mapping[str, npt.ArrayLike]] | None = None,
    prefixes: Mapping[str, Sequence[npt.NDArray[np.int64]]] | None = None,
) -> TokenPool:
    """Write a pool from arrays of packed tokens, by domain name and split; return it as `read_pool` does.

    The order of `domains` is the order of weights. A split that is left out is empty. Without `token_bytes` every token
    stands for one byte, the end of a document for none. `columns` are numbers of each document of the train split, by
    domain and column, `prefixes` the tokens of its metadata, by domain.

    Raises:
        DataError: a token is not in the vocabulary, or a name cannot name a file.
    """
    lengths = np.ones(vocab_size, dtype=np.int64) if token_bytes is None else np.array(token_bytes, dtype=np.int64)
    lengths[document_end] = 0
    packed = []
    for index, (name, splits) in enumerate(domains.items()):
        described: dict[Split, PackedSplit] = {}
        for split in SPLITS:
            tokens = np.asarray(splits.get(split, ()), dtype=np.int64)
            path = token_path(split, index, name)
            write_tokens(folder / path, tokens, vocab_size)
            size, starts = int(lengths[tokens].sum()), document_starts(tokens, document_end)
            write_starts(folder / starts_path(path), starts)
            own = (columns or {}).get(name, {}) if split == "train" else {}
            numbers = {column: np.asarray(values, dtype=np.float64) for column, values in own.items()}
            files = write_columns(folder, path, numbers, [f"{name} {index}" for index in range(starts.size)])
            if prefixes is not None and split == "train":
                write_prefixed(folder, path, tokens, starts, prefixes[name], vocab_size)
            described[split] = PackedSplit(
                file=path, starts=starts_path(path), tokens=tokens.size, bytes=size, documents=starts.size, **files
            )
        packed.append(PackedDomain(name=name, index=index, splits=described))
    write_index(folder, packed, vocab_size=vocab_size, document_end=document_end, token_bytes=lengths)
    return read_pool(folder)


def write_tokens(path: Path, tokens: npt.NDArray[np.int64], vocab_size: int) -> None:
    """Write token ids as unsigned little-endian numbers, of 16 bits where the vocabulary fits, else of 32.

    Raises:
        DataError: an id does not belong to the vocabulary.
    """
    outside = np.flatnonzero((tokens < 0) | (tokens >= vocab_size))
    if outside.size:
        raise DataError(
            f"{path}: {outside.size} of {tokens.size} token ids lie outside the vocabulary of {vocab_size}; "
            f"first: {tokens[outside[0]]} at position {outside[0]}."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tokens.astype(token_dtype(token_bits(vocab_size))).tobytes())


def document_starts(tokens: npt.NDArray[np.int64], document_end: int) -> npt.NDArray[np.int64]:
    """Return the first token of each document; the last one may lack its end.

    >>> document_starts(np.array([5, 0, 6, 7, 0, 8]), 0).tolist()
    [0, 2, 5]
    """
    after = np.flatnonzero(tokens == document_end) + 1
    return np.concatenate([np.zeros(min(1, tokens.size), dtype=np.int64), after[after < tokens.size]])


def write_starts(path: Path, starts: npt.NDArray[np.int64]) -> None:
    """Write the first token of each document."""
    path.write_bytes(starts.astype(_STARTS_DTYPE).tobytes())


class ColumnFiles(TypedDict):
    """Where the columns of a split's documents lie, and what stands for their ids."""

    columns: dict[str, str]
    ids: str | None


def write_columns(
    folder: Path, tokens: str, columns: Mapping[str, npt.NDArray[np.float64]], ids: Sequence[str]
) -> ColumnFiles:
    """Write numbers of each document beside the file of their tokens, and 64 bits of a hash of each document's id.

    Raises:
        DataError: a column's name cannot be part of a file name.
    """
    if not columns:
        return {"columns": {}, "ids": None}
    if unfit := [name for name in columns if not _NAME.fullmatch(name)]:
        raise DataError(f"the column {unfit[0]!r} cannot be part of a file name. Rename it.")
    beside = tokens.removesuffix(".bin")
    files = {name: f"{beside}.column-{name}.bin" for name in columns}
    for name, numbers in columns.items():
        (folder / files[name]).write_bytes(numbers.astype(_COLUMN_DTYPE).tobytes())
    hashes = b"".join(hashlib.sha256(one.encode()).digest()[:8] for one in ids)
    (folder / f"{beside}.ids.bin").write_bytes(hashes)
    return {"columns": files, "ids": f"{beside}.ids.bin"}


def write_prefixed(
    folder: Path,
    path: str,
    tokens: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    prefixes: Sequence[npt.NDArray[np.int64]],
    vocab_size: int,
) -> tuple[str, str]:
    """Write the packed documents of a file once more, each behind its prefix, and the tokens of each; return their paths."""
    stream, sizes = prefixed_paths(path)
    write_tokens(folder / stream, with_prefixes(tokens, starts, prefixes), vocab_size)
    write_starts(folder / sizes, np.array([own.size for own in prefixes], dtype=np.int64))
    return stream, sizes


def write_index(
    folder: Path,
    domains: Sequence[PackedDomain],
    *,
    vocab_size: int,
    document_end: int,
    token_bytes: npt.NDArray[np.int64],
) -> None:
    """Write `tokens.json` and `token_bytes.bin`."""
    index = TokenPoolIndex(
        vocab_size=vocab_size,
        document_end=document_end,
        token_bits=token_bits(vocab_size),
        domains=tuple(domains),
    )
    index.write(folder)
    (folder / LENGTHS_FILE).write_bytes(token_bytes.astype(_BYTES_DTYPE).tobytes())


def _read_domain(folder: Path, domain: PackedDomain, bits: TokenBits, splits: Sequence[Split]) -> DomainTokens:
    found: dict[str, SplitTokens] = {}
    for split in splits:
        own = domain.splits[split]
        tokens = mapped(folder / own.file, own.tokens, token_dtype(bits))
        starts = mapped(folder / own.starts, own.documents, _STARTS_DTYPE)
        columns = {name: mapped(folder / file, own.documents, _COLUMN_DTYPE) for name, file in own.columns.items()}
        ids = np.empty(0, _STARTS_DTYPE) if own.ids is None else mapped(folder / own.ids, own.documents, _STARTS_DTYPE)
        found[split] = SplitTokens(tokens, starts, own.bytes, columns, ids, _read_prefixed(folder, own, bits))
    return DomainTokens(domain.index, domain.name, found)


def _read_prefixed(folder: Path, own: PackedSplit, bits: TokenBits) -> Prefixed | None:
    stream, lengths = (folder / name for name in prefixed_paths(own.file))
    if not lengths.is_file():
        return None
    sizes = mapped(lengths, own.documents, _STARTS_DTYPE)
    return Prefixed(mapped(stream, own.tokens + int(sizes.sum()), token_dtype(bits)), sizes)


def mapped(path: Path, count: int, dtype: np.dtype[Number]) -> npt.NDArray[Number]:
    """Return a file of so many numbers as a memory map.

    Raises:
        DataError: the file is missing, or holds more or fewer.
    """
    expected = count * dtype.itemsize
    size = path.stat().st_size if path.is_file() else None
    if size != expected:
        raise DataError(
            f"{path}: expected {count:,} numbers ({expected:,} bytes), found "
            f"{'no file' if size is None else f'{size:,} bytes'}. Get it again (`dvc checkout`) or run tokenize again."
        )
    # An empty file cannot be mapped.
    return np.memmap(path, dtype=dtype, mode="r") if count else np.empty(0, dtype=dtype)
