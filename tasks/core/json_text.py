"""JSON that people wrote, read: a value whose strings are texts."""

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    >>> parse_json('{"a": [1, null]}')
    {'a': [1, None]}

    Raises:
        ValueError: it is none, or nested too deeply; or one of its strings holds half of a surrogate pair, which JSON can
            spell and no text can hold.
    """
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        raise ValueError(f"a string in it holds {half!a}, half of a surrogate pair, which is no text") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return value
