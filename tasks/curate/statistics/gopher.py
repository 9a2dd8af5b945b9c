"""The statistics of the Gopher rules: counts by a compiled kernel or numpy, ratios from the counts.

Nothing here knows a threshold. Kernel (tasks/curate/native/gopher.cpp) and fallback give the same integers, and the
ratios are taken from them in one place, so what is installed cannot change a bit of a statistic.
"""

from typing import Literal

import numpy as np

from tasks.core import scripts
from tasks.core.params import Params
from tasks.curate.annotators.method import AnnotatorMethod, Documents, WordRule, by_rule
from tasks.curate.native import kernel
from tasks.curate.statistics.lines import LINE_COUNTS, line_counts
from tasks.curate.statistics.ngrams import DUPLICATE_LENGTHS, TOP_LENGTHS, ngram_counts
from tasks.curate.statistics.texts import Columns, Texts
from tasks.curate.statistics.words import Ints, Words, alphabetic_words, batches, lay_out, stop_words

WORD_COUNTS = ("characters", "words", "word_chars", "stop_words", "hashes", "ellipses", "alphabetic_words")
NGRAM_COUNTS = (
    *(f"top_{n}_gram_chars" for n in TOP_LENGTHS),
    *(f"duplicate_{n}_gram_chars" for n in DUPLICATE_LENGTHS),
)
# What is counted, in the order of the kernel's columns.
COUNTED = (*WORD_COUNTS, *LINE_COUNTS, *NGRAM_COUNTS)

# Each ratio: what is counted, per what.
_RATIOS = {
    "mean_word_chars": ("word_chars", "words"),
    "hash_word_ratio": ("hashes", "words"),
    "ellipsis_word_ratio": ("ellipses", "words"),
    "alphabetic_word_fraction": ("alphabetic_words", "words"),
    "bullet_line_fraction": ("bullet_lines", "lines"),
    "ellipsis_line_fraction": ("ellipsis_lines", "lines"),
    "duplicate_line_fraction": ("duplicate_lines", "lines"),
    "duplicate_line_char_fraction": ("duplicate_line_chars", "line_chars"),
    "duplicate_paragraph_fraction": ("duplicate_paragraphs", "paragraphs"),
    "duplicate_paragraph_char_fraction": ("duplicate_paragraph_chars", "paragraph_chars"),
    **{name.replace("chars", "char_fraction"): (name, "word_chars") for name in NGRAM_COUNTS},
}

COUNTS = ("characters", "words", "stop_words", "lines")
FRACTIONS = tuple(_RATIOS)
STATISTICS = (*COUNTS, *FRACTIONS)
# The fallback holds some thirty bytes per byte of text: large enough that numpy's cost per call vanishes (measured).
_BATCH_BYTES = 4_000_000


class Gopher(Params):
    """The statistics that Gopher's rules look at; what a word is, the profile of each document says."""

    kind: Literal["gopher"] = "gopher"


def annotate(documents: Documents) -> Columns:
    """Return the statistics of every document, read as its profile does; see `gopher_statistics`."""
    words = [reading.words for reading in documents.readings]
    return by_rule(documents.texts, words, "blanks", gopher_statistics)


def gopher_statistics(texts: Texts, words: WordRule = "blanks") -> Columns:
    """Return every statistic of every text: int64 for `COUNTS`, float64 for `FRACTIONS`, as Rae et al. 2021 (A1.1).

    characters: code points of the text. words: of whitespace, or by script. stop_words: how many different ones of
    eight. lines: lines that are not blank. mean_word_chars: characters of all words / words. hash_word_ratio: "#" /
    words. ellipsis_word_ratio: ("..." and "…") / words. alphabetic_word_fraction: words with an alphabetic character /
    words. The rest: `line_counts`, `ngram_counts`. A ratio or fraction of nothing is 0.
    """
    counts = gopher_counts(texts, words)
    ratios = {name: counts[part] / np.maximum(counts[whole], 1) for name, (part, whole) in _RATIOS.items()}
    return {name: counts[name] for name in COUNTS} | ratios


def gopher_counts(texts: Texts, words: WordRule = "blanks") -> dict[str, Ints]:
    """Return the numbers of `COUNTED`, int64 [N] each."""
    compiled = kernel("gopher")
    if compiled is None:
        every = texts.to_list()
        parts = [_counts_in_python(every[part], words) for part in batches(texts.bytes_N.tolist(), _BATCH_BYTES)]
        return {name: np.concatenate([np.zeros(0, np.int64), *(part[name] for part in parts)]) for name in COUNTED}
    counts_NC = np.empty((len(texts), len(COUNTED)), np.int64)
    spaced = scripts.spaced if words == "script" else None
    compiled.gopher_counts(texts.data, texts.offsets, counts_NC, spaced)
    return {name: np.ascontiguousarray(counts_NC[:, column]) for column, name in enumerate(COUNTED)}


def _counts_in_python(texts: list[str], rule: WordRule) -> dict[str, Ints]:
    words = lay_out(texts, scripts.words if rule == "script" else str.split)
    rows = np.array([line_counts(text) for text in texts], np.int64).reshape(-1, len(LINE_COUNTS))
    lines = {name: rows[:, column] for column, name in enumerate(LINE_COUNTS)}
    return _word_counts(texts, words) | lines | ngram_counts(words)


def _word_counts(texts: list[str], words: Words) -> dict[str, Ints]:
    return {
        "characters": np.array([len(text) for text in texts], np.int64),
        "words": np.diff(words.starts),
        "word_chars": words.document_sums(words.word_chars()),
        "stop_words": stop_words(words),
        "hashes": np.array([text.count("#") for text in texts], np.int64),
        "ellipses": np.array([text.count("...") + text.count("…") for text in texts], np.int64),
        "alphabetic_words": alphabetic_words(words),
    }


METHOD = AnnotatorMethod(lambda config, documents, held: annotate(documents))
