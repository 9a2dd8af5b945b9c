"""Which characters the bytes of a page are: the byte order mark, what headers and page declare, then a detector.

Labels mean what the Encoding Standard of the web says they mean (`latin1` is Windows-1252). A page is never repaired
without a trace: how many bytes could not be read is told, and a page of which too many could not is refused.
"""

import re
from dataclasses import dataclass

_NOT_ASCII = re.compile(rb"[\x80-\xff]+")
# Where a page may declare its charset; the HTML standard says 1,024 bytes, real pages need more.
_HEAD_BYTES = 8192
_META = re.compile(rb"""<(?:meta|\?xml)[^>]{0,400}?(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_:.\-]{2,40})""", re.I)
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
# UTF-8 with a few stray bytes is UTF-8: of a text in another encoding nearly all bytes beyond ASCII are stray (measured:
# 97 to 100 %, against 0.1 to 1.4 % on pages of mixed encodings).
_MAX_STRAY_FRACTION = 0.05


@dataclass(frozen=True)
class Decoded:
    """The text of a page, the encoding it was read with, and how many places could not be read (as U+FFFD)."""

    text: str
    encoding: str
    replaced: int = 0


def decoded(data: bytes, declared: str | None) -> Decoded | None:
    """Return the text of a page, or None where no encoding fits. `declared` is the charset of the HTTP header."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _strict(data[len(mark) :], encoding)
    # Servers say latin1 by default: bytes that read as UTF-8 are UTF-8, whatever is declared.
    if found := _utf8(data):
        return found
    for label in (declared, _meta(data), "utf-8"):
        if label is not None and (found := _strict(data, _known(label))):
            return found
    return _detected(data)


def _meta(data: bytes) -> str | None:
    found = _META.search(data[:_HEAD_BYTES])
    label = found.group(1).decode("ascii").lower() if found else None
    # Whoever can read this declaration byte by byte knows that the page is not UTF-16, whatever it says (HTML standard).
    return "utf-8" if label in {"utf-16", "utf-16le", "utf-16be"} else label


def _known(label: str) -> str | None:
    """Return Python's codec for a label of the Encoding Standard; None for one that it does not know."""
    from resiliparse.parse.encoding import map_encoding_to_html5

    mapped = map_encoding_to_html5(label, fallback_utf8=False)
    return None if mapped is None else str(mapped)


def _strict(data: bytes, encoding: str | None) -> Decoded | None:
    if encoding is None:
        return None
    try:
        return Decoded(data.decode(encoding), encoding)
    except (UnicodeDecodeError, LookupError):
        return None


def _utf8(data: bytes) -> Decoded | None:
    """Return the text of bytes that are UTF-8 but for stray ones; None also for ASCII, which may stand for more."""
    if data.isascii():
        return None
    if found := _strict(data, "utf-8"):
        return found
    text = data.decode("utf-8", errors="replace")
    stray = text.count("\ufffd")
    other = sum(map(len, _NOT_ASCII.findall(data)))
    return Decoded(text, "utf-8", stray) if stray <= _MAX_STRAY_FRACTION * other else None


def _detected(data: bytes) -> Decoded | None:
    from resiliparse.parse.encoding import detect_encoding

    return _strict(data, detect_encoding(data, from_html_meta=False))
