"""Byte-level BPE trained on the train split of the pool: its params, and the unit that trains it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field, PositiveInt

from tasks.core.params import Params
from tasks.core.results import Here, UnitResult
from tasks.core.tables import text_bytes
from tasks.tokenize import tokenizer as bpe
from tasks.tokenize.aligned import AlignedPair, aligned
from tasks.tokenize.published import TOKENIZER_FILE
from tasks.tokenize.sample import choose


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
    special_tokens: PositiveInt | None = Field(
        default=None,
        le=4096,
        description="so many more tokens of the vocabulary that no text gives, for denoisers of training; null = none",
    )


@dataclass(frozen=True)
class LearnTokenizerArgs:
    """Train the tokenizer on the train split of all shards."""

    pairs: tuple[AlignedPair, ...]
    config: TrainedBpe
    seed: int


def learn(args: LearnTokenizerArgs, here: Here) -> UnitResult:
    """Train byte-level BPE on an even sample of the domains' train documents."""
    import pyarrow as pa

    table = pa.concat_tables([aligned(pair, ["id", "text"]) for pair in args.pairs])
    sizes, domains = text_bytes(table["text"]), np.array(table["domain"], dtype=np.int64)
    domains[np.array(table["split"].to_pylist(), dtype=object) != "train"] = -1
    chosen = choose(table["id"].to_pylist(), sizes, domains, args.config.training_bytes, args.seed)
    size, taken = args.config.vocab_size, sum(taken for _, taken in chosen)
    beginnings = _beginnings(table["text"], chosen)
    more = args.config.special_tokens or 0
    if size:
        text = bpe.train(beginnings, size, more)
    else:
        text = bpe.train_at_most(beginnings, bpe.default_vocab_size(taken) + more, more)
    (here.folder / TOKENIZER_FILE).write_text(text, encoding="utf-8")
    return UnitResult(summary={"training_bytes": taken, "training_documents": len(chosen)})


def _beginnings(texts: Any, chosen: Sequence[tuple[int, int]]) -> Iterable[str]:
    for number, taken in chosen:
        yield texts[number].as_py().encode()[:taken].decode(errors="ignore")
