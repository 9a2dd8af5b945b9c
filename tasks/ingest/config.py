"""The params of `ingest`: where in a record things are, how pages are read, and how much may be set aside."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from tasks.core.params import Params
from tasks.ingest.extraction.kinds import Extraction, Trafilatura
from tasks.ingest.formats import Kind

_FieldName = Annotated[str, Field(min_length=1)]


class ReadParams(Params):
    """How records become documents: what a unit of ingest sees.

    The `*_field`s name the fields of a JSONL record or the columns of a Parquet file; None means: never read.
    A record without an id of its own is called `<first 12 hex of its file's digest>-<its number>`; a text or HTML file
    is called by its path. A record's own source wins over that of its file. All further fields go to `metadata`.
    """

    text_field: _FieldName = "text"
    id_field: _FieldName | None = "id"
    source_field: _FieldName | None = "source"
    url_field: _FieldName | None = "url"
    lang_field: _FieldName | None = "lang"
    # A longer record (JSONL line, text of a Parquet row, text file) is quarantined; a line is never held beyond it.
    max_document_bytes: Annotated[int, Field(ge=1, le=1 << 30)] = 16 << 20
    # A compressed stream that grows more than so many times, beyond its first 64 MB, is a bomb. Real text under zstd
    # grows 3 to 100 times; deflate cannot exceed 1,032.
    max_expansion: Annotated[float, Field(gt=1)] | None = 1000.0
    # What one zstd frame may ask for as its window; it is taken as far as the frame's content fills it. 2 GiB: `--long=31`.
    max_zstd_window_bytes: Annotated[int, Field(ge=1 << 10, le=1 << 31)] = 1 << 31
    # What files are, by the suffix of their names, where what they hold says otherwise: `json: text` for a source tree.
    kinds: Mapping[str, Kind] = {}
    # Folders outside the input, absolute, that links in an input folder may lead to (a dataset linked from a cache).
    link_roots: tuple[str, ...] = ()
    # How the main text of pages is found; None for files that hold none.
    extraction: Extraction | None = None
    # A shard is closed by the document that fills it, and is then safe from crashes. Half a second of reading.
    target_shard_bytes: Annotated[int, Field(ge=1)] = 32 << 20

    @field_validator("kinds")
    @classmethod
    def _suffixes_are_plain(cls, value: Mapping[str, Kind]) -> Mapping[str, Kind]:
        if wrong := sorted(suffix for suffix in value if suffix.startswith(".") or suffix != suffix.lower()):
            raise ValueError(f"{wrong[0]!r}: write a suffix in lower case and without its dot, such as `json: text`.")
        return value

    @model_validator(mode="after")
    def _a_field_has_one_role(self) -> Self:
        names = (self.text_field, self.id_field, self.source_field, self.url_field, self.lang_field)
        given = [name for name in names if name is not None]
        if repeated := sorted({name for name in given if given.count(name) > 1}):
            raise ValueError(f"the field {repeated[0]!r} has two roles; give each *_field a name of its own, or null.")
        return self


class IngestParams(ReadParams):
    """How files become documents, and how much may be set aside."""

    # How the main text of HTML is found (WARC and HTML files only).
    extraction: Extraction = Trafilatura()
    # Above it the run fails. 5 % is a guess: a healthy crawl has well under 1 %. Pages without a main text do not count.
    max_quarantined_fraction: Annotated[float, Field(ge=0, le=1)] = 0.05
    # Files that are refused as a whole: truncated, damaged, too long, of no known kind. Above it the run fails.
    # Nothing of such a file is used, whatever it holds; the fraction above is of the records of all others.
    max_damaged_files: Annotated[int, Field(ge=0)] = 0

    @field_validator("link_roots")
    @classmethod
    def _roots_are_absolute(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [root for root in value if not root.startswith("/")]:
            raise ValueError(f"{wrong[0]!r}: write the whole path of a folder.")
        return value

    def reading(self, *, pages: bool) -> ReadParams:
        """Return what decides the documents of records, and of `pages` where there may be any; no budgets."""
        given = {name: getattr(self, name) for name in ReadParams.model_fields}
        return ReadParams(**given if pages else given | {"extraction": None})
