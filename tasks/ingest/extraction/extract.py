"""A page becomes a main text and what the page says about itself."""

import re
from dataclasses import dataclass
from typing import Any, assert_never

from tasks.ingest.extraction.agreement import agreed
from tasks.ingest.extraction.config import Extraction, Resiliparse, Trafilatura

_LANGUAGE = re.compile(r"\s*([A-Za-z]{2,3})(?:[-_].*)?$", re.DOTALL)
_MAX_TITLE = 500
_DATE = re.compile(r"\s*(\d{4}-\d{2}-\d{2})")
_DATE_NAMES = ("article:published_time", "datePublished", "date", "dc.date", "dcterms.date", "publish-date")


@dataclass(frozen=True)
class Extracted:
    """What a page holds: its main text (empty where none is found), title, day of publication and declared language."""

    text: str
    title: str | None = None
    date: str | None = None
    lang: str | None = None


def extract(html: str, extraction: Extraction) -> Extracted:
    """Return the main text of a page; `html` must not be empty."""
    match extraction:
        case Trafilatura():
            return _trafilatura(html, extraction)
        case Resiliparse():
            return _resiliparse(html, extraction)
        case _:
            assert_never(extraction)


def versions(extraction: Extraction) -> dict[str, str]:
    """Return the versions of the libraries that decide what is extracted."""
    from importlib.metadata import version

    match extraction:
        case Trafilatura():
            names = ["jusText", "lxml", "resiliparse", "trafilatura"]
        case Resiliparse():
            names = ["resiliparse"]
        case _:
            assert_never(extraction)
    return {name.lower(): version(name) for name in [*names, "fastwarc"]}


def _trafilatura(html: str, extraction: Trafilatura) -> Extracted:
    from trafilatura.utils import load_html

    # trafilatura works on a copy of the tree it is given, so one parse serves both readings.
    tree = load_html(html)
    if tree is None:
        return Extracted("")
    if extraction.focus == "agreement":
        generous = _read(tree, extraction, "recall", fast=extraction.fast)
        text = agreed(generous, _read(tree, extraction, "precision", fast=True)) if generous else ""
    else:
        text = _read(tree, extraction, extraction.focus, fast=extraction.fast)
    named = {_name(meta): meta.get("content") or "" for meta in reversed(tree.findall(".//meta"))}
    dates = (_DATE.match(named[name.lower()]) for name in _DATE_NAMES if name.lower() in named)
    return Extracted(
        text,
        _title(tree.findtext(".//head/title") or tree.findtext(".//title")),
        next((found.group(1) for found in dates if found), None),
        _language(tree.getroottree().getroot().get("lang")),
    )


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


def _resiliparse(html: str, extraction: Resiliparse) -> Extracted:
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    tree = HTMLTree.parse(html)
    text = extract_plain_text(
        tree,
        main_content=extraction.main_content,
        alt_texts=extraction.alt_texts,
        list_bullets=extraction.list_bullets,
    )
    root = tree.document.query_selector("html") if tree.document is not None else None
    return Extracted(text, _title(tree.title), None, _language(root.getattr("lang") if root is not None else None))


def _title(found: str | None) -> str | None:
    return " ".join(found.split())[:_MAX_TITLE] or None if found else None


def _language(declared: str | None) -> str | None:
    """Return the language of a tag.

    >>> _language("en-US"), _language("zxx-Latn"), _language("english")
    ('en', 'zxx', None)
    """
    found = _LANGUAGE.match(declared) if declared else None
    return found.group(1).lower() if found else None
