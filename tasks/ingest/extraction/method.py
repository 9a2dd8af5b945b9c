"""What every method of extraction shares: its limits, what it gives, and how a title and a language are read."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from tasks.core.params import Params

_LANGUAGE = re.compile(r"\s*([A-Za-z]{2,3})(?:[-_].*)?$", re.DOTALL)
_MAX_TITLE = 500

_Seconds = Annotated[float, Field(gt=0)]


class ExtractionMethod(Params):
    """The limits of a method."""

    # A page that takes longer is set aside as `extraction_failed`: deep nesting makes some parsers quadratic. Far above
    # any real page measured (17 ms is usual, 0.5 s the longest), because it is the one limit that depends on the machine.
    timeout_s: _Seconds = 20.0
    # Memory of an extraction grows with the page: about 60 bytes per byte of HTML. Common Crawl cuts pages at 5 MiB.
    max_page_bytes: Annotated[int, Field(ge=1, le=64 << 20)] = 4 << 20


@dataclass(frozen=True)
class Extracted:
    """What a page holds: its main text (empty where none is found), title, day of publication and declared language."""

    text: str
    title: str | None = None
    date: str | None = None
    lang: str | None = None


def html_of(tree: Any) -> str:
    """Return a tree of lxml as HTML."""
    from lxml.etree import tostring

    return str(tostring(tree, method="html", encoding="unicode"))


def title_of(found: str | None) -> str | None:
    """Return a title on one line, cut where nobody reads on."""
    return " ".join(found.split())[:_MAX_TITLE] or None if found else None


def language_of(declared: str | None) -> str | None:
    """Return the language of a tag.

    >>> language_of("en-US"), language_of("zxx-Latn"), language_of("english")
    ('en', 'zxx', None)
    """
    found = _LANGUAGE.match(declared) if declared else None
    return found.group(1).lower() if found else None
