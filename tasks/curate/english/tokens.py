"""The English words and sentences of a text, as datatrove counts them with spaCy's blank "en" and its sentencizer.

Not reproduced: a token `IS_ALPHA` makes spaCy fail from the second time on that a process meets it, and datatrove then
cuts that string out of the text; here it is a word like others.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache

from tasks.curate.english.chunks import english_rules, split_chunk, split_english
from tasks.curate.english.facts import load_facts

# str.split's whitespace; `\s` of a pattern is the same.
_RUNS = re.compile(r"\s+|\S+")
# Longer chunks hardly come twice.
_LONGEST_REMEMBERED = 64


def words(text: str) -> list[str]:
    """Return the tokens of a text in order, without those of whitespace."""
    return [token for token in _tokens(text) if not token.isspace()]


def count_sentences(line: str) -> int:
    """Return how many sentences a text has; one of whitespace only does not count.

    A sentence ends behind `.`, `?` or the like and all punctuation that follows directly; whitespace other than one space
    is a token, and opens the next one.
    """
    ends = _sentence_ends()
    count, has_word, ended = 0, False, False
    for token in _tokens(line):
        if token in ends:
            ended = True
        elif ended and not _is_punctuation(token):
            count, has_word, ended = count + has_word, False, False
        has_word = has_word or not token.isspace()
    return count + has_word


@cache
def _sentence_ends() -> frozenset[str]:
    bounds = load_facts().ranges["sentence_end"]
    return frozenset(chr(c) for i in range(0, len(bounds), 2) for c in range(bounds[i], bounds[i + 1] + 1))


def _is_punctuation(token: str) -> bool:
    return all(unicodedata.category(char).startswith("P") for char in token)


def _tokens(text: str) -> list[str]:
    """Return the tokens of a text with those of whitespace: every run of it that is not a single space."""
    tokens: list[str] = []
    for run in _RUNS.findall(text):
        if not run.isspace():
            tokens += _chunk_tokens(run) if len(run) <= _LONGEST_REMEMBERED else split_english(run)
        elif run != " ":
            tokens.append(run)
    return _restore_exceptions(tokens, text)


@lru_cache(maxsize=1 << 16)
def _chunk_tokens(chunk: str) -> tuple[str, ...]:
    return tuple(split_english(chunk))


def _restore_exceptions(tokens: list[str], text: str) -> list[str]:
    """Return the tokens with exceptions put together again that affixes and infixes had cut: `b/a.` is b, /, a.

    Exceptions are found as sequences of tokens, also across the space between two chunks. Such a find restores nothing,
    but it hides finds that are shorter, or as long and later, where it covers their first or last token.
    """
    found = sorted(_find_exceptions(tokens), key=lambda span: (span[0] - span[1], span[0]))
    if not found:
        return tokens
    hidden: set[int] = set()
    restored: dict[int, tuple[int, tuple[str, ...]]] = {}
    begins = _begins(tokens, text)
    for start, stop, exception in found:
        whole = begins[stop - 1] + len(tokens[stop - 1]) - begins[start] == sum(map(len, tokens[start:stop]))
        if whole and start not in hidden and stop - 1 not in hidden:
            restored[start] = (stop, exception)
        hidden.update(range(start, stop))
    return list(_replaced(tokens, restored))


def _begins(tokens: list[str], text: str) -> list[int]:
    """Return where each token begins in the text."""
    begins, at = [], 0
    for token in tokens:
        at = text.index(token, at)
        begins.append(at)
        at += len(token)
    return begins


def _replaced(tokens: list[str], restored: dict[int, tuple[int, tuple[str, ...]]]) -> Iterator[str]:
    at = 0
    while at < len(tokens):
        stop, instead = restored.get(at, (at + 1, (tokens[at],)))
        yield from instead
        at = stop


def _find_exceptions(tokens: list[str]) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Yield (start, stop, tokens of the exception) of every sequence of tokens that spells one."""
    by_first = _cut_exceptions()
    for start, token in enumerate(tokens):
        for cut, exception in by_first.get(token, ()):
            if tuple(tokens[start : start + len(cut)]) == cut:
                yield start, start + len(cut), exception


@cache
def _cut_exceptions() -> dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]]:
    """Return the exceptions that the other rules would cut, by the first token they would give."""
    by_first: dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]] = {}
    for exception, tokens in english_rules().exceptions.items():
        cut = tuple(split_chunk(exception, {}))
        if len(cut) > 1:
            by_first.setdefault(cut[0], []).append((cut, tokens))
    return by_first
