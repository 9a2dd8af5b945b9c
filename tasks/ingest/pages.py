"""A unit of ingest whose files hold web pages: each becomes a document of the one schema, or a refusal that says why."""

from typing import Any

from tasks.core.digest import canonical_json
from tasks.core.results import Here, UnitResult
from tasks.ingest.extraction.charset import decoded
from tasks.ingest.extraction.child import ExtractionError, Extractor, extractor
from tasks.ingest.records import Document, Page, Refusal, checked, refused
from tasks.ingest.unit import UnitArgs, documents_of


def read_pages(args: UnitArgs, here: Here) -> UnitResult:
    """Read files that may hold pages; see `documents_of`."""
    extraction = args.params.extraction
    assert extraction is not None, "a unit of pages says how their text is found"
    with extractor(extraction) as pages:

        def of_page(page: Page, derived_id: str, source: str) -> Document | Refusal:
            return document_of_page(
                page, pages, derived_id=derived_id, source=source, max_page_bytes=extraction.max_page_bytes
            )

        return documents_of(args, here, of_page)


def document_of_page(
    page: Page, extractor: Extractor, *, derived_id: str, source: str, max_page_bytes: int
) -> Document | Refusal:
    """Return the document a page holds: its main text, with title, date and encoding in the metadata."""
    if len(page.html) > max_page_bytes:
        limit = f"the limit (extraction.max_page_bytes) is {max_page_bytes:,}"
        return refused(page, "page_too_long", f"{len(page.html):,} bytes of HTML, {limit}")
    found = decoded(page.html, page.charset)
    if found is None:
        return refused(page, "undecodable", f"declared {page.charset!a}; begins with {page.html[:40]!r}")
    if found.text.isspace() or not found.text:
        return _no_text(page)
    try:
        extracted = extractor.extract(found.text)
    except ExtractionError as error:
        return refused(page, "extraction_failed", f"{error}; {_about(page)}")
    if not extracted.text or extracted.text.isspace():
        return _no_text(page)
    metadata: dict[str, Any] = {**page.extra, "encoding": found.encoding}
    metadata |= {"replaced_characters": found.replaced} if found.replaced else {}
    metadata |= {"title": extracted.title} if extracted.title else {}
    metadata |= {"date": extracted.date} if extracted.date else {}
    return checked(
        page,
        id=page.id or derived_id,
        text=extracted.text,
        source=source,
        url=page.url,
        lang=extracted.lang or page.lang,
        metadata=canonical_json(metadata),
    )


def _no_text(page: Page) -> Refusal:
    return Refusal(page.offset, page.bytes, "no_main_text", _about(page), "dropped", page.name)


def _about(page: Page) -> str:
    return f"{page.url or page.name or 'a page'}, {len(page.html):,} bytes of HTML"
