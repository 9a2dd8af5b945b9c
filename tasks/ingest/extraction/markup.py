"""What a page says in markup alone, said in its text before any extractor reads it: hidden parts, formulas, code, marks.

A pre-pass over the parsed page, so that every reading sees the same. Each step takes time linear in the page.
"""

import re
from collections.abc import Sequence
from functools import cache
from itertools import islice
from typing import Any

from tasks.ingest.extraction.listings import write_listings
from tasks.ingest.extraction.maths import write_formulas

_UNREAD = re.compile(r"<(?:[sS][uU][bBpP]|[mM][aA][tT][hH]|[pP][rR][eE]|template)\b")
_NAMES = ("math/tex", "blob-num", '"latex')
_HIDING = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
# Not <noscript>: some pages have their article there alone, and trafilatura finds it when it finds nothing else.
_NO_TEXT = ["audio", "canvas", "embed", "iframe", "input", "link", "object", "select", "style", "svg", "video"]
# Scripts show these once they have run; their authors hide them against flicker.
_NEVER_HIDDEN = frozenset({"article", "body", "html", "main"})
_HIDEABLE = "descendant-or-self::*[@hidden or @style]"
# A hidden part that holds more than this of the text of a page is the page itself, before its script has run.
_MAX_HIDDEN = 0.5
# Shorter ones are none; and how many are looked for, one in the other.
_MIN_PAGE, _MAX_EXEMPT = 200, 8
_NUMBER = re.compile(r"[+\-−]?\w+|[+\-−]")
_NOTE = re.compile(r"\[?\s*(\d{1,3}|[*†‡§]+|[a-z])\s*\]?")
_LETTERS = re.compile(r"[^\W\d_]+$")
# Shorter runs of letters before a figure are units and variables (km, sin), longer ones are words with a footnote.
_MIN_WORD = 5
_ORDINALS = frozenset({"a", "e", "er", "ème", "nd", "o", "os", "rd", "re", "st", "th"})
_ABBREVIATIONS = frozenset({"lle", "lles", "mc", "me", "mes", "o", "os", "r", "sm", "tm", "®", "™"})
_STOPS = ".,;:!?\"'”’»"
# Longer ones are small print, not marks.
_MAX_MARK = 40
_COMMENTS = ("comment", "Comment")
# Of a paragraph that is a post, in characters; and of the text of a page, that stands in its comments.
_MIN_POST, _MIN_DISCUSSION = 40, 0.5
_MIN_NAMES = 3


def is_technical(tree: Any) -> bool:
    """Return whether a page shows code: a listing, or several names in a typewriter's face."""
    names = islice(tree.iter("code", "kbd", "samp", "tt"), _MIN_NAMES)
    return next(tree.iter("pre"), None) is not None or sum(1 for _ in names) == _MIN_NAMES


def needs_rewriting(html: str) -> bool:
    """Return whether a page has markup that no extractor reads: marks, formulas, tables of code, templates."""
    return any(name in html for name in _NAMES) or _UNREAD.search(html) is not None


def said_in_text(tree: Any) -> None:
    """Rewrite a parsed page in place: what its markup means becomes text that every extractor keeps or leaves out."""
    # Formulas first: the source of one may be hidden, and stand in a script.
    write_formulas(tree)
    _leave_out_scripts(tree)
    _leave_out_hidden(tree)
    write_listings(tree)
    _write_marks(tree)
    _keep_posts(tree)


def _leave_out_scripts(tree: Any) -> None:
    """Take out what holds no text; each reading works on copies of the page, which are smaller then."""
    from lxml.etree import strip_elements

    strip_elements(tree, *_NO_TEXT, with_tail=False)
    for element in tree.iter("script"):
        # trafilatura reads what a page says of itself there.
        if element.get("type") != "application/ld+json":
            element.clear(keep_tail=True)


def _leave_out_hidden(tree: Any) -> None:
    for template in list(tree.iter("template")):
        # A declared shadow tree is shown.
        if template.get("shadowrootmode") is None:
            template.clear(keep_tail=True)
    hidden = [element for element in _xpath(_HIDEABLE)(tree) if _is_hidden(element)]
    gone: set[Any] = set()
    total, exempt = 0, 0
    for element in hidden:
        if element in gone:
            continue
        length = len(_text(element))
        if length >= _MIN_PAGE and exempt < _MAX_EXEMPT:
            total = total or len(_text(tree))
            if length > _MAX_HIDDEN * total:
                exempt += 1
                _show(element)
                continue
        gone.update(element.iterdescendants())
        element.clear(keep_tail=True)


def _is_hidden(element: Any) -> bool:
    hidden = element.get("hidden")
    if hidden is None and not _HIDING.search(element.get("style") or ""):
        return False
    # A click or a search shows the latter two.
    if element.tag in _NEVER_HIDDEN or element.get("role") == "tabpanel" or hidden == "until-found":
        _show(element)
        return False
    return True


def _show(element: Any) -> None:
    # Extractors shall not leave it out either.
    for name in ("hidden", "style"):
        element.attrib.pop(name, None)


def _text(element: Any) -> str:
    from lxml.etree import tostring

    return str(tostring(element, method="text", encoding="unicode", with_tail=False))


def _write_marks(tree: Any) -> None:
    # Inner ones first: reversed order of the document visits what is inside before what is around it.
    for element in reversed(list(tree.iter("sup", "sub"))):
        text = "".join(element.itertext()).strip()
        if text and len(text) <= _MAX_MARK:
            linked = any(True for _ in element.iter("a"))
            for child in list(element):
                element.remove(child)
            element.text = _mark(_before(element), text, above=element.tag == "sup", linked=linked)
            if not element.text.startswith(("^", "_", "[")) and (element.tail or "")[:1].isalnum():
                element.text += " "


def _mark(before: str, text: str, *, above: bool, linked: bool) -> str:
    """Return how a text above or below the line is written after `before`: as a footnote, a suffix, a power, an index.

    A number after a word or a full stop leads to a note; after a figure, a bracket or a variable it is a power.

    >>> [_mark(before, text, above=True, linked=False) for before, text in (("10", "-8"), ("1", "st"), ("end.", "1"))]
    ['^-8', 'st', '[1]']
    >>> _mark("x", "n+1", above=False, linked=False)
    '_{n+1}'
    """
    last = before[-1:]
    if above and (note := _NOTE.fullmatch(text)):
        letters = _LETTERS.search(before)
        ended = bool(last) and last in _STOPS
        word = letters is not None and len(letters.group()) >= _MIN_WORD
        if linked or text.startswith("[") or ((ended or word) and not text.isalpha()):
            return f"[{note.group(1)}]"
    if not last or last.isspace() or linked:
        return text
    if above and text.lower() in (_ORDINALS if last.isdigit() else _ABBREVIATIONS):
        return text
    sign = "^" if above else "_"
    return f"{sign}{text}" if _NUMBER.fullmatch(text) else f"{sign}{{{text}}}"


def _before(element: Any) -> str:
    """Return the text that stands right before an element, at least its last characters."""
    previous = element.getprevious()
    if previous is None:
        parent = element.getparent()
        return (parent.text or "") if parent is not None else ""
    while not previous.tail and len(previous):
        if previous[-1].tail:
            return str(previous[-1].tail)
        previous = previous[-1]
    return previous.tail or previous.text or ""


@cache
def _xpath(path: str) -> Any:
    from lxml.etree import XPath

    return XPath(path)


def _keep_posts(tree: Any) -> None:
    """Take the name of comments from the posts of a discussion, which extractors leave out by that name."""
    containers = [
        part
        for part in tree.iter("div", "section", "ul", "ol")
        if (part.get("class") or "").startswith(_COMMENTS) or (part.get("id") or "").startswith(_COMMENTS)
    ]
    if containers and _is_discussion(tree, containers):
        for container in containers:
            for element in (container, *container.iterdescendants("div", "li", "section")):
                for name in ("class", "id"):
                    if "comment" in (element.get(name) or "").lower():
                        del element.attrib[name]


def _is_discussion(tree: Any, containers: Sequence[Any]) -> bool:
    """Return whether comments look like what they comment on, or are most of a page that has no other paragraph."""
    inside: set[Any] = set()
    length = 0
    for container in containers:
        if container not in inside:
            inside.update(container.iterdescendants("div", "section", "ul", "ol", "p"))
            length += len(_text(container))
    posts = [paragraph for paragraph in tree.iter("p") if _is_post(paragraph)]
    bodies = {paragraph.getparent().get("class") for paragraph in posts if paragraph in inside} - {None, ""}
    others = [paragraph for paragraph in posts if paragraph not in inside]
    alike = any(paragraph.getparent().get("class") in bodies for paragraph in others)
    return alike or (not others and length > _MIN_DISCUSSION * len(_text(tree)))


def _is_post(paragraph: Any) -> bool:
    return sum(map(len, paragraph.itertext())) >= _MIN_POST and paragraph.getparent() is not None
