"""Telephone numbers in text: what a person would dial, not what is only written with digits.

Three ways to be one: with + and a country code, where that country has such numbers (Google's libphonenumber knows);
written as in North America, likewise; or behind a word that announces one, in a dozen languages. A number that a unit
follows is a quantity.
"""

import re
from collections.abc import Iterator

# What looks like a number that a person dials, or like an address: the two are looked for in these runs only.
NUMBER_RUN = re.compile(r"[0-9][0-9 ()/.\-\xa0\u2010\u2011]{5,}[0-9]")

# Letters of other scripts stand right beside a number where no blanks are written, so that only ASCII is a boundary.
_INTERNATIONAL = re.compile(
    r"(?<![A-Za-z0-9_+.,/=-])\+[1-9][0-9]{0,3}(?:[ ./\-\xa0\u2010\u2011]{0,3}(?:\([0-9]{1,5}\)|[0-9]{1,5})){1,6}"
    r"(?![A-Za-z0-9_%]|[.,][0-9])"
)
_NORTH_AMERICAN = re.compile(
    r"(?<![A-Za-z0-9_.,/+=-])(?:1[ .-])?(?:\([2-9][0-9]{2}\)[ -]?|[2-9][0-9]{2}[.-])[2-9][0-9]{2}[.-][0-9]{4}"
    r"(?![A-Za-z0-9_%]|[.,-][0-9])"
)
_ANNOUNCED = re.compile(r"[0-9](?:[ ()/.\-\xa0]{0,4}[0-9]){5,14}(?![A-Za-z0-9_%]|[ ()/.\-]{0,2}[0-9])")
# `weak` words announce numbers of many sorts (cell 7, call 3 times): without a colon, only one in the form of a telephone
# number is taken.
_ANNOUNCES = re.compile(
    r"(?:\b(?:tel|telephone|ph|fax|telefon|telefax|tél|téléphone|teléfono|telefono|telefoon|faks|tlf|puh|gsm|handy|"
    r"móvil|hotline|whatsapp|тел|телефон|моб|факс|звоните|τηλ|τηλέφωνο|φαξ|تلفون|هاتف|جوال|فاكس|טלפון|פקס|फ़ोन|मोबाइल)\b"
    r"|(?P<weak>\b(?:phones?|mobile|cell|call(?: us)?(?: at| on)?|ring)\b)"
    r"|电话|電話|電話番号|手机|手機|携帯|传真|傳真|热线|熱線|전화|연락처|휴대폰|팩스|โทร|โทรศัพท์|แฟกซ์)"
    r"(?P<marks>[ \t]?(?:(?:no|nr|number|号码|號碼|番号)\b)?[.:：=]{0,2}[ \t\xa0]{0,2}[+(（]{0,2})\Z",
    re.IGNORECASE,
)
_ANNOUNCE_CHARS = 40
_MOST_GROUPS = 6
_NO_NUMBER = re.compile(r"[0-9]+\.[0-9]+\Z|(?:(?:19|20)[0-9]{2}[ ./-]?){2,}\Z")  # decimals, years
_FICTIONAL = re.compile(r"55501[0-9]{2}\Z")
_UNIT = re.compile(
    r"[ \xa0]?(?:[%‰°€$£¥]|(?:[kcmnµ]?m|[km]?g|[km]?l|t|[kKMGT]?B|[kMG]?Hz|[kMG]?e?V|[kMG]?W|K|s|ms|h|eur(?:os?)?|usd|gbp|"
    r"dollars?|pounds?|yen|roubles?|people|persons?|inhabitants|residents|units?|tonnes?|tons?|items?|points?|rating|votes?|copies|"
    r"bytes|degrees|years?)\b)",
    re.IGNORECASE,
)
# National digits that a group at the end may add to a number that is whole without it: "+41 44 632 11 11 2 persons".
_MOST_DROPPED = 2


def phone_numbers(text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of telephone numbers; some may overlap."""
    for run in NUMBER_RUN.finditer(text):
        for start, end in _dialled(text, run.start(), run.end()):
            digits = _digits(text[start:end])
            if 7 <= len(digits) <= 15 and not _FICTIONAL.search(digits) and not _UNIT.match(text, end):
                yield start, end


def _dialled(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield what may be phone numbers within a run of digits and separators."""
    plus = start - 1
    if text[max(plus, 0) : start] == "(":
        plus -= 1
    if plus >= 0 and text[plus] == "+" and (match := _INTERNATIONAL.match(text, plus, end + 2)):
        yield from _international(text, *match.span())
    for match in _NORTH_AMERICAN.finditer(text, max(0, start - 1), end + 2):
        if _exists(f"+1{_digits(match.group())[-10:]}"):
            yield match.span()
    if announcement := _ANNOUNCES.search(text, max(0, start - _ANNOUNCE_CHARS), start):
        match = _ANNOUNCED.match(text, start, end + 2)
        if match and _announced(match.group(), plainly=not _is_weak(announcement)):
            yield _with_bracket(text, *match.span())


def _international(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for _ in range(_MOST_DROPPED + 1):
        if _exists(text[start:end]):
            yield _with_bracket(text, start, end)
            return
        end = start + len(text[start:end].rstrip("0123456789").rstrip(" ./-\xa0\u2010\u2011("))


def _is_weak(announcement: re.Match[str]) -> bool:
    return announcement["weak"] is not None and not set(announcement["marks"]) & set(":：=")


def _announced(number: str, *, plainly: bool) -> bool:
    """Return whether what an announcement stands before is a number: any, or one in the form of a telephone number."""
    if len(re.findall("[0-9]+", number)) > _MOST_GROUPS or _NO_NUMBER.match(number):
        return False
    digits = _digits(number)
    trunk = digits.startswith("0") and len(digits) >= 9
    return plainly or trunk or (len(digits) in {10, 11} and _exists(f"+1{digits.removeprefix('1')}"))


def _exists(number: str) -> bool:
    """Return whether a country has numbers like this one, which starts with + and its code."""
    from phonenumbers import NumberParseException, is_valid_number, parse

    try:
        return bool(is_valid_number(parse(number)))
    except NumberParseException:
        return False


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


def _with_bracket(text: str, start: int, end: int) -> tuple[int, int]:
    """Take in the bracket that a number's first group opens in front of it."""
    opened = start > 0 and text[start - 1] == "(" and text.count(")", start, end) > text.count("(", start, end)
    return start - opened, end
