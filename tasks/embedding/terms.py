"""Terms of a text: its runs of letters; in scripts without blanks, the words that ICU finds."""

import re
import unicodedata
from functools import cache
from itertools import groupby

from tasks.core.scripts import UNSPACED, char_class, words

_LONGEST = 24
_LETTER = r"[^\W\d_]"
_UNSPACED = re.compile(f"[{char_class(UNSPACED)}]")


def terms(text: str, shortest: int, signs: str = "") -> list[str]:
    r"""Return the terms of a text in order: letters, `shortest` of them or more, with their combining marks.

    A word of a script without blanks may be one letter shorter: two Chinese characters say what a longer word says.
    `signs` is the inside of a character class: each such sign is a term, too.

    >>> terms("Words in_snake {case} 天文台は हिन्दी", 3, "{}")
    ['Words', 'snake', '{', 'case', '}', '天文台', 'हिन्दी']
    """
    letters, with_marks = _patterns(shortest, signs)
    if text.isascii():
        return letters.findall(text)
    if _UNSPACED.search(text):
        return with_marks.findall(" ".join(words(text)))
    return with_marks.findall(text) if _marks().search(text) else letters.findall(text)


@cache
def _patterns(shortest: int, signs: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    rest = rf"(?:{_LETTER}|{_marks().pattern})"
    also = f"|[{signs}]" if signs else ""
    return (
        re.compile(rf"{_LETTER}{{{shortest},{_LONGEST}}}{also}"),
        re.compile(
            rf"(?={_LETTER}){_UNSPACED.pattern}{rest}{{{shortest - 2},{_LONGEST - 1}}}"
            rf"|{_LETTER}{rest}{{{shortest - 1},{_LONGEST - 1}}}{also}"
        ),
    )


@cache
def _marks() -> re.Pattern[str]:
    """Return the pattern of a combining mark: vowels of many scripts are such. Of the first plane: a table, not a search."""
    found = [point for point in range(1 << 16) if unicodedata.category(chr(point)) in {"Mn", "Mc"}]
    runs = [[point for _, point in run] for _, run in groupby(enumerate(found), lambda item: item[1] - item[0])]
    return re.compile(f"[{char_class(tuple((run[0], run[-1]) for run in runs))}]")
