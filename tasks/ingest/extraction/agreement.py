"""Readings of a page made one: what the generous reading has and another confirms, and what both extractors would miss.

trafilatura's strict reading alone loses whole articles where its rules misfire, its generous one alone lets blocks of
links through, and where both took the wrong part of a page for the article, resiliparse, which knows other rules, has it.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

_WORD = re.compile(r"\w+")
# Word 3-grams tell a line from its neighbours; shorter lines are looked up whole.
_GRAM = 3
# Guesses in the middle of a plateau: 0.3-0.6 and 0.3-0.5 give the same F1 to the third digit.
_MIN_CONFIRMED = 0.5
_MIN_KEPT = 0.3
# Of a line of a menu nearly every word stands in a link.
_MAX_LINKED = 0.8
# A line of so many words is prose, not a title, a name or a button; a paragraph, not a teaser.
_PROSE_WORDS, _PARAGRAPH_WORDS = 15, 30
# Between lines of the main text, shorter ones are captions, buttons and dates.
_MIN_WORDS = 3
# The other extractor has failed when it has less of the words of the generous reading.
_MIN_FOUND = 0.3


@dataclass(frozen=True)
class _Completion:
    """When the other extractor's lines are taken: from how many words a line counts, and more than which share is missed.

    `min_words` is the least that a line between those has.
    """

    prose_words: int
    max_missed: float
    min_words: int


# Prose that only the other extractor has, per word of what the two readings agree on: above 1, they agreed on a side
# show. Measured: 0.7 and 1.0 score alike, 0.5 admits appended articles, at 1.5 half of the pages gained are lost again.
_ARTICLE = _Completion(prose_words=_PROSE_WORDS, max_missed=1.0, min_words=5)
# References of programs are made of short entries, and have no teasers among them.
_TECHNICAL = _Completion(prose_words=3, max_missed=0.1, min_words=1)

Gram = tuple[str, str, str]


class LinesOfReading:
    """A text that lines of other readings are looked up in."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = text.split("\n")

    def has(self, line: str, share: float = _MIN_CONFIRMED) -> bool:
        """Return whether at least a share of the word 3-grams of a line is in the text."""
        words = _WORD.findall(line)
        if len(words) < _GRAM:
            return tuple(words) in self._short
        known = self._grams
        return sum(gram in known for gram in _grams(words)) >= share * (len(words) - _GRAM + 1)

    @cached_property
    def num_words(self) -> int:
        """How many words the text has."""
        return len(self._words)

    @cached_property
    def _words(self) -> list[str]:
        return _WORD.findall(self.text)

    @cached_property
    def _grams(self) -> set[Gram]:
        return set(_grams(self._words))

    @cached_property
    def _short(self) -> set[tuple[str, ...]]:
        return {*zip(self._words), *zip(self._words, self._words[1:], strict=False)}


def agreed(generous: str, strict: str, other: str, links: Callable[[], str], *, technical: bool = False) -> str:
    """Return the main text by three readings: two of one extractor, `generous` and `strict`, and one of another.

    A line of the generous reading stays when the strict one has it. So does one that the other extractor has too, where it
    stands between such lines or is a paragraph, and is no line of links (`links` gives their texts, one a line). Where the
    other extractor has much that is missing then, its own lines are taken: on a `technical` page sooner.
    """
    linked = _Links(links)
    text = _confirmed(LinesOfReading(generous), LinesOfReading(strict), LinesOfReading(other), linked)
    return _completed(LinesOfReading(text), LinesOfReading(other), linked, _TECHNICAL if technical else _ARTICLE)


class _Links:
    """Whether a line is one of links; their texts are gathered when first asked for."""

    def __init__(self, links: Callable[[], str]) -> None:
        self._links = links

    def has(self, line: str) -> bool:
        return self._reading.has(line, _MAX_LINKED)

    @cached_property
    def _reading(self) -> LinesOfReading:
        return LinesOfReading(self._links())


def _confirmed(generous: LinesOfReading, strict: LinesOfReading, other: LinesOfReading, links: _Links) -> str:
    """Return the lines of the generous reading that are confirmed; all of it where less than 30 % would be left."""
    lines = generous.lines
    kept = [strict.has(line) for line in lines]
    failed = other.num_words < _MIN_FOUND * generous.num_words
    seconded = {}
    for i, line in enumerate(lines):
        if (
            not kept[i]
            and (words := _num_words(line)) >= _MIN_WORDS
            and (failed or other.has(line))
            and not links.has(line)
        ):
            seconded[i] = words
    least = _PROSE_WORDS if failed else _PARAGRAPH_WORDS
    inside = {i for i, words in seconded.items() if words >= least}
    inside |= seconded.keys() & _between(lines, [keep or i in inside for i, keep in enumerate(kept)])
    seen = {line for line, keep in zip(lines, kept, strict=True) if keep}
    for i in sorted(inside):
        # Captions of galleries come once for each size of a picture.
        kept[i] = lines[i] not in seen
        seen.add(lines[i])
    text = _joined(lines, kept)
    return text if len(text) >= _MIN_KEPT * len(generous.text) else generous.text


def _completed(text: LinesOfReading, other: LinesOfReading, links: _Links, completion: _Completion) -> str:
    """Return the text, or the lines of the other reading where that has much which the text has not."""
    lines = other.lines
    words = [_num_words(line) for line in lines]
    prose = [i for i, num_words in enumerate(words) if num_words >= completion.prose_words]
    limit = completion.max_missed * text.num_words

    def more(found: Sequence[int]) -> bool:
        return sum(words[i] for i in found) > limit

    # Each of these ends most of the pages that are left, and costs more than the one before.
    missed = [i for i in prose if not text.has(lines[i])] if more(prose) else []
    missed = [i for i in missed if not links.has(lines[i])] if more(missed) else []
    if not more(missed):
        return text.text
    kept = [text.has(line) for line in lines]
    for i in missed:
        kept[i] = True
    for i in _between(lines, kept):
        kept[i] = words[i] >= completion.min_words and not links.has(lines[i])
    return _joined(lines, kept)


def _between(lines: Sequence[str], kept: Sequence[bool]) -> set[int]:
    """Return which lines are not kept and stand between lines that are."""
    known = [i for i, keep in enumerate(kept) if keep and _num_words(lines[i])]
    return {i for i in range(known[0], known[-1]) if not kept[i]} if known else set()


def _num_words(line: str) -> int:
    return len(_WORD.findall(line))


def _joined(lines: Sequence[str], kept: Sequence[bool]) -> str:
    return "\n".join(line for line, keep in zip(lines, kept, strict=True) if keep)


def _grams(words: Sequence[str]) -> Iterator[Gram]:
    return zip(words, words[1:], words[2:], strict=False)
