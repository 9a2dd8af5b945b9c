"""Extraction by trafilatura: rules and density, three readings of which the lines that two confirm are kept."""

import re
from typing import Any, Literal

from tasks.ingest.extraction.agreement import agreed
from tasks.ingest.extraction.listings import restored
from tasks.ingest.extraction.markup import is_technical, said_in_text
from tasks.ingest.extraction.method import Extracted, ExtractionMethod, html_of, language_of, title_of

_DATE = re.compile(r"\s*(\d{4}-\d{2}-\d{2})")
_DATE_NAMES = ("article:published_time", "datePublished", "date", "dc.date", "dcterms.date", "publish-date")


class Trafilatura(ExtractionMethod):
    """trafilatura: rules and density, with readability and jusText behind them (`fast`: without these two).

    `focus` agreement reads each page generously, strictly and with resiliparse, and keeps the lines of the generous reading
    that another confirms, see `agreement`. The others are trafilatura's own `favor_precision` and `favor_recall`.
    """

    kind: Literal["trafilatura"] = "trafilatura"
    focus: Literal["agreement", "balanced", "precision", "recall"] = "agreement"
    fast: bool = False
    include_tables: bool = True
    include_comments: bool = False


def extract(html: str, extraction: Trafilatura) -> Extracted:
    """Return the main text of a page; `html` must not be empty."""
    from trafilatura.utils import load_html

    tree = load_html(html)
    if tree is None:
        return Extracted("")
    technical = extraction.focus == "agreement" and is_technical(tree)
    said_in_text(tree)
    # trafilatura works on a copy of the tree it is given, so one parse serves all readings.
    if extraction.focus == "agreement":
        text = _agreed(tree, extraction, technical=technical)
    else:
        text = _read(tree, extraction, extraction.focus, fast=extraction.fast)
    named = {_name(meta): meta.get("content") or "" for meta in reversed(tree.findall(".//meta"))}
    dates = (_DATE.match(named[name.lower()]) for name in _DATE_NAMES if name.lower() in named)
    return Extracted(
        restored(text),
        title_of(tree.findtext(".//head/title") or tree.findtext(".//title")),
        next((found.group(1) for found in dates if found), None),
        language_of(tree.getroottree().getroot().get("lang")),
    )


def _agreed(tree: Any, extraction: Trafilatura, *, technical: bool) -> str:
    generous = _read(tree, extraction, "recall", fast=extraction.fast)
    strict = _read(tree, extraction, "precision", fast=True) if generous else ""
    return agreed(generous, strict, _other(tree, extraction), lambda: _links(tree), technical=technical)


def _other(tree: Any, extraction: Trafilatura) -> str:
    from resiliparse.extract.html2text import extract_plain_text

    text = extract_plain_text(html_of(tree), main_content=True, alt_texts=False, comments=extraction.include_comments)
    return str(text)


def _links(tree: Any) -> str:
    return "\n".join("".join(link.itertext()) for link in tree.iter("a"))


def _read(tree: Any, extraction: Trafilatura, focus: str, *, fast: bool) -> str:
    import trafilatura

    text = trafilatura.extract(
        tree,
        fast=fast,
        favor_precision=focus == "precision",
        favor_recall=focus == "recall",
        include_comments=extraction.include_comments,
        include_tables=extraction.include_tables,
    )
    return text or ""


def _name(meta: Any) -> str:
    return str(meta.get("property") or meta.get("name") or meta.get("itemprop") or "").lower()
