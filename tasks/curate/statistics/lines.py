"""Counts of lines and paragraphs.

A line is what `str.splitlines` gives, stripped, if anything is left; a paragraph is what stands between blank lines.
A duplicate is one that stood in the document before: of three equal lines, two are duplicates.
"""

import re
from collections.abc import Iterable, Sequence

_BLANK = re.compile(r"\n\s*\n")
# The paper does not list them: the usual typographic ones, and those of plain text and Markdown.
BULLETS = frozenset("•‣◦▪●–-*")
ELLIPSES = ("...", "…")

LINE_COUNTS = (
    "lines",
    "line_chars",
    "bullet_lines",
    "ellipsis_lines",
    "duplicate_lines",
    "duplicate_line_chars",
    "paragraphs",
    "paragraph_chars",
    "duplicate_paragraphs",
    "duplicate_paragraph_chars",
)


def line_counts(text: str) -> tuple[int, ...]:
    r"""Return the values of `LINE_COUNTS` for one document.

    `bullet_lines` and `ellipsis_lines`: lines that start with a bullet, or end with an ellipsis. `*_chars`: characters
    of the lines (paragraphs), stripped.

    >>> line_counts("- a\n- a\nb...")[:6]
    (3, 10, 2, 1, 1, 3)
    """
    lines = [line for raw in text.splitlines() if (line := raw.strip())]
    paragraphs = [paragraph for raw in _BLANK.split(text) if (paragraph := raw.strip())]
    bullets = sum([line[0] in BULLETS for line in lines])
    ellipses = sum([line.endswith(ELLIPSES) for line in lines])
    all_lines, all_paragraphs = (len(lines), _chars(lines)), (len(paragraphs), _chars(paragraphs))
    return (*all_lines, bullets, ellipses, *_duplicates(lines), *all_paragraphs, *_duplicates(paragraphs))


def _duplicates(parts: Sequence[str]) -> tuple[int, int]:
    distinct = set(parts)
    return len(parts) - len(distinct), _chars(parts) - _chars(distinct)


def _chars(parts: Iterable[str]) -> int:
    return sum(map(len, parts))
