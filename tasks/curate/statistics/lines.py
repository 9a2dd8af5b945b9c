"""Statistics of lines and paragraphs.

A line is what `str.splitlines` gives, stripped, if anything is left; a paragraph is what stands between blank lines.
A duplicate is one that stood in the document before: of three equal lines, two are duplicates.
"""

import re
from collections.abc import Sequence

_BLANK = re.compile(r"\n\s*\n")
# The paper does not list them: the usual typographic ones, and those of plain text and Markdown.
BULLETS = frozenset("•‣◦▪●–-*")
ELLIPSES = ("...", "…")

COLUMNS = (
    "lines",
    "bullet_line_fraction",
    "ellipsis_line_fraction",
    "duplicate_line_fraction",
    "duplicate_line_char_fraction",
    "duplicate_paragraph_fraction",
    "duplicate_paragraph_char_fraction",
)


def line_statistics(text: str) -> tuple[float, ...]:
    r"""Return the values of `COLUMNS` for one document; every fraction of nothing is 0.

    `bullet_line_fraction` and `ellipsis_line_fraction`: lines that start with a bullet, or end with an ellipsis, of all
    lines. `duplicate_*_fraction`: duplicates of all lines (paragraphs). `duplicate_*_char_fraction`: characters of
    duplicates of the characters of all lines (paragraphs), stripped.

    >>> line_statistics("- a\n- a\nb...")[:4]
    (3, 0.6666666666666666, 0.3333333333333333, 0.3333333333333333)
    """
    lines = [line for raw in text.splitlines() if (line := raw.strip())]
    paragraphs = [paragraph for raw in _BLANK.split(text) if (paragraph := raw.strip())]
    number = max(len(lines), 1)
    bullets = sum([line[0] in BULLETS for line in lines])
    ellipses = sum([line.endswith(ELLIPSES) for line in lines])
    return (len(lines), bullets / number, ellipses / number, *_duplicates(lines), *_duplicates(paragraphs))


def _duplicates(parts: Sequence[str]) -> tuple[float, float]:
    distinct = set(parts)
    if len(distinct) == len(parts):
        return 0.0, 0.0
    chars = sum(map(len, parts))
    return (len(parts) - len(distinct)) / len(parts), (chars - sum(map(len, distinct))) / chars
