"""One JSON object from bytes: by orjson, and by Python's own parser where orjson would round or refuse too much.

Python's `json` and pandas write NaN and Infinity, which JSON has not; they are read as the numbers they stand for.
"""

import json
import re
from typing import Any

import orjson

# orjson reads whole numbers beyond 64 bits as floats; they have at least 19 digits.
_LONG_NUMBER = re.compile(rb"\d{19}")
_SIMPLE = frozenset({str, int, bool, type(None)})
# Python refuses to read a whole number of more digits (it would take quadratic time): it stays a text.
_MAX_DIGITS = 4000


def object_of(data: bytes) -> dict[str, Any]:
    """Return the JSON object the bytes hold; of a key that stands twice the last value counts.

    Raises:
        UnicodeDecodeError: the bytes are not UTF-8.
        ValueError: it is not JSON, or JSON of another kind.
    """
    try:
        value = orjson.loads(data)
    except ValueError:
        # NaN, and half of a surrogate pair (\ud83d alone), which is JSON, though no text: the slow parser reads both.
        return _exactly(data)
    if type(value) is not dict:
        raise ValueError("not an object")
    for inner in value.values():
        # A number that was rounded is a float now, here or deeper.
        if type(inner) not in _SIMPLE:
            return _exactly(data) if _LONG_NUMBER.search(data) else value
    return value


def _exactly(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data.decode(), parse_int=_whole)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) <= _MAX_DIGITS else digits
