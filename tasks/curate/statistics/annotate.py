"""The pass that computes every statistic: `annotate(texts)` gives columns, `annotate_table(documents)` an Arrow table.

Nothing here knows a threshold. A native kernel can take the place of `annotate`; the columns are the seam.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.curate.statistics.lines import COLUMNS as LINE_COLUMNS
from tasks.curate.statistics.lines import line_statistics
from tasks.curate.statistics.ngrams import DUPLICATE_LENGTHS, TOP_LENGTHS, ngram_statistics
from tasks.curate.statistics.words import Words, alphabetic_words, batches, lay_out, stop_words

Columns = dict[str, NDArray[Any]]

# Large enough that numpy's cost per call vanishes, small enough for workers of 0.4 GiB (measured).
BATCH_BYTES = 4_000_000

COUNTS = ("characters", "words", "stop_words", "lines")
FRACTIONS = (
    "mean_word_chars",
    "hash_word_ratio",
    "ellipsis_word_ratio",
    "alphabetic_word_fraction",
    *LINE_COLUMNS[1:],
    *(f"top_{n}_gram_char_fraction" for n in TOP_LENGTHS),
    *(f"duplicate_{n}_gram_char_fraction" for n in DUPLICATE_LENGTHS),
)
STATISTICS = (*COUNTS, *FRACTIONS)


def annotate(texts: Sequence[str]) -> Columns:
    """Return every statistic of every text: int64 for `COUNTS`, float64 for `FRACTIONS`.

    characters: code points of the text. words: whitespace words. stop_words: how many different ones of eight.
    lines: lines that are not blank. mean_word_chars: characters of all words / words. hash_word_ratio: "#" / words.
    ellipsis_word_ratio: ("..." and "…") / words. alphabetic_word_fraction: words with an alphabetic character / words.
    The rest: `line_statistics`, `ngram_statistics`. A ratio or fraction of nothing is 0.
    """
    words = lay_out(texts)
    columns = _word_columns(texts, words) | ngram_statistics(words)
    rows = np.array([line_statistics(text) for text in texts], np.float64).reshape(-1, len(LINE_COLUMNS))
    columns |= {name: rows[:, i] for i, name in enumerate(LINE_COLUMNS)}
    return {name: columns[name].astype(np.int64 if name in COUNTS else np.float64) for name in STATISTICS}


def annotate_table(documents: pa.Table) -> pa.Table:
    """Return columns id, source, bytes (UTF-8) and every statistic, one row per document of a table with text."""
    sizes = pc.binary_length(documents["text"]).cast(pa.int64())
    parts = [annotate(documents["text"][part].to_pylist()) for part in batches(sizes.to_pylist(), BATCH_BYTES)]
    empty = annotate([])
    merged = {name: np.concatenate([empty[name], *(part[name] for part in parts)]) for name in STATISTICS}
    return pa.table({"id": documents["id"], "source": documents["source"], "bytes": sizes, **merged})


def _word_columns(texts: Sequence[str], words: Words) -> Columns:
    num_words = np.diff(words.starts)
    divisor = np.maximum(num_words, 1)
    hashes = np.array([text.count("#") for text in texts], np.int64)
    ellipses = np.array([text.count("...") + text.count("…") for text in texts], np.int64)
    return {
        "characters": np.array([len(text) for text in texts], np.int64),
        "words": num_words,
        "stop_words": stop_words(words),
        "mean_word_chars": words.document_sums(words.word_chars()) / divisor,
        "hash_word_ratio": hashes / divisor,
        "ellipsis_word_ratio": ellipses / divisor,
        "alphabetic_word_fraction": alphabetic_words(words) / divisor,
    }
