"""The params of refining. Operations run in this order: unicode, lines, pii; None switches one off."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from tasks.core.params import Params


class UnicodeRepair(Params):
    """ftfy, with the options FineWeb-2 takes: what is broken is repaired, what is only unusual stays.

    `unescape_html`: "auto" leaves entities alone behind the first `<` of a text. `normalization` as in Unicode Annex 15.
    """

    fix_encoding: bool = True
    unescape_html: Literal["auto"] | bool = "auto"
    remove_terminal_escapes: bool = True
    remove_control_chars: bool = True
    fix_latin_ligatures: bool = False
    fix_character_width: bool = False
    uncurl_quotes: bool = False
    fix_line_breaks: bool = False
    normalization: Literal["NFC", "NFD", "NFKC", "NFKD"] | None = "NFC"


class LineRemoval(Params):
    """Lines to take out, each with its line feed. What `min_lines` asks of a document is the filters' business.

    `patterns`: regular expressions, looked for anywhere in a line (anchor them with ^ and $). `boilerplate`: whole
    lines, compared without the blanks around them.
    """

    patterns: tuple[str, ...] = ()
    boilerplate: tuple[str, ...] = ()

    @field_validator("patterns")
    @classmethod
    def _are_regular_expressions(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                compiled = re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
            if compiled.search(""):
                raise ValueError(f"{pattern!r} is found in an empty line, and so in every line; say what must be there")
        return patterns


class PiiRedaction(Params):
    """What stands in for personal data, per kind; None leaves that kind as it is.

    As in FineWeb, an address becomes another that nobody has; here one reserved for documentation (RFC 2606, 5737,
    3849) or fiction (555-01xx), the same each time, so that a result does not depend on the order of documents.
    """

    email: str | None = "email@example.com"
    ipv4: str | None = "192.0.2.1"
    ipv6: str | None = "2001:db8::1"
    phone: str | None = "+1-202-555-0100"
    key: str | None = "REDACTED_KEY"

    @field_validator("email", "ipv4", "ipv6", "phone", "key")
    @classmethod
    def _is_nobodys(cls, value: str | None) -> str | None:
        # A config is imported where numpy is not needed.
        from tasks.curate.annotators.pii import find_pii

        if value is not None and find_pii(value):
            raise ValueError(f"{value!r} is itself personal data; take one reserved for documentation")
        return value


class Refine(Params):
    """What is done to a text, and how many excerpts of each operation are shown."""

    unicode: UnicodeRepair | None = UnicodeRepair()
    lines: LineRemoval | None = None
    pii: PiiRedaction | None = PiiRedaction()
    samples: Annotated[int, Field(ge=0, le=100)] = 5
