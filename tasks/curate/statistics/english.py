"""The statistics of Gopher's rules as datatrove 0.10.1 takes them, on English tokens: its decisions, to the last bit.

They differ from `gopher_statistics` (the paper's reading, whitespace words) in what a word, a line and a paragraph is,
and in every denominator. A compiled kernel counts; where there is none, this module counts the same. Ratios are taken
here, once, of integers: one division of two int64 is what datatrove does too, so a threshold falls on the same side.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.core.params import Params
from tasks.curate.annotators.method import AnnotatorMethod
from tasks.curate.english.facts import load_facts
from tasks.curate.english.tokens import words
from tasks.curate.native import kernel
from tasks.curate.statistics.texts import Columns, Texts

Counts = NDArray[np.int64]

TOP_LENGTHS = (2, 3, 4)
DUPLICATE_LENGTHS = (5, 6, 7, 8, 9, 10)
# What is counted in a document, in the order of the kernel's columns.
COUNTED = (
    "characters",
    "paragraphs",
    "duplicate_paragraphs",
    "duplicate_paragraph_chars",
    "lines",
    "duplicate_lines",
    "duplicate_line_chars",
    *(f"top_{n}_gram_chars" for n in TOP_LENGTHS),
    *(f"duplicate_{n}_gram_chars" for n in DUPLICATE_LENGTHS),
    "tokens",
    "words",
    "word_chars",
    "hashes",
    "ellipses",
    "text_lines",
    "bullet_lines",
    "ellipsis_lines",
    "alphabetic_tokens",
    "stop_words",
)

# Column of the result: (count, its denominator); without denominator it is the count.
_RATIOS = {
    "english_duplicate_paragraph_fraction": ("duplicate_paragraphs", "paragraphs"),
    "english_duplicate_paragraph_char_fraction": ("duplicate_paragraph_chars", "characters"),
    "english_duplicate_line_fraction": ("duplicate_lines", "lines"),
    "english_duplicate_line_char_fraction": ("duplicate_line_chars", "characters"),
    **{f"english_top_{n}_gram_char_fraction": (f"top_{n}_gram_chars", "characters") for n in TOP_LENGTHS},
    **{
        f"english_duplicate_{n}_gram_char_fraction": (f"duplicate_{n}_gram_chars", "characters")
        for n in DUPLICATE_LENGTHS
    },
    "english_mean_word_chars": ("word_chars", "words"),
    "english_hash_word_ratio": ("hashes", "tokens"),
    "english_ellipsis_word_ratio": ("ellipses", "tokens"),
    "english_bullet_line_fraction": ("bullet_lines", "text_lines"),
    "english_ellipsis_line_fraction": ("ellipsis_lines", "text_lines"),
    "english_alphabetic_word_fraction": ("alphabetic_tokens", "tokens"),
}
INTEGERS = ("english_characters", "english_tokens", "english_words", "english_stop_words")
STATISTICS = (*INTEGERS, *_RATIOS)


class English(Params):
    """The statistics that datatrove's rules look at; it has no options."""

    kind: Literal["english"] = "english"


def english_statistics(texts: Texts) -> Columns:
    r"""Return datatrove's Gopher statistics of N texts: int64 [N] for `INTEGERS`, float64 [N] for the others.

    A token is what spaCy's English tokenizer gives, blank ones left out; a word is a token with a character outside
    `symbols()`. "Characters" are code points of the whole text, blanks included. A ratio of nothing is 0 (datatrove never
    takes one under its defaults: an empty text is dropped as such, one without words by the rule before; with that rule
    off it would raise ZeroDivisionError).

    From GopherRepetitionFilter, in its order:
    - english_characters: characters of the text; 0 is its reason "empty".
    - english_duplicate_paragraph_fraction: paragraphs (stripped text split at two or more "\n") that stood in the text
      before, of all paragraphs. english_duplicate_paragraph_char_fraction: their characters of all characters.
    - english_duplicate_line_fraction, english_duplicate_line_char_fraction: the same of the pieces between runs of
      "\n" (the empty pieces before a first and after a last "\n" are lines too).
    - english_top_<n>_gram_char_fraction: characters of the most frequent n tokens in a row (the first of equally
      frequent ones, and one that occurs once counts too), one blank between them, times its occurrences (which may
      overlap), of all characters.
    - english_duplicate_<n>_gram_char_fraction: characters of n tokens in a row, joined without blanks, that the scan
      from left to right saw before (it goes on behind such a repeat, else one token further), of all characters.

    From GopherQualityFilter, in its order:
    - english_words: number of words. english_tokens: of tokens. english_mean_word_chars: characters per word.
    - english_hash_word_ratio: "#" per token. english_ellipsis_word_ratio: "..." and "…" per token.
    - english_bullet_line_fraction: lines (`str.splitlines`) that start, blanks aside, with "•" or "-", of all of them;
      english_ellipsis_line_fraction: that end with "..." or "…".
    - english_alphabetic_word_fraction: tokens with an alphabetic character, of all tokens (punctuation included).
    - english_stop_words: how many different ones of the, be, to, of, and, that, have, with are tokens; lower case only.
    """
    return english_columns(english_counts(texts))


def english_counts(texts: Texts) -> Counts:
    """Return the numbers of `COUNTED` of every text: int64 [N, 26]."""
    counts = np.zeros((len(texts), len(COUNTED)), np.int64)
    if (native := kernel("datatrove")) is not None:
        native.english_counts(texts.data, texts.offsets, counts)
    elif len(texts):
        counts[:] = [_count(text) for text in texts.to_list()]
    return counts


def english_columns(counts: Counts) -> Columns:
    """Return the columns of `STATISTICS` from the counts [N, 26]."""
    named = {name: counts[:, i] for i, name in enumerate(COUNTED)}
    columns: Columns = {name: named[name.removeprefix("english_")].copy() for name in INTEGERS}
    return columns | {name: ratio(named[top], named[bottom]) for name, (top, bottom) in _RATIOS.items()}


def ratio(numbers: Counts, of: Counts) -> NDArray[np.float64]:
    """Return numbers [N] / of [N]; 0 where `of` is 0."""
    return np.divide(numbers, of, out=np.zeros(len(numbers)), where=of > 0)


def duplicates(parts: Sequence[str]) -> tuple[int, int]:
    """Return how many parts stood among those before, and their characters."""
    distinct = set(parts)
    return len(parts) - len(distinct), sum(map(len, parts)) - sum(map(len, distinct))


@cache
def symbols() -> frozenset[str]:
    """Return datatrove's PUNCTUATION_SET: a token of nothing else is no word."""
    bounds = load_facts().ranges["symbol"]
    return frozenset(chr(c) for i in range(0, len(bounds), 2) for c in range(bounds[i], bounds[i + 1] + 1))


def _count(text: str) -> tuple[int, ...]:
    paragraphs, lines = re.split(r"\n{2,}", text.strip()), re.split(r"\n+", text)
    tokens = words(text)
    return (
        len(text),
        len(paragraphs),
        *duplicates(paragraphs),
        len(lines),
        *duplicates(lines),
        *(_top_chars(tokens, n) for n in TOP_LENGTHS),
        *(_duplicate_chars(tokens, n) for n in DUPLICATE_LENGTHS),
        *_word_counts(text, tokens),
        *_line_counts(text.splitlines()),
        sum(any(map(str.isalpha, token)) for token in tokens),
        len({*load_facts().stop_words}.intersection(tokens)),
    )


def _word_counts(text: str, tokens: Sequence[str]) -> Iterator[int]:
    spelt = [token for token in tokens if not symbols().issuperset(token)]
    yield from (len(tokens), len(spelt), sum(map(len, spelt)), text.count("#"), text.count("...") + text.count("…"))


def _line_counts(lines: Sequence[str]) -> Iterator[int]:
    yield len(lines)
    yield sum(line.lstrip().startswith(("•", "-")) for line in lines)
    yield sum(line.rstrip().endswith(("...", "…")) for line in lines)


def _top_chars(tokens: Sequence[str], n: int) -> int:
    ngrams = Counter(" ".join(tokens[i : i + n]) for i in range(len(tokens) - n + 1))
    # The first seen of equally frequent ones: a Counter keeps that order, and `max` takes the first.
    top = max(ngrams, key=ngrams.__getitem__, default="")
    return len(top) * ngrams[top]


def _duplicate_chars(tokens: Sequence[str], n: int) -> int:
    seen: set[str] = set()
    chars = at = 0
    while at <= len(tokens) - n:
        ngram = "".join(tokens[at : at + n])
        if ngram in seen:
            chars, at = chars + len(ngram), at + n
        else:
            seen.add(ngram)
            at += 1
    return chars


METHOD = AnnotatorMethod(lambda config, documents, held: english_statistics(documents.texts))
