"""What DCLM's reproduction of RefinedWeb's document rules counts, where its definitions are not those of Gopher's here.

Sources: Penedo et al. 2023 (RefinedWeb), appendix G; Li et al. 2024 (DCLM) and its dclm_baseline_refinedweb pipeline.

One definition is ours. DCLM takes its n-grams from words as Unicode's annex 29 divides text, which needs tables that
Python does not have. Here such a word is a run of letters, digits and "_" that starts with a letter or digit, with the
apostrophes, dots, colons and commas the annex allows inside ("don't", "3,000.5", "e.g"); for English text that is the
same but for rare signs.
"""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from tasks.curate.statistics.ngrams import DUPLICATE_LENGTHS, TOP_LENGTHS, all_repeated_counts
from tasks.curate.statistics.words import STOP_WORDS, Ints, lay_out

BULLETS = ("●", "•", "*", "-")
ELLIPSES = ("...", ". . .", "…")
SYMBOLS = ("#", *ELLIPSES)

NGRAM_COUNTS = (*(f"top_{n}_gram_chars" for n in TOP_LENGTHS), *(f"repeated_{n}_gram_chars" for n in DUPLICATE_LENGTHS))
# What is counted in a document, in the order of the kernel's columns.
DOCUMENT_COUNTS = (
    "words",
    "whitespace_words",
    "word_chars",
    "nonalphabetic_words",
    "stop_word_occurrences",
    "symbols",
    "bullet_lines",
    "ellipsis_lines",
    "lines",
    "line_chars",
    "repeated_lines",
    "repeated_line_chars",
    "paragraphs",
    "paragraph_chars",
    "repeated_paragraphs",
    "repeated_paragraph_chars",
    "annex_word_chars",
    *NGRAM_COUNTS,
)

# fastText's words, with punctuation ignored: what starts with a letter or digit behind a blank of ASCII, or a null.
_WORD_START = re.compile(r"(?<![^ \n\r\t\v\f\0])[^\W_]")
_ANNEX_WORD = re.compile(r"\w+(?:(?:(?<=[^\W\d_])[:·.'’](?=[^\W\d_])|(?<=\d)[.,;'’](?=\d))\w+)*")
_STOP_WORDS = frozenset(STOP_WORDS)


def num_words(text: str) -> int:
    """Return the words of a text as DCLM counts them: fastText's, but those that start with a letter or digit only."""
    return len(_WORD_START.findall(text))


def document_counts(texts: Sequence[str]) -> dict[str, Ints]:
    """Return the numbers of `DOCUMENT_COUNTS`, int64 [N] each, without a compiled kernel."""
    plain = DOCUMENT_COUNTS[: -len(NGRAM_COUNTS) - 1]
    rows = np.array([_counts(text) for text in texts], np.int64).reshape(-1, len(plain))
    words = lay_out(texts, _annex_words)
    columns = {name: rows[:, column] for column, name in enumerate(plain)}
    return columns | {"annex_word_chars": words.document_sums(words.word_chars())} | all_repeated_counts(words)


def _counts(text: str) -> tuple[int, ...]:
    words = text.split()
    lines = [line for raw in text.split("\n") if (line := raw.strip())]
    paragraphs = [paragraph for raw in text.split("\n\n") if (paragraph := raw.strip())]
    return (
        num_words(text),
        len(words),
        sum(map(len, words)),
        sum(not any(map(str.isalpha, word)) for word in words),
        sum(word.lower() in _STOP_WORDS for word in words),
        sum(map(text.count, SYMBOLS)),
        sum(line.startswith(BULLETS) for line in lines),
        sum(line.endswith(ELLIPSES) for line in lines),
        *_repeated(lines),
        *_repeated(paragraphs),
    )


def _repeated(parts: Sequence[str]) -> tuple[int, int, int, int]:
    often = [(count, len(part)) for part, count in Counter(parts).items() if count > 1]
    number, chars = sum(count for count, _ in often), sum(count * size for count, size in often)
    return len(parts), sum(map(len, parts)), number, chars


def _annex_words(text: str) -> list[str]:
    return [word for word in _ANNEX_WORD.findall(text) if word[0] != "_"]
