"""Byte-level BPE: training, the user's own, and what every token stands for in bytes.

A byte-level tokenizer writes each byte as one printable character (the table of GPT-2), so that every text can be
encoded and no byte is lost. That is checked for every document, not believed: see `encode`.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tasks.core.errors import ConfigError
from tasks.tokenize.pool import Tokens, token_bits, token_dtype

if TYPE_CHECKING:
    from tokenizers import Tokenizer

DOCUMENT_END = "<|document_end|>"
_BATCH_CHARS = 2_000_000


@dataclass(frozen=True)
class Codec:
    """A tokenizer with what each of its token ids stands for; special tokens stand for no byte."""

    tokenizer: "Tokenizer"
    document_end: int
    pieces: tuple[bytes, ...]

    @property
    def vocab_size(self) -> int:
        """One more than the largest token id."""
        return len(self.pieces)

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger[Any]]:
        """How the token ids lie on the disk."""
        return token_dtype(token_bits(self.vocab_size))

    @property
    def token_bytes(self) -> npt.NDArray[np.int64]:
        """How many UTF-8 bytes each token stands for, shape [vocab_size]."""
        return np.array([len(piece) for piece in self.pieces], dtype=np.int64)


def train(texts: Iterable[str], vocab_size: int, special_tokens: int = 0) -> str:
    """Return `tokenizer.json` of a byte-level BPE trained on texts, see `train_at_most`.

    Raises:
        ConfigError: the texts do not hold as many different pairs as the vocabulary asks for.
    """
    text = train_at_most(texts, vocab_size, special_tokens)
    if (found := len(json.loads(text)["model"]["vocab"])) != vocab_size:
        raise ConfigError(
            f"tokenize.tokenizer.vocab_size: {vocab_size:,} tokens were asked for, the training text gives {found:,}. "
            "Lower it, raise training_bytes, or give more documents; null follows the text."
        )
    return text


def default_vocab_size(training_bytes: int) -> int:
    """Return the vocabulary for so much text: a merge that a thousand bytes have not earned is learned by heart.

    >>> [default_vocab_size(bytes_) for bytes_ in (20_000, 1_000_000, 8_000_000)]
    [512, 960, 4096]
    """
    return min(max(512, training_bytes // 1_000 // 64 * 64), 4096)


def train_at_most(texts: Iterable[str], vocab_size: int, special_tokens: int = 0) -> str:
    """Return `tokenizer.json` of a byte-level BPE: no normaliser, no added space, no lost byte.

    It has fewer tokens than asked for where the texts hold fewer different pairs. So many `special_tokens` of them stand for
    no text, besides the end of a document.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[DOCUMENT_END, *(f"<|special_{number}|>" for number in range(special_tokens))],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return str(tokenizer.to_str(pretty=True)) + "\n"


def load(path: Path, document_end: str) -> Codec:
    """Return the codec of a `tokenizer.json`.

    Raises:
        ConfigError: no such file, not a tokenizer, not byte-level, or no such end token.
    """
    from tokenizers import Tokenizer

    if not path.is_file():
        raise ConfigError(f"tokenize.tokenizer.path: {path} does not exist. Name a tokenizer.json.")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:
        # The library raises bare Exception for every kind of malformed file.
        raise ConfigError(f"tokenize.tokenizer.path: {path} is not a tokenizer.json: {error}.") from error
    # Text that spells a special token is text: it must not end a document in its middle.
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return Codec(tokenizer, _special(tokenizer, document_end, path), _pieces(tokenizer, path))


def encode(codec: Codec, ids: Sequence[str], texts: Sequence[str]) -> tuple[Tokens, npt.NDArray[np.int64]]:
    """Return the tokens of all texts one after the other, shape [tokens], and how many each has, shape [texts].

    Raises:
        ConfigError: the tokens of a text do not stand for just its bytes; `ids` name it.
    """
    tokens, dtype = list[Tokens](), codec.dtype
    for batch in _batches(texts):
        encoded = codec.tokenizer.encode_batch_fast(texts[batch], add_special_tokens=False)
        for name, text, encoding in zip(ids[batch], texts[batch], encoded, strict=True):
            _require_same_bytes(codec, name, text, encoding.ids)
            tokens.append(np.array(encoding.ids, dtype=dtype))
    lengths = np.array([own.size for own in tokens], dtype=np.int64)
    return np.concatenate([np.empty(0, dtype=dtype), *tokens]), lengths


def decode(codec: Codec, tokens: Iterable[int]) -> bytes:
    """Return the bytes that tokens stand for."""
    return b"".join(codec.pieces[token] for token in tokens)


@cache
def byte_alphabet() -> dict[str, int]:
    """Return the byte that each character of a byte-level vocabulary stands for (GPT-2's `bytes_to_unicode`).

    >>> byte_alphabet()["a"] == ord("a"), byte_alphabet()["Ġ"] == ord(" ")
    (True, True)
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + rank): byte for rank, byte in enumerate(others)}


def _special(tokenizer: "Tokenizer", document_end: str, path: Path) -> int:
    specials = {
        token.content: number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special
    }
    if document_end not in specials:
        raise ConfigError(
            f"tokenize.tokenizer.document_end: {path} has no special token {document_end!r}; it has "
            f"{', '.join(map(repr, sorted(specials))) or 'none'}. Name one of these, or add one to the file."
        )
    return int(specials[document_end])


def _pieces(tokenizer: "Tokenizer", path: Path) -> tuple[bytes, ...]:
    vocabulary, added = tokenizer.get_vocab(with_added_tokens=True), tokenizer.get_added_tokens_decoder()
    size = max(vocabulary.values()) + 1
    pieces, alphabet = [b""] * size, byte_alphabet()
    for piece, number in vocabulary.items():
        if number in added:
            pieces[number] = b"" if added[number].special else piece.encode()
        elif strange := sorted(set(piece) - alphabet.keys()):
            raise ConfigError(
                f"tokenize.tokenizer.path: {path} is not byte-level: token {number} is {piece!r}, and {strange[0]!r} "
                "stands for no byte. Use a byte-level BPE, whose tokens can be counted in bytes."
            )
        else:
            pieces[number] = bytes(alphabet[character] for character in piece)
    return tuple(pieces)


def _batches(texts: Sequence[str]) -> Iterable[slice]:
    """Cut texts into runs of about two million characters, so that encodings do not pile up in memory."""
    start, chars = 0, 0
    for end, text in enumerate(texts, start=1):
        chars += len(text)
        if chars >= _BATCH_CHARS or end == len(texts):
            yield slice(start, end)
            start, chars = end, 0


def _require_same_bytes(codec: Codec, name: str, text: str, tokens: Sequence[int]) -> None:
    found, expected = decode(codec, tokens), text.encode()
    if found != expected:
        raise ConfigError(
            f"tokenize.tokenizer: document {name} has {len(expected):,} bytes of text, its tokens stand for "
            f"{len(found):,} bytes, or for others. The tokenizer changes text (a normaliser, an added space, stripped "
            "blanks), and bits per byte would be wrong. Use one that does not."
        )
