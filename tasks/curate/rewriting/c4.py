"""C4's line rules (Raffel et al. 2020, section 2.2) as datatrove 0.10.1 applies them, and FineWeb's on what they leave.

A compiled kernel does it in one pass; where there is none, this module does the same, line by line.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import pyarrow.compute as pc
from pydantic import Field

from tasks.core.params import Params
from tasks.curate.english.tokens import count_sentences, words
from tasks.curate.native import kernel
from tasks.curate.statistics.english import Counts, duplicates, ratio
from tasks.curate.statistics.texts import Columns, Texts, texts_of

CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
LINE_ENDS = (".", "?", "!", '"', "'")
POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
# FineWeb's definition of a short line (FineWebQualityFilter.short_line_length), in characters.
SHORT_LINE_CHARS = 30

# datatrove's TERMINAL_PUNCTUATION: what ends a sentence in any script, as ranges of code points (hexadecimal).
_TERMINAL_RANGES = """
21 2e 3f 589 61d-61f 6d4 700-702 7f9 837 839 83d-83e 964-965 104a-104b 1362 1367-1368 166e 1735-1736 17d4-17d6 17d9-17da
1803 1809 1944-1945 1aa8-1aab 1b5a-1b5b 1b5e-1b5f 1b7d-1b7e 1c3b-1c3c 1c7e-1c7f 203c-203d 2047-2049 2e2e 2e3c 2e53-2e54
3002 a4ff a60e-a60f a6f3 a6f7 a876-a877 a8ce-a8cf a92f a9c8-a9c9 aa5d-aa5f aaf0-aaf1 abeb fe52 fe56-fe57 ff01 ff0e ff1f
ff61 10a56-10a57 10f55-10f59 10f86-10f89 11047-11048 110be-110c1 11141-11143 111c5-111c6 111cd 111de-111df 11238-11239
1123b-1123c 112a9 1144b-1144c 115c2-115c3 115c9-115d7 11641-11642 1173c-1173e 11944 11946 11a42-11a43 11a9b-11a9c
11c41-11c42 11ef7-11ef8 11f43-11f44 16a6e-16a6f 16af5 16b37-16b38 16b44 16e98 1bc9f 1da88
"""

REMOVALS = ("too_long_word", "no_terminal_punctuation", "too_few_words", "javascript", "policy")
# What is counted in a document, in the order of the kernel's columns: behind the removals, of the rewritten text.
COUNTED = (
    "lorem_ipsum",
    "curly_bracket",
    "sentences",
    "lines_kept",
    *(f"lines_removed_{reason}" for reason in REMOVALS),
    "characters",
    "lines",
    "terminal_punctuation_lines",
    "short_lines",
    "duplicate_line_chars",
    "line_chars",
    "newlines",
    "tokens",
)
_COPIED = {f"c4_{name}": name for name in COUNTED[:10]} | {"fineweb_lines": "lines"}
_RATIOS = {
    "fineweb_terminal_punctuation_line_fraction": ("terminal_punctuation_lines", "lines"),
    "fineweb_short_line_fraction": ("short_lines", "lines"),
    "fineweb_duplicate_line_char_fraction": ("duplicate_line_chars", "line_chars"),
    "fineweb_newline_word_ratio": ("newlines", "tokens"),
}
INTEGERS = tuple(_COPIED)
STATISTICS = (*INTEGERS, *_RATIOS, "c4_kept_char_fraction")


def characters_of(ranges: str) -> frozenset[str]:
    """Return the characters of blank-separated ranges of hexadecimal code points.

    >>> sorted(characters_of("21 61-63"))
    ['!', 'a', 'b', 'c']
    """
    bounds = (part.partition("-") for part in ranges.split())
    return frozenset(chr(c) for low, _, high in bounds for c in range(int(low, 16), int(high or low, 16) + 1))


TERMINAL_PUNCTUATION = characters_of(_TERMINAL_RANGES)


class C4Lines(Params):
    """Which lines go, with datatrove's defaults. FineWeb itself was made with `filter_no_terminal_punctuation` off.

    A line is what `str.splitlines` gives, stripped. `max_word_chars`: whitespace words of more characters remove it.
    `remove_citations`: "[3]", "[edit]", "[citation needed]" are cut out of it before the rules that follow look.
    `filter_no_terminal_punctuation`: it must end in one of . ? ! " ' and not in "...". `min_words_per_line`: whitespace
    words, citations included. `filter_javascript`, `filter_policy`: it must not have these words, in any case.
    `filter_lorem_ipsum`, `filter_curly_bracket`: one such line condemns the document, which a rule decides.
    """

    kind: Literal["c4"] = "c4"
    max_word_chars: Annotated[int, Field(ge=1)] | None = 1000
    remove_citations: bool = True
    filter_no_terminal_punctuation: bool = True
    min_words_per_line: Annotated[int, Field(ge=1)] | None = 3
    filter_lorem_ipsum: bool = True
    filter_javascript: bool = True
    filter_curly_bracket: bool = True
    filter_policy: bool = True


def rewrite_c4(texts: Texts, config: C4Lines) -> Texts:
    r"""Return the texts that C4QualityFilter leaves: the kept lines, without citations, joined by "\n", stripped.

    Of every document, also of those that a rule then drops.
    """
    return rewrite_and_count(texts, config)[0]


def c4_statistics(texts: Texts, config: C4Lines) -> Columns:
    r"""Return C4's and FineWeb's statistics of N texts: int64 [N] for `INTEGERS`, float64 [N] for the others.

    From C4QualityFilter:
    - c4_lorem_ipsum, c4_curly_bracket: 1 where a line that passed the rules before has "lorem ipsum" (any case), or
      "{", and datatrove drops the document there; only the first such line counts, so at most one of them is 1. The
      lines behind, and the line itself, are then treated as if the rule were off.
    - c4_sentences: sentences of the kept lines, as spaCy's sentencizer divides each line by itself.
    - c4_lines_kept; c4_lines_removed_<reason>: lines (`str.splitlines`) by the first rule that removed them.
    - c4_characters: characters of the rewritten text; c4_kept_char_fraction (own): of those there were.

    From FineWebQualityFilter, of the rewritten text:
    - fineweb_lines: lines between "\n" that are not blank; 0 is its reason "empty".
    - fineweb_terminal_punctuation_line_fraction: of these, those that end in a mark of `TERMINAL_PUNCTUATION`.
    - fineweb_short_line_fraction: of these, those of at most 30 characters.
    - fineweb_duplicate_line_char_fraction: characters of those that stood before, of all characters but "\n".
    - fineweb_newline_word_ratio: "\n" per token (see `english_statistics`).
    A ratio of nothing is 0; datatrove takes none, because it drops a text without lines first.
    """
    return rewrite_and_count(texts, config)[1]


def rewrite_and_count(texts: Texts, config: C4Lines) -> tuple[Texts, Columns]:
    """Return the rewritten texts and their statistics from one pass: see `rewrite_c4` and `c4_statistics`."""
    counts = np.zeros((len(texts), len(COUNTED)), np.int64)
    if (native := kernel("datatrove")) is not None:
        offsets = np.zeros(len(texts) + 1, np.int64)
        data = native.c4_rewrite(
            texts.data, texts.offsets, "".join(TERMINAL_PUNCTUATION), _kernel_config(config), counts, offsets
        )
        return Texts(data, offsets), _columns(counts, texts)
    rewritten = []
    for row, text in enumerate(texts.to_list()):
        lines, found = _kept_lines(text, config)
        rewritten.append("\n".join(lines).strip())
        found["sentences"] = sum(map(_num_sentences, lines))
        found.update(_fineweb_counts(rewritten[-1]))
        counts[row] = [found[name] for name in COUNTED]
    return texts_of(rewritten), _columns(counts, texts)


def _kernel_config(config: C4Lines) -> tuple[int, ...]:
    numbers = (config.max_word_chars or -1, config.min_words_per_line or 0, config.remove_citations)
    dropping = (config.filter_lorem_ipsum, config.filter_curly_bracket)
    removing = (config.filter_no_terminal_punctuation, config.filter_javascript, config.filter_policy)
    return tuple(map(int, (*numbers, *dropping, *removing)))


def _columns(counts: Counts, texts: Texts) -> Columns:
    named = {name: counts[:, i] for i, name in enumerate(COUNTED)}
    columns: Columns = {name: named[count].copy() for name, count in _COPIED.items()}
    columns |= {name: ratio(named[top], named[bottom]) for name, (top, bottom) in _RATIOS.items()}
    chars = pc.utf8_length(texts.to_arrow()).to_numpy()
    return columns | {"c4_kept_char_fraction": ratio(named["characters"], chars)}


def _kept_lines(text: str, config: C4Lines) -> tuple[list[str], Counter[str]]:
    kept, found = [], Counter[str]()
    for raw in text.splitlines():
        line = raw.strip()
        split = line.split()
        if config.remove_citations:
            line = CITATION.sub("", line)
        reason = _why_removed(line, split, config, found)
        if reason is None:
            kept.append(line)
        found["lines_kept" if reason is None else f"lines_removed_{reason}"] += 1
    return kept, found


def _why_removed(line: str, split: Sequence[str], config: C4Lines, found: Counter[str]) -> str | None:
    """Return the first rule that removes a line; note in `found` what drops the document, if nothing did before."""
    if config.max_word_chars is not None and any(len(word) > config.max_word_chars for word in split):
        return "too_long_word"
    if config.filter_no_terminal_punctuation and (not line.endswith(LINE_ENDS) or line.endswith("...")):
        return "no_terminal_punctuation"
    if config.min_words_per_line is not None and len(split) < config.min_words_per_line:
        return "too_few_words"
    lower = line.lower()
    if config.filter_lorem_ipsum and "lorem ipsum" in lower:
        _condemn(found, "lorem_ipsum")
    if config.filter_javascript and "javascript" in lower:
        return "javascript"
    if config.filter_curly_bracket and "{" in line:
        _condemn(found, "curly_bracket")
    if config.filter_policy and any(policy in lower for policy in POLICIES):
        return "policy"
    return None


def _condemn(found: Counter[str], rule: str) -> None:
    if not (found["lorem_ipsum"] or found["curly_bracket"]):
        found[rule] = 1


def _num_sentences(line: str) -> int:
    # datatrove counts spans, not sentences with text: a blank line is one, and so are blanks behind the last full stop.
    # Text put behind those blanks starts a sentence there in the same cases, and count_sentences sees it.
    if not line.strip():
        return 1
    return count_sentences(line + "x" if line[-1].isspace() and not _ends_in_one_blank(line) else line)


def _ends_in_one_blank(line: str) -> bool:
    return line.endswith(" ") and not line[-2:-1].isspace()


def _fineweb_counts(text: str) -> dict[str, int]:
    lines = [line for line in text.split("\n") if line.strip()]
    newlines = text.count("\n")
    return {
        "characters": len(text),
        "lines": len(lines),
        "terminal_punctuation_lines": sum(line[-1] in TERMINAL_PUNCTUATION for line in lines),
        "short_lines": sum(len(line) <= SHORT_LINE_CHARS for line in lines),
        "duplicate_line_chars": duplicates(lines)[1],
        "line_chars": len(text) - newlines,
        "newlines": newlines,
        "tokens": len(words(text)),
    }
