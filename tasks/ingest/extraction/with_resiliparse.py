"""Extraction by resiliparse: a handful of rules on its own parser."""

from typing import Literal

from tasks.ingest.extraction.listings import restored
from tasks.ingest.extraction.markup import needs_rewriting, said_in_text
from tasks.ingest.extraction.method import Extracted, ExtractionMethod, html_of, language_of, title_of


class Resiliparse(ExtractionMethod):
    """resiliparse: a handful of rules on its own parser. Fifteen times as fast, and keeps more boilerplate."""

    kind: Literal["resiliparse"] = "resiliparse"
    main_content: bool = True
    alt_texts: bool = False
    list_bullets: bool = True


def extract(html: str, extraction: Resiliparse) -> Extracted:
    """Return the main text of a page; `html` must not be empty."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    tree = HTMLTree.parse(_rewritten(html) if needs_rewriting(html) else html)
    text = extract_plain_text(
        tree,
        main_content=extraction.main_content,
        alt_texts=extraction.alt_texts,
        list_bullets=extraction.list_bullets,
    )
    root = tree.document.query_selector("html") if tree.document is not None else None
    return Extracted(
        restored(text), title_of(tree.title), None, language_of(root.getattr("lang") if root is not None else None)
    )


def _rewritten(html: str) -> str:
    from lxml.html import HTMLParser, document_fromstring

    # As bytes: of a text lxml refuses to read the declaration of an encoding.
    tree = document_fromstring(
        html.encode("utf-8", "replace"), parser=HTMLParser(encoding="utf-8", remove_comments=True)
    )
    said_in_text(tree)
    return html_of(tree)
