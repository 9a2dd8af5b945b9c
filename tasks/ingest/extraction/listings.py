"""Code as it was written: with the ends of its lines and its indentation, without the numbers of its lines.

Extractors collapse blanks, and take a table of code and line numbers for data. So a listing becomes one paragraph whose
line ends and indentation are written as characters that no extractor touches; `restored` turns them back afterwards.
"""

import re
from itertools import islice
from typing import Any

# Symbols (of SignWriting): extractors keep them, as they do not keep control or private-use characters, and they are no
# letters. Two of them make a mark, in an order that no text has.
LINE, BLANK, TAB = "\U0001d8f0\U0001d8f1", "\U0001d8f0\U0001d8f2", "\U0001d8f0\U0001d8f3"
_ENDS = re.compile(f" ?{LINE} ?")
_RUNS = re.compile(r"^ +| {2,}| +$", re.MULTILINE)
# What highlighters call the cells that hold numbers of lines: Pygments, highlight.js, GitHub, Rouge, Hugo, Hexo,
# SyntaxHighlighter, Prism, CodeMirror, Gitea, Crayon. Layouts use some of these names, so digits alone count.
_NUMBERS = re.compile(
    r"(?:^|\s)(?:linenos?|linenodiv|line-?numbers?|line-numbers-rows|hljs-ln-(?:n|numbers)|gutter|blob-num|rouge-gutter|"
    r"lnt?|lines-num|crayon-nums?|CodeMirror-linenumber|CodeMirror-gutter-wrapper|react-line-number|linenumber)(?:\s|$)",
    re.IGNORECASE,
)
_NO_NUMBER = re.compile(r"[^\d\s.:|]")
_TABLES = re.compile(r"(?:^|\s)(?:highlighttable|hljs-ln|js-file-line-container|rouge-table|lntable)(?:\s|$)")
# A <pre> that holds these is a page set in a typewriter's face, no listing.
_BLOCKS = ("article", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "section", "table", "ul")
_ROWS = frozenset({"div", "li", "tr"})
_WRAPPERS = frozenset({"code", "div", "figure", "span"})
_SKIPPED = frozenset({"button", "script", "style"})
_STRUCTURE = frozenset({"div", "table", "tbody", "thead", "tr"})
_SOURCE_BLANKS = re.compile(r"[ \t\r\n]+")
_HIGHLIGHTER = re.compile(r"highlight|code|syntax|listing", re.IGNORECASE)
_MAX_WRAPPERS = 4


def restored(text: str) -> str:
    r"""Return a text with the line ends and the indentation of its listings.

    >>> restored(f"def f(): {LINE} {BLANK}{BLANK}return 1")
    'def f():\n  return 1'
    """
    return _ENDS.sub("\n", text).replace(BLANK, " ").replace(TAB, "\t")


def write_listings(tree: Any) -> None:
    """Make each listing of a page a paragraph of marked text, and leave the numbers of its lines out."""
    tables = [table for number in _numbers(tree) if (table := _table(number)) is not None]
    tables += [table for table in tree.iter("table") if _TABLES.search(table.get("class") or "")]
    for table in dict.fromkeys(tables):
        inner = list(table.iter("pre"))
        if len(inner) == 1 and not any(True for _ in inner[0].iter("table")):
            _write(table, _verbatim(inner[0]))
        elif not inner:
            _write(table, _verbatim(table))
    written: set[Any] = set()
    for pre in list(tree.iter("pre")):
        if pre not in written and not any(True for _ in pre.iter(*_BLOCKS)):
            written.update(pre.iterdescendants("pre"))
            _write(pre, _verbatim(pre))
    for code in list(tree.iter("code")):
        if any(True for _ in code.iter("br")):
            text = _marked(_verbatim(code, folded=True))
            code.clear(keep_tail=True)
            code.text = text


def _numbers(tree: Any) -> list[Any]:
    """Empty the elements of listings and tables that hold nothing but numbers of lines, and return them."""
    found: list[Any] = []
    inside: set[Any] = set()
    for outer in tree.iter("pre", "table"):
        if outer not in inside:
            inside.update(outer.iterdescendants("pre", "table"))
            cells = ((cell, cell.get("class")) for cell in outer.iter("a", "div", "pre", "span", "td", "th"))
            found += [cell for cell, name in cells if name and _NUMBERS.search(name) and _is_number(cell)]
    for cell in found:
        for child in list(cell):
            cell.remove(child)
        cell.text = None
    return found


def _is_number(cell: Any) -> bool:
    text = "".join(cell.itertext())
    return not _NO_NUMBER.search(text) and (
        bool(text.strip()) or any("data-line-number" in part.attrib for part in (cell, *cell))
    )


def _table(number: Any) -> Any | None:
    """Return the table one column of which holds the numbers of lines."""
    if number.tag in ("a", "span"):
        return None
    nearest = next(number.iterancestors("table", "pre"), None)
    return nearest if nearest is not None and nearest.tag == "table" else None


def _verbatim(element: Any, *, folded: bool = False) -> str:
    """Return the text of an element with its line ends: <br> is one, and a row that ends without one gets one.

    `folded`: blanks and line ends of the source are one blank, as they are everywhere but in <pre>.
    """
    from lxml.etree import iterwalk

    parts: list[str] = []
    starts: list[int] = []
    walk = iterwalk(element, events=("start", "end"))
    for event, part in walk:
        if event == "start":
            if part.tag in _SKIPPED:
                walk.skip_subtree()
            starts.append(len(parts))
            if part.tag == "br":
                parts.append("\n")
            elif part.tag not in _SKIPPED:
                _append(parts, part.text, between=part.tag in _STRUCTURE, folded=folded)
            continue
        row = part.tag in _ROWS and part is not element
        if row and (len(parts) == starts[-1] or not parts[-1].endswith("\n")):
            parts.append("\n")
        starts.pop()
        if part is not element:
            _append(parts, part.tail, between=row or part.getparent().tag in _STRUCTURE, folded=folded)
    text = "".join(parts)
    text = re.sub(r" ?\n ?", "\n", text) if folded else text
    return text.replace("\xa0", " ").replace("\r\n", "\n").replace("\r", "\n").strip("\n")


def _append(parts: list[str], text: str | None, *, between: bool, folded: bool) -> None:
    # Between rows and cells, blanks are the layout of the source.
    if text and not (between and text.isspace()):
        parts.append(_SOURCE_BLANKS.sub(" ", text) if folded else text)


def _write(element: Any, text: str) -> None:
    outer = element
    for parent in element.iterancestors():
        if parent.tag not in _WRAPPERS or len(parent) > 1 or (parent.text or "").strip() or (outer.tail or "").strip():
            break
        outer = parent
    outer.clear(keep_tail=True)
    outer.tag = "p"
    outer.text = _marked(text)
    # Highlighters wrap listings in figures and toolbars, which extractors take for pictures and menus.
    for parent in islice(outer.iterancestors(), _MAX_WRAPPERS):
        if parent.tag == "figure" or (parent.tag == "div" and _HIGHLIGHTER.search(parent.get("class") or "")):
            parent.tag = "div"
            parent.attrib.pop("class", None)


def _marked(text: str) -> str:
    text = _RUNS.sub(lambda run: BLANK * len(run.group()), text)
    return text.replace("\t", TAB).replace("\n", f" {LINE} ")
