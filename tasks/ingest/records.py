"""From a record of any format to a document of the one schema, or to a refusal that says why not."""

import builtins
import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from tasks.core.digest import canonical_json
from tasks.ingest.config import ReadParams

Fate = Literal["quarantined", "dropped"]


class Record(NamedTuple):
    """One record as it stands in a file: its place (see `schema.REFUSED`) and its fields.

    `name` is that of the file where it is not the listed one: a file in an archive. `is_file` where it is all of a file.
    """

    offset: int
    bytes: int
    fields: Mapping[str, Any]
    name: str | None = None
    is_file: bool = False


class Page(NamedTuple):
    """A web page whose main text is still to be found: its place, its bytes, and what is known about it from outside.

    `charset` and `lang` are what the server declared; `extra` goes to the metadata.
    """

    offset: int
    bytes: int
    html: builtins.bytes
    id: str | None = None
    url: str | None = None
    charset: str | None = None
    lang: str | None = None
    extra: Mapping[str, Any] = {}
    name: str | None = None
    is_file: bool = False


class Refusal(NamedTuple):
    """A record that becomes no document: its place, a reason to count by, and a detail to find the cause by.

    Quarantined is what is broken; dropped is what is whole but holds no document (an image, a page without main text).
    """

    offset: int
    bytes: int
    reason: str
    detail: str
    fate: Fate = "quarantined"
    name: str | None = None


class Document(NamedTuple):
    """One document of the schema. `record_bytes` is its length in the file, `text_bytes` that of the text in UTF-8."""

    id: str
    text: str
    source: str
    url: str | None
    lang: str | None
    metadata: str | None
    record_bytes: int
    text_bytes: int


def document_of(record: Record, *, derived_id: str, source: str, params: ReadParams) -> Document | Refusal:
    """Return the document a record holds, or why it holds none. `derived_id` and `source` stand in for its own."""
    fields = record.fields
    rest = dict(fields)
    text = rest.pop(params.text_field, None)
    if not isinstance(text, str):
        return refused(record, "no_text", _missing_text(fields, params.text_field))
    if not text or text.isspace():
        return refused(record, "empty_text", f"the field {params.text_field!r} holds {len(text)} blanks")
    own_id = rest.pop(params.id_field, None) if params.id_field else None
    if type(own_id) is int:
        own_id = str(own_id)
    if own_id is not None and not (isinstance(own_id, str) and own_id):
        return refused(
            record, "bad_field", f"{params.id_field!r} is {_kind(own_id)}, expected a text that is not empty"
        )
    others: list[str | None] = []
    for field in (params.source_field, params.url_field, params.lang_field):
        value = rest.pop(field, None) if field else None
        if value is not None and not isinstance(value, str):
            return refused(record, "bad_field", f"{field!r} is {_kind(value)}, expected a text")
        others.append(value)
    try:
        metadata = canonical_json(_plain(rest)) if rest else None
    except RecursionError:
        return refused(record, "bad_field", "a field besides the text is nested too deep")
    return checked(
        record,
        id=own_id or derived_id,
        text=text,
        source=others[0] or source,
        url=others[1],
        lang=others[2],
        metadata=metadata,
    )


def checked(
    record: Record | Page,
    *,
    id: str,
    text: str,
    source: str,
    url: str | None,
    lang: str | None,
    metadata: str | None,
) -> Document | Refusal:
    """Return the document, unless one of its texts is none: half of a surrogate pair, or with a null byte in it.

    Metadata is JSON, which spells a null byte out; half of a pair in it costs that character, not the document.
    """
    others = f"{id}{source}{url or ''}{lang or ''}"
    try:
        text_bytes = len(text) if text.isascii() else len(text.encode())
        if metadata is not None and not metadata.isascii():
            metadata = _whole_characters(metadata)
        if not others.isascii():
            others.encode()
    except UnicodeEncodeError as error:
        # JSON can spell half of a surrogate pair (\ud83d alone); no UTF-8 text can hold it.
        detail = f"lone surrogate {error.object[error.start]!a} at character {error.start}"
        return refused(record, "invalid_utf8", detail)
    if "\0" in text or "\0" in others:
        # Later programs take it for the end of the text.
        where = f"at character {text.index(chr(0)):,} of the text" if "\0" in text else "beside the text"
        return refused(record, "null_byte", f"null byte {where}")
    return Document(id, text, source, url, lang, metadata, record.bytes, text_bytes)


def refused(record: Record | Page, reason: str, detail: str) -> Refusal:
    """Return the refusal of what is broken."""
    return Refusal(record.offset, record.bytes, reason, detail, name=record.name)


def _whole_characters(text: str) -> str:
    """Return a text that UTF-8 can hold: half of a surrogate pair (a title cut inside an emoji) becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _missing_text(fields: Mapping[str, Any], text_field: str) -> str:
    if text_field in fields:
        return f"the field {text_field!r} is {_kind(fields[text_field])}"
    return f"no field {text_field!r}; fields: {', '.join(sorted(map(str, fields)))[:120]!a}"


def _kind(value: Any) -> str:
    return "null" if value is None else f"{type(value).__name__} {str(value)[:40]!a}"


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it: dates and decimals of Parquet as text, bytes in hex, NaN as "nan"."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case bytes():
            return value.hex()
        case Mapping():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case _:
            return str(value)
