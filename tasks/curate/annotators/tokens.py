"""Token counts with the user's own tokenizer."""

from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tasks.core.errors import ConfigError
from tasks.core.params import Params
from tasks.curate.annotators.method import AnnotatorMethod, existing_file, stamp
from tasks.curate.statistics.texts import Columns, Texts

_WHAT = "a tokenizer.json of Hugging Face tokenizers"
# Encodings of one batch are in memory at once, about 100 bytes per token.
_BATCH_BYTES = 2_000_000


class TokenCounts(Params):
    """`tokenizer_path`: a Hugging Face `tokenizer.json`."""

    kind: Literal["tokens"] = "tokens"
    tokenizer_path: str


def token_counts(texts: Texts, config: TokenCounts) -> Columns:
    """Return `tokens` (int64): tokens of each text, without the special ones a template would add.

    Raises:
        ConfigError: there is no such file, or it is no tokenizer.
    """
    path = existing_file(config.tokenizer_path, "tokens.tokenizer_path", _WHAT)
    tokenizer = _load(path, stamp(path))
    every, counts, start = texts.to_list(), np.zeros(len(texts), np.int64), 0
    while start < len(texts):
        end = max(start + 1, int(np.searchsorted(texts.offsets, texts.offsets[start] + _BATCH_BYTES, "right")) - 1)
        encoded = tokenizer.encode_batch_fast(every[start:end], add_special_tokens=False)
        counts[start:end] = [len(encoding) for encoding in encoded]
        start = end
    return {"tokens": counts}


def user_files(config: TokenCounts) -> dict[str, Path]:
    """Return the file of the tokenizer.

    Raises:
        ConfigError: there is no such file.
    """
    return {"tokenizer_path": existing_file(config.tokenizer_path, "tokens.tokenizer_path", _WHAT)}


@lru_cache(maxsize=2)
def _load(path: Path, _: tuple[int, int]) -> Any:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:
        # The library raises bare Exception for every kind of malformed file.
        raise ConfigError(f"tokens.tokenizer_path: {path} is not a tokenizer.json: {error}. Name {_WHAT}.") from error
    # Text that spells a special token is text, as in `tokenize`; a file may ask for truncation, a count may not.
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


METHOD = AnnotatorMethod(lambda config, documents, held: token_counts(documents.texts, config), user_files)
