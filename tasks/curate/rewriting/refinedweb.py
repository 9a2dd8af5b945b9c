r"""RefinedWeb's line rules as DCLM reproduced them, and the statistics its document rules look at.

Sources: Penedo et al. 2023 (RefinedWeb), appendix G.2; Li et al. 2024 (DCLM), pipeline dclm_baseline_refinedweb. The
pipeline's order is kept: URLs and blank lines go first, the document rules look at what is left, then the line rules
run, and a document that lost too many words to them goes. A line is what stands between "\n".
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator

from tasks.core.params import Params
from tasks.curate.native import kernel
from tasks.curate.statistics.refinedweb import DOCUMENT_COUNTS, NGRAM_COUNTS, document_counts, num_words
from tasks.curate.statistics.texts import Columns, Texts, texts_of
from tasks.curate.statistics.top_level_domains import TOP_LEVEL_DOMAINS
from tasks.curate.statistics.words import Ints

REMOVALS = ("uppercase", "numeric", "counter", "short", "phrase")
LINE_COUNTS = ("lines_kept", *(f"lines_removed_{reason}" for reason in REMOVALS), "line_cuts", "words_left")
# What is counted, in the order of the kernel's columns.
COUNTED = (*DOCUMENT_COUNTS, *LINE_COUNTS)

_COPIED = ("words", "stop_word_occurrences", *LINE_COUNTS[:-1])
_RATIOS = {
    "mean_word_chars": ("word_chars", "whitespace_words"),
    "nonalphabetic_word_fraction": ("nonalphabetic_words", "whitespace_words"),
    "symbol_word_ratio": ("symbols", "whitespace_words"),
    "bullet_line_fraction": ("bullet_lines", "lines"),
    "ellipsis_line_fraction": ("ellipsis_lines", "lines"),
    "repeated_line_fraction": ("repeated_lines", "lines"),
    "repeated_line_char_fraction": ("repeated_line_chars", "line_chars"),
    "repeated_paragraph_fraction": ("repeated_paragraphs", "paragraphs"),
    "repeated_paragraph_char_fraction": ("repeated_paragraph_chars", "paragraph_chars"),
    **{
        name.replace("chars", "char_ratio" if name.startswith("top") else "char_fraction"): (name, "annex_word_chars")
        for name in NGRAM_COUNTS
    },
}
INTEGERS = tuple(f"refinedweb_{name}" for name in _COPIED)
STATISTICS = (*INTEGERS, *(f"refinedweb_{name}" for name in _RATIOS), "refinedweb_removed_word_fraction")

_COUNTERS = "likes|shares|comments|retweets|reposts|quotes|bookmarks|upvotes|downvotes|downloads|views|followers"
_COUNTER = re.compile(rf"\W*\d[,.\d]*(?ai:[kmb])?\s+(?ai:{_COUNTERS})\W*")
_ASCII_UPPER, _ASCII_DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"0123456789"


class RefinedWebLines(Params):
    r"""Which lines go and what is cut, with DCLM's numbers.

    Before the document rules: `remove_urls` (see `without_urls`), at most `max_consecutive_newlines` "\n" in a row.
    Then, line by line: more than `max_uppercase_fraction` of its characters are upper case (`str.isupper`); more than
    `max_numeric_fraction` are digits (`str.isdigit`); `remove_counters`: nothing but a number and what is counted ("3
    likes", "1.2k views"); fewer than `min_line_words` whitespace words. Last, in lines of at most `phrase_max_words`
    whitespace words, `phrases`, `suffixes` and `prefixes` are cut, with one blank beside them, and a line goes that is
    then blank. Phrases are found whatever the case of their ASCII letters. They are taken literally: in DCLM, which
    makes patterns of them, the dots of "Read more..." stand for any three characters.
    """

    kind: Literal["refinedweb"] = "refinedweb"
    remove_urls: bool = True
    max_consecutive_newlines: Annotated[int, Field(ge=1)] | None = 2
    max_uppercase_fraction: Annotated[float, Field(ge=0, le=1)] | None = 0.5
    max_numeric_fraction: Annotated[float, Field(ge=0, le=1)] | None = 0.999999
    remove_counters: bool = True
    min_line_words: Annotated[int, Field(ge=1)] | None = 2
    phrase_max_words: Annotated[int, Field(ge=1)] | None = 10
    phrases: tuple[str, ...] = ("items in cart",)
    suffixes: tuple[str, ...] = ("Read more...",)
    prefixes: tuple[str, ...] = ("Sign-in",)

    @field_validator("phrases", "suffixes", "prefixes")
    @classmethod
    def _phrases_have_something_in_them(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [phrase for phrase in given if not phrase or phrase != phrase.strip() or "\n" in phrase]:
            raise ValueError(f"{len(wrong)} of {len(given)} are empty, have blanks at an end or a line break: {wrong}")
        return given


def rewrite_refinedweb(texts: Texts, config: RefinedWebLines) -> Texts:
    """Return the texts that the line rules leave, also of documents that a rule then drops; "" where nothing is left."""
    return rewrite_and_count(texts, config)[0]


def refinedweb_statistics(texts: Texts, config: RefinedWebLines) -> Columns:
    r"""Return the statistics of N texts: int64 [N] for `INTEGERS`, float64 [N] for the others; a ratio of nothing is 0.

    Of the text without URLs and surplus newlines, before the line rules:
    - refinedweb_words: fastText's words (blanks of ASCII, and nulls, divide) that start with a letter or digit.
    - refinedweb_stop_word_occurrences: whitespace words that are one of Gopher's eight stop words in any case; every
      occurrence counts.
    - refinedweb_mean_word_chars, refinedweb_nonalphabetic_word_fraction: of whitespace words.
    - refinedweb_symbol_word_ratio: "#", "...", ". . ." and "…" per whitespace word.
    - refinedweb_bullet_line_fraction (● • * -), refinedweb_ellipsis_line_fraction ("...", ". . .", "…"): of lines that
      are not blank, stripped.
    - refinedweb_repeated_*_fraction: lines (paragraphs: between "\n\n") that occur twice or more, all occurrences.
    - refinedweb_top_<n>_gram_char_ratio, refinedweb_repeated_<n>_gram_char_fraction: of the characters of words, see
      `all_repeated_counts` and, for what a word is, tasks/curate/statistics/refinedweb.py.

    Of the line rules: refinedweb_lines_kept and refinedweb_lines_removed_<reason> add up to the lines that are not
    blank; refinedweb_line_cuts: how often a phrase rule cut something from a line and left the rest;
    refinedweb_removed_word_fraction: of refinedweb_words.
    """
    return rewrite_and_count(texts, config)[1]


def rewrite_and_count(texts: Texts, config: RefinedWebLines) -> tuple[Texts, Columns]:
    """Return the rewritten texts and their statistics: see `rewrite_refinedweb` and `refinedweb_statistics`."""
    prepared = _prepared(texts, config)
    if (compiled := kernel("refinedweb")) is not None:
        counts_NC = np.zeros((len(texts), len(COUNTED)), np.int64)
        offsets = np.zeros(len(texts) + 1, np.int64)
        data = compiled.rewrite(prepared.data, prepared.offsets, *_kernel_config(config), counts_NC, offsets)
        return Texts(data, offsets), _columns({name: counts_NC[:, column] for column, name in enumerate(COUNTED)})
    before = prepared.to_list()
    rules = _line_rules(config)
    left = [_kept(text, rules) for text in before]
    rows = np.array([row for _, row in left], np.int64).reshape(-1, len(LINE_COUNTS))
    lines = {name: rows[:, column] for column, name in enumerate(LINE_COUNTS)}
    return texts_of([text for text, _ in left]), _columns(document_counts(before) | lines)


def _prepared(texts: Texts, config: RefinedWebLines) -> Texts:
    if not config.remove_urls and config.max_consecutive_newlines is None:
        return texts
    return texts_of([_prepare(text, config) for text in texts.to_list()])


def _prepare(text: str, config: RefinedWebLines) -> str:
    if config.remove_urls:
        text = without_urls(text)
    if config.max_consecutive_newlines is not None:
        allowed = "\n" * config.max_consecutive_newlines
        if allowed + "\n" in text:
            text = re.sub(allowed + "\n+", allowed, text)
    return text


def _columns(counts: dict[str, Ints]) -> Columns:
    lost = (counts["words"] - counts["words_left"]) / np.maximum(counts["words"], 1)
    ratios = {name: counts[part] / np.maximum(counts[whole], 1) for name, (part, whole) in _RATIOS.items()}
    found = {name: np.ascontiguousarray(counts[name]) for name in _COPIED} | ratios | {"removed_word_fraction": lost}
    return {f"refinedweb_{name}": column for name, column in found.items()}


def _kernel_config(config: RefinedWebLines) -> tuple[object, ...]:
    """Return the config as the kernel takes it; a number that nothing reaches turns a rule off."""
    no_limit = 2**62
    return (
        2.0 if config.max_uppercase_fraction is None else config.max_uppercase_fraction,
        2.0 if config.max_numeric_fraction is None else config.max_numeric_fraction,
        config.remove_counters,
        0 if config.min_line_words is None else config.min_line_words,
        no_limit if config.phrase_max_words is None else config.phrase_max_words,
        *(tuple(phrase.encode() for phrase in part) for part in (config.phrases, config.suffixes, config.prefixes)),
    )


@dataclass(frozen=True)
class _LineRule:
    """What becomes of a line under one rule: itself, what is left of it, or None."""

    reason: str
    apply: Callable[[str], str | None]


def _line_rules(config: RefinedWebLines) -> list[_LineRule]:
    rules = []
    if (upper := config.max_uppercase_fraction) is not None:
        rules.append(_dropping("uppercase", lambda line: not _share(line, _ASCII_UPPER, str.isupper) <= upper))
    if (numeric := config.max_numeric_fraction) is not None:
        rules.append(_dropping("numeric", lambda line: not _share(line, _ASCII_DIGITS, str.isdigit) <= numeric))
    if config.remove_counters:
        rules.append(_dropping("counter", lambda line: _COUNTER.fullmatch(line) is not None))
    if (least := config.min_line_words) is not None:
        rules.append(_dropping("short", lambda line: len(line.split(None, least)) < least))
    for phrases, form in ((config.phrases, r"\s?{}"), (config.suffixes, r"\s?{}$"), (config.prefixes, r"^{}\s?")):
        if phrases:
            pattern = re.compile(form.format(f"(?ai:{'|'.join(map(re.escape, phrases))})"))
            rules.append(_LineRule("phrase", _cutting(pattern, config.phrase_max_words)))
    return rules


def _dropping(reason: str, fails: Callable[[str], bool]) -> _LineRule:
    return _LineRule(reason, lambda line: None if fails(line) else line)


def _cutting(pattern: re.Pattern[str], max_words: int | None) -> Callable[[str], str | None]:
    def cut(line: str) -> str | None:
        if max_words is not None and len(line.split(None, max_words)) > max_words:
            return line
        left = pattern.sub("", line)
        return None if not left or left.isspace() else left

    return cut


def _share(line: str, ascii_members: bytes, is_member: Callable[[str], bool]) -> float:
    if line.isascii():
        return (len(line) - len(line.encode().translate(None, ascii_members))) / len(line)
    return sum(map(is_member, line)) / len(line)


def _kept(text: str, rules: Sequence[_LineRule]) -> tuple[str, tuple[int, ...]]:
    """Return the text that is left and the numbers of `LINE_COUNTS`."""
    lines = text.split("\n")
    removed = dict.fromkeys(REMOVALS, 0)
    cuts = 0
    for rule in rules:
        left = []
        for line in lines:
            new = rule.apply(line) if line else line
            if new is not None:
                left.append(new)
                cuts += new != line
            elif not line.isspace():
                removed[rule.reason] += 1
        lines = _stripped(left)
    whole = "\n".join(lines)
    return whole, (sum(line.strip() != "" for line in lines), *removed.values(), cuts, num_words(whole))


def _stripped(lines: list[str]) -> list[str]:
    """Return the lines of the stripped text: DCLM strips it after every rule, and the next one sees it that way."""
    first, last = 0, len(lines)
    while first < last and not lines[first].strip():
        first += 1
    while first < last and not lines[last - 1].strip():
        last -= 1
    lines = lines[first:last] or [""]
    lines[0] = lines[0].lstrip()
    lines[-1] = lines[-1].rstrip()
    return lines


_SCHEME = r"(?:(?:https?|ftp)://)?"
_TAIL = r"[-a-zA-Z0-9()@:%_+.~#?&/=]*"
_HOST_END = re.compile(r"\.(\w+)")
_ADDRESS_PART = re.compile(r"[0-9]\.[0-9]{1,3}\.[0-9]")
_ADDRESS = re.compile(rf"\s{{0,10}}\b{_SCHEME}(?:[0-2]?[0-9]{{1,2}}\.){{3}}[0-2]?[0-9]{{1,2}}{_TAIL}")
_BLANKS = re.compile(r"(\s+)")
# What may stand before a URL and goes with it.
_MAX_BLANKS = 10


def without_urls(text: str) -> str:
    """Return the text without URLs and IPv4 addresses, nor the up to 10 blanks before each of them.

    A URL: an optional http, https or ftp scheme, a host that ends in a top-level domain in lower case, and what follows
    as far as it can be part of a URL. Also `notes.md` is one, for .md is a domain.

    >>> without_urls("See https://example.org/a?b=c, or 10.0.0.1:80.")
    'See, or'
    """
    found = TOP_LEVEL_DOMAINS.intersection(_HOST_END.findall(text))
    if found:
        text = _cut(text, _HOST_END, _url_pattern(tuple(sorted(found))))
    return _cut(text, _ADDRESS_PART, _ADDRESS) if _ADDRESS_PART.search(text) else text


@lru_cache(maxsize=1024)
def _url_pattern(domains: tuple[str, ...]) -> re.Pattern[str]:
    # Only the domains that the text has: an alternation of all 1,400 is a hundred times slower.
    return re.compile(rf"\s{{0,10}}{_SCHEME}[-a-zA-Z0-9@:%._+~#=]{{1,256}}\.(?:{'|'.join(domains)})\b{_TAIL}")


def _cut(text: str, sign: re.Pattern[str], pattern: re.Pattern[str]) -> str:
    # A match has no blank but those at its start, so it lies in one piece: most pieces need no look at all.
    pieces = _BLANKS.split(text)
    for index in range(0, len(pieces), 2):
        if "." in pieces[index] and sign.search(pieces[index]):
            blanks = pieces[index - 1] if index else ""
            near = min(len(blanks), _MAX_BLANKS)
            cut = pattern.sub("", blanks[len(blanks) - near :] + pieces[index])
            if index:
                pieces[index - 1] = blanks[: len(blanks) - near]
            pieces[index] = cut
    return "".join(pieces)
