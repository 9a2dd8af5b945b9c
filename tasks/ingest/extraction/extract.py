"""A page becomes a main text and what the page says about itself."""

import re
from dataclasses import dataclass
from typing import Any, assert_never

from tasks.ingest.extraction.agreement import agreed
from tasks.ingest.extraction.config import Extraction, Resiliparse, Trafilatura
from tasks.ingest.extraction.listings import restored
from tasks.ingest.extraction.markup import is_technical, needs_rewriting, said_in_text

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
            names = ["lxml", "resiliparse"]
        case _:
            assert_never(extraction)
    return {name.lower(): version(name) for name in [*names, "fastwarc"]}


def _trafilatura(html: str, extraction: Trafilatura) -> Extracted:
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
        _title(tree.findtext(".//head/title") or tree.findtext(".//title")),
        next((found.group(1) for found in dates if found), None),
        _language(tree.getroottree().getroot().get("lang")),
    )


def _agreed(tree: Any, extraction: Trafilatura, *, technical: bool) -> str:
    generous = _read(tree, extraction, "recall", fast=extraction.fast)
    strict = _read(tree, extraction, "precision", fast=True) if generous else ""
    return agreed(generous, strict, _other(tree, extraction), lambda: _links(tree), technical=technical)


def _other(tree: Any, extraction: Trafilatura) -> str:
    from resiliparse.extract.html2text import extract_plain_text

    text = extract_plain_text(_html(tree), main_content=True, alt_texts=False, comments=extraction.include_comments)
    return str(text)


def _html(tree: Any) -> str:
    from lxml.etree import tostring

    return str(tostring(tree, method="html", encoding="unicode"))


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


def _resiliparse(html: str, extraction: Resiliparse) -> Extracted:
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
        restored(text), _title(tree.title), None, _language(root.getattr("lang") if root is not None else None)
    )


def _rewritten(html: str) -> str:
    from lxml.html import HTMLParser, document_fromstring

    # As bytes: of a text lxml refuses to read the declaration of an encoding.
    tree = document_fromstring(
        html.encode("utf-8", "replace"), parser=HTMLParser(encoding="utf-8", remove_comments=True)
    )
    said_in_text(tree)
    return _html(tree)


def _title(found: str | None) -> str | None:
    return " ".join(found.split())[:_MAX_TITLE] or None if found else None


def _language(declared: str | None) -> str | None:
    """Return the language of a tag.

    >>> _language("en-US"), _language("zxx-Latn"), _language("english")
    ('en', 'zxx', None)
    """
    found = _LANGUAGE.match(declared) if declared else None
    return found.group(1).lower() if found else None
