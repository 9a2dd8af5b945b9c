"""A fastText classifier of two classes (arXiv 1607.01759), trained as DCLM, PreSelect and BETR train theirs.

One thread, examples in the order of a hash and a fixed seed: the same model, byte for byte, whatever shards and workers the
examples came from. The library is floret, a fork of fastText whose wheel leaves the module name `fasttext` to the one that
predicts; in its mode `fasttext` it trains as fastText does.
"""

import struct
import tempfile
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from shutil import copyfileobj
from typing import Annotated

import numpy as np
import pyarrow as pa
from pydantic import Field

from tasks.core.errors import ConfigError, DataError
from tasks.core.params import Params
from tasks.curate.fasttext_model import MAGIC, SUPERVISED, inspect, one_line

POSITIVE, NEGATIVE = "__label__hq", "__label__cc"
_LABEL = "__label__"
# floret's header has the two fields `mode` and `hashCount` more than fastText's, which are 1 where it trains as fastText.
_HEADER = struct.Struct("<ii14i")
_BEFORE, _MORE = 52, 8
_WRITTEN_AT_ONCE = 1024


class FastTextTraining(Params):
    """How a classifier is trained; the defaults are those of DCLM (arXiv 2406.11794), with pairs of words.

    Attributes:
        epochs: how often every example is read.
        learning_rate: at the beginning; it falls to 0 in a line.
        dimension: numbers per word.
        word_ngrams: runs of so many words, and of fewer, count too.
        num_buckets: runs of words are told apart by their hash modulo this number; each has `dimension` numbers too.
        min_count: rarer words do not count.
    """

    epochs: Annotated[int, Field(ge=1)] = 5
    learning_rate: Annotated[float, Field(gt=0)] = 0.1
    dimension: Annotated[int, Field(ge=1)] = 100
    word_ngrams: Annotated[int, Field(ge=1, le=10)] = 2
    num_buckets: Annotated[int, Field(ge=1, le=100_000_000)] = 2_000_000
    min_count: Annotated[int, Field(ge=1)] = 1


def examples_of(
    ids: Sequence[str], texts: Sequence[str] | pa.ChunkedArray, positive: Sequence[bool], seed: int
) -> pa.Table:
    """Return examples: `order` (a number in [0, 2^63) that follows from seed and id), `text`, `positive`."""
    return pa.table(
        {
            "order": pa.array([_order(seed, name) for name in ids], pa.int64()),
            "text": pa.array(texts, pa.large_string())
            if isinstance(texts, Sequence)
            else texts.cast(pa.large_string()),
            "positive": pa.array(positive, pa.bool_()),
        }
    )


def lowest(examples: pa.Table, number: int) -> pa.Table:
    """Return the examples that come first in the order of the hash, at most `number`, in that order."""
    return examples.take(pa.array(np.argsort(examples["order"].to_numpy(), kind="stable")[:number]))


def train(examples: pa.Table, how: FastTextTraining, seed: int, model: Path, setting: str) -> None:
    """Write a classifier of the labels `POSITIVE` and `NEGATIVE` to `model`, as fastText's own `saveModel` writes it.

    Raises:
        ConfigError: floret is not installed, or the learning rate is too high.
        DataError: no word is left to learn from.
    """
    try:
        import floret
    except ImportError as error:
        raise ConfigError(
            f"{setting} is trained with the package floret. Install it with `pip install 'mixwright[classifiers]'`."
        ) from error
    with tempfile.TemporaryDirectory(dir=model.parent) as folder:
        lines, written = Path(folder) / "lines.txt", Path(folder) / "floret.bin"
        with lines.open("w", encoding="utf-8", newline="\n") as stream:
            stream.writelines(_lines(lowest(examples, examples.num_rows)))
        options = {"epoch": how.epochs, "lr": how.learning_rate, "dim": how.dimension, "wordNgrams": how.word_ngrams}
        options |= {"bucket": how.num_buckets, "minCount": how.min_count, "seed": seed, "thread": 1, "verbose": 0}
        try:
            floret.train_supervised(input=str(lines), **options).save_model(str(written))
        except RuntimeError as error:
            raise ConfigError(f"{setting}: training failed: {error} Lower learning_rate.") from error
        _as_fasttext(written, model)
    if not inspect(model).num_words:
        raise DataError(
            f"{setting}: no word stands {how.min_count} times in its {examples.num_rows:,} examples. Name more examples, or "
            "lower min_count."
        )


def _lines(examples: pa.Table) -> Iterator[str]:
    for batch in examples.to_batches(_WRITTEN_AT_ONCE):
        for text, positive in zip(batch["text"].to_pylist(), batch["positive"].to_pylist(), strict=True):
            # A word that looks like a label would be one.
            yield f"{POSITIVE if positive else NEGATIVE} {one_line(text).replace(_LABEL, '')}\n"


def _as_fasttext(written: Path, model: Path) -> None:
    """Copy a model of floret without the two fields that fastText's own header lacks."""
    with written.open("rb") as source, model.open("wb") as target:
        head = source.read(_BEFORE + _MORE)
        fields = _HEADER.unpack_from(head + source.peek(4)[:4])
        assert (fields[0], fields[9], fields[13:15]) == (MAGIC, SUPERVISED, (1, 1)), "floret writes another header"
        target.write(head[:_BEFORE])
        copyfileobj(source, target, 1 << 20)


def _order(seed: int, name: str) -> int:
    return int.from_bytes(sha256(f"{seed}:{name}".encode()).digest()[:8], "big") >> 1
