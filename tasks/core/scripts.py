"""Words in scripts that put no blanks between them: Chinese characters, kana, Thai, Lao, Khmer, Myanmar, Tibetan, ...

`words` finds them as ICU does (Unicode Standard Annex #29, with ICU's dictionaries): for what counts or names words. Its
answers may change with ICU's version, which belongs to the identity of what is made of them. `letters_apart` takes every
letter of these scripts for a word: coarser, the same for ever, and as fast as splitting at blanks; for what compares or
weighs texts. A text without such letters has the words that stand between its blanks, either way. Korean has blanks.
"""

import re
import unicodedata
from collections.abc import Iterator

# Blocks of Unicode 16 whose letters are written without blanks between words; the kernels have the same (text.h).
UNSPACED = (
    (0x0E00, 0x109F),  # Thai, Lao, Tibetan, Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19DF),  # Tai Le, New Tai Lue
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x1B00, 0x1B7F),  # Balinese
    (0x3005, 0x3007),  # signs that repeat or stand for a Chinese character
    (0x3040, 0x312F),  # Hiragana, Katakana, Bopomofo
    (0x31A0, 0x31BF),  # Bopomofo, extended
    (0x31F0, 0x31FF),  # Katakana, extended
    (0x3400, 0x4DBF),  # Chinese characters
    (0x4E00, 0xA4CF),  # Chinese characters, Yi
    (0xA980, 0xA9FF),  # Javanese, Myanmar
    (0xAA60, 0xAADF),  # Myanmar, Tai Viet
    (0xF900, 0xFAFF),  # Chinese characters, compatible
    (0xFF66, 0xFF9F),  # Katakana, half as wide
    (0x11700, 0x1174F),  # Ahom
    (0x1B000, 0x1B16F),  # kana, historic and small
    (0x20000, 0x3FFFF),  # Chinese characters
)
# Of these ICU has no dictionary: every letter, with its marks, counts as a word.
_NO_DICTIONARY = (
    *((0x1950, 0x19DF), (0x1A20, 0x1AAF), (0x1B00, 0x1B7F), (0xA000, 0xA4CF), (0xA980, 0xA9DF), (0xAA80, 0xAADF)),
    (0x11700, 0x1174F),
)


def char_class(ranges: tuple[tuple[int, int], ...]) -> str:
    """Return the inside of a character class of the `re` module."""
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


_RUN = re.compile(f"[{char_class(UNSPACED)}]+")
_LETTER = re.compile(rf"(?=[^\W\d_])[{char_class(UNSPACED)}]")
_UNKNOWN = re.compile(f"[{char_class(_NO_DICTIONARY)}]")
_MARKS = re.compile(r"[\W_]*")


def words(text: str) -> list[str]:
    """Return the words of a text; punctuation stays with the word before it, a symbol is a word of its own.

    >>> words("丘の上の天文台は、Python-3.11で。"), words("ดาวบนสันเขา ok.")
    (['丘', 'の', '上の', '天文台', 'は、', 'Python-3.11', 'で。'], ['ดาว', 'บน', 'สันเขา', 'ok.'])
    """
    found: list[str] = []
    for word in text.split():
        found += _cut(word) if _LETTER.search(word) else [word]
    return found


def spaced(word: str) -> str:
    """Return what stands between two blanks with a blank between its words: what the kernels ask."""
    return " ".join(words(word))


def letters_apart(text: str) -> list[str]:
    """Return the words of a text, each letter of these scripts one, with the marks and punctuation that follow it.

    >>> letters_apart("天文台、v2です ok.")
    ['天', '文', '台、', 'v2', 'で', 'す', 'ok.']
    """
    found: list[str] = []
    for word in text.split():
        found += _letters(word) if _LETTER.search(word) else [word]
    return found


def mostly_unspaced(text: str) -> bool:
    """Return whether more than half of what is alphanumeric in a text are letters of these scripts."""
    letters = len(_LETTER.findall(text))
    return letters > 0 and 2 * letters > sum(map(str.isalnum, text))


def icu_version() -> str:
    """Return the version that decides what `words` finds."""
    from icu4py._version import icu_version as version

    return str(version)


def _letters(word: str) -> Iterator[str]:
    start, apart = 0, False
    for at, character in enumerate(word):
        letter = _LETTER.match(character) is not None
        if at > start and (letter or (apart and character.isalnum())):
            yield word[start:at]
            start, apart = at, False
        apart = apart or letter
    yield word[start:]


def _cut(word: str) -> list[str]:
    found: list[str] = []
    before = ""
    for part in _parts(word):
        if any(map(str.isalnum, part)) or any(unicodedata.category(c)[0] == "S" for c in part):
            found.append(before + part)
            before = ""
        elif found:
            found[-1] += part
        else:
            before += part
    return found


def _parts(word: str) -> Iterator[str]:
    """Yield the segments of the runs of these scripts, and what stands between: its leading marks, and the rest."""
    end = 0
    for run in _RUN.finditer(word):
        yield from _marks_first(word[end : run.start()])
        yield from _segments(run.group())
        end = run.end()
    yield from _marks_first(word[end:])


def _marks_first(part: str) -> Iterator[str]:
    found = _MARKS.match(part)
    length = found.end() if found else 0
    yield from (piece for piece in (part[:length], part[length:]) if piece)


def _segments(run: str) -> Iterator[str]:
    from icu4py.breakers import CharacterBreaker, WordBreaker

    for segment in WordBreaker(run, "root"):
        yield from CharacterBreaker(segment, "root") if _UNKNOWN.search(segment) else (segment,)
