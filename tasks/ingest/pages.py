"""From a web page to a document of the one schema, or to a refusal that says why not."""

from typing import Any

from tasks.core.digest import canonical_json
from tasks.ingest.extraction.charset import decoded
from tasks.ingest.extraction.child import ExtractionError, Extractor
from tasks.ingest.records import Document, Page, Refusal, checked, refused


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
