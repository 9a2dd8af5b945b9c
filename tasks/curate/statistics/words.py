"""Documents as numbers: whitespace words of many documents laid end to end, each with the id of its spelling.

Axes: D documents, W words of all documents together, V distinct spellings.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# Rae et al. 2021, appendix A1.1. Whitespace words keep their punctuation, so "that," is not counted; capitals are.
STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")


@dataclass(frozen=True)
class Words:
    """The words of D documents.

    `ids_W` is the row of `vocabulary_V` each word is spelt as; document d owns words `starts[d]:starts[d + 1]`.
    """

    vocabulary_V: list[str]
    ids_W: Ints
    starts: Ints

    def document_sums(self, values_W: Ints) -> Ints:
        """Return the sum of a number per word over each document; 0 for a document without words."""
        total = running_total(values_W)
        return total[self.starts[1:]] - total[self.starts[:-1]]

    def word_documents(self) -> Ints:
        """Return, per word, the document it belongs to."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def word_chars(self) -> Ints:
        """Return the characters (code points) of every word."""
        chars_V = np.fromiter(map(len, self.vocabulary_V), np.int64, len(self.vocabulary_V))
        return chars_V[self.ids_W]


def lay_out(texts: Sequence[str], split: Callable[[str], list[str]] = str.split) -> Words:
    """Return the words of `texts`: what `split` gives, by default what stands between Unicode's whitespace."""
    words_of = [split(text) for text in texts]
    lengths = np.fromiter(map(len, words_of), np.int64, len(words_of))
    flat = list(chain.from_iterable(words_of))
    table = {word: index for index, word in enumerate(dict.fromkeys(flat))}
    ids_W = np.fromiter(map(table.__getitem__, flat), np.int64, len(flat))
    return Words(list(table), ids_W, running_total(lengths))


def running_total(values: Ints) -> Ints:
    """Return the sums before each element and after the last one: one element more than `values`."""
    total = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=total[1:])
    return total


def batches(sizes: Sequence[int], limit: int) -> Iterator[slice]:
    """Yield slices of consecutive documents whose sizes add up to at most `limit`; a larger document is alone."""
    start, total = 0, 0
    for index, size in enumerate(sizes):
        if index > start and total + size > limit:
            yield slice(start, index)
            start, total = index, 0
        total += size
    if start < len(sizes):
        yield slice(start, len(sizes))


def alphabetic_words(words: Words) -> Ints:
    """Return how many words of each document have at least one alphabetic character (any script)."""
    vocabulary = words.vocabulary_V
    flags = (word.isalpha() or any(map(str.isalpha, word)) for word in vocabulary)
    return words.document_sums(np.fromiter(flags, np.int64, len(vocabulary))[words.ids_W])


def stop_words(words: Words) -> Ints:
    """Return how many different stop words each document has (0 to 8); "the", "The" and "THE" are one."""
    which = {form: i for i, word in enumerate(STOP_WORDS) for form in (word, word.capitalize(), word.upper())}
    stop_V = np.fromiter((which.get(word, -1) for word in words.vocabulary_V), np.int64, len(words.vocabulary_V))
    stop_W = stop_V[words.ids_W]
    found = stop_W >= 0
    pairs = np.unique(words.word_documents()[found] * len(STOP_WORDS) + stop_W[found])
    return np.bincount(pairs // len(STOP_WORDS), minlength=len(words.starts) - 1)
