"""From a record of any format to a document of the one schema, or to a refusal that says why not."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.core.digest import canonical_json
from tasks.ingest.config import IngestParams


@dataclass(frozen=True)
class Record:
    """One record as it stands in a file: its place (see `schema.QUARANTINED`) and its fields."""

    offset: int
    bytes: int
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Refusal:
    """A record that cannot become a document: its place, a reason to count by, and a detail to find the cause by."""

    offset: int
    bytes: int
    reason: str
    detail: str


@dataclass(frozen=True)
class Document:
    """One document of the schema. `record_bytes` is its length in the file, `text_bytes` that of the text in UTF-8."""

    id: str
    text: str
    source: str
    url: str | None
    lang: str | None
    metadata: str | None
    record_bytes: int
    text_bytes: int


def document_of(record: Record, *, derived_id: str, source: str, params: IngestParams) -> Document | Refusal:
    """Return the document a record holds, or why it holds none. `derived_id` and `source` stand in for its own."""

    def refused(reason: str, detail: str) -> Refusal:
        return Refusal(record.offset, record.bytes, reason, detail)

    rest = dict(record.fields)
    text = rest.pop(params.text_field, None)
    if not isinstance(text, str):
        return refused("no_text", _missing_text(record.fields, params.text_field))
    if not text or text.isspace():
        return refused("empty_text", f"the field {params.text_field!r} holds {len(text)} blanks")
    own_id = rest.pop(params.id_field, None) if params.id_field else None
    if isinstance(own_id, int) and not isinstance(own_id, bool):
        own_id = str(own_id)
    if own_id is not None and not (isinstance(own_id, str) and own_id):
        return refused("bad_field", f"{params.id_field!r} is {_kind(own_id)}, expected a text that is not empty")
    others: list[str | None] = []
    for field in (params.source_field, params.url_field, params.lang_field):
        value = rest.pop(field, None) if field else None
        if value is not None and not isinstance(value, str):
            return refused("bad_field", f"{field!r} is {_kind(value)}, expected a text")
        others.append(value)
    metadata = canonical_json(_plain(rest)) if rest else None
    try:
        text_bytes = len(text.encode())
        for value in (own_id, *others, metadata):
            (value or "").encode()
    except UnicodeEncodeError as error:
        # JSON can spell half of a surrogate pair (\ud83d alone); no UTF-8 text can hold it.
        return refused("invalid_utf8", f"lone surrogate {error.object[error.start]!a} at character {error.start}")
    return Document(
        own_id or derived_id, text, others[0] or source, others[1], others[2], metadata, record.bytes, text_bytes
    )


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


def object_of(text: str) -> dict[str, Any]:
    """Return the JSON object a text holds.

    Raises:
        ValueError: it is not JSON, or JSON of another kind, or holds NaN or Infinity, which JSON has not.
    """
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(value, dict):
        raise ValueError(f"a {type(value).__name__}, not an object")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
