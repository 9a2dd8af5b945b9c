"""The params of `ingest`: where in a record things are, and how much may be set aside."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from tasks.core.params import Params

_FieldName = Annotated[str, Field(min_length=1)]


class IngestParams(Params):
    """How files become documents.

    The `*_field`s name the fields of a JSONL record or the columns of a Parquet file; None means: never read.
    A record without an id of its own is called `<first 12 hex of its file's digest>-<its number>`; a text file is
    called by its path. A record's own source wins over that of its file. All further fields go to `metadata`.
    """

    text_field: _FieldName = "text"
    id_field: _FieldName | None = "id"
    source_field: _FieldName | None = "source"
    url_field: _FieldName | None = "url"
    lang_field: _FieldName | None = "lang"
    # A longer record (JSONL line, text of a Parquet row, text file) is quarantined; a line is never held beyond it.
    max_document_bytes: Annotated[int, Field(ge=1, le=1 << 30)] = 16 << 20
    # A shard is closed by the document that fills it. Small enough to be redone after a crash without much loss.
    target_shard_bytes: Annotated[int, Field(ge=1)] = 64 << 20
    # Above it the run fails. 5 % is a guess: a healthy crawl has well under 1 %.
    max_quarantined_fraction: Annotated[float, Field(ge=0, le=1)] = 0.05

    @model_validator(mode="after")
    def _a_field_has_one_role(self) -> Self:
        names = (self.text_field, self.id_field, self.source_field, self.url_field, self.lang_field)
        given = [name for name in names if name is not None]
        if repeated := sorted({name for name in given if given.count(name) > 1}):
            raise ValueError(f"the field {repeated[0]!r} has two roles; give each *_field a name of its own, or null.")
        return self
