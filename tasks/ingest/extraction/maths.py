r"""Formulas as the TeX they were written in: MathJax, KaTeX and MathML become `\(...\)`, or `\[...\]` where displayed.

A formula stands on a page once as its source and once or twice as what is drawn of it; only the source is kept.
"""

import re
from typing import Any

_TEX = "application/x-tex"
# What MathJax, KaTeX and MediaWiki wrap one formula in.
_WRAPPER = re.compile(r"(?:katex|MathJax|MJX|mwe-math-)")
# What MathJax 2 puts before the script that holds the source: a preview, then the drawing.
_DRAWN = re.compile(r"(?:MathJax|MJXp?)(?:_\w+)?$")
_WRAPPING_TAGS = frozenset({"span", "div", "nobr", "mjx-container", "mjx-assistive-mml"})
# In these a paragraph of its own may stand.
_FLOW = frozenset({"article", "body", "div", "main", "section"})
_IMAGES = re.compile(r"(?:^|\s)(?:latex|tex|mwe-math-fallback-image-(?:inline|display))(?:\s|$)")
_STYLE = re.compile(r"\{\s*\\(?:displaystyle|textstyle)\s(.*)\}", re.DOTALL)
# Formulas nest; deeper than any that people write, the text is taken as it stands.
_MAX_DEPTH = 60


def write_formulas(tree: Any) -> None:
    """Put the source of every formula of a page in place of what is drawn of it."""
    for script in list(tree.iter("script")):
        kind = script.get("type") or ""
        if kind.startswith("math/tex"):
            _clear_drawn(script)
            _write(script, script.text or "", display="mode=display" in kind)
    for math in list(tree.iter("math")):
        outer, classes = _wrapper(math)
        display = math.get("display") == "block" or "display" in classes.lower()
        _write(outer, _source(math), display=display)
    for image in list(tree.iter("img")):
        name = image.get("class")
        if name and _IMAGES.search(name) and image.get("alt"):
            _write(image, image.get("alt"), display="image-display" in name)


def _clear_drawn(script: Any) -> None:
    drawn = script.getprevious()
    while drawn is not None and not (drawn.tail or "").strip() and _is_drawn(drawn):
        earlier = drawn.getprevious()
        drawn.clear(keep_tail=True)
        drawn = earlier


def _is_drawn(element: Any) -> bool:
    return any(_DRAWN.match(name) for name in (element.get("class") or "").split())


def _wrapper(math: Any) -> tuple[Any, str]:
    """Return the outermost element that holds this formula and nothing else, and the classes on the way to it."""
    outer, classes = math, ""
    for parent in math.iterancestors():
        name = parent.get("class") or ""
        if parent.tag not in _WRAPPING_TAGS or not (_WRAPPER.match(name) or parent.tag.startswith("mjx-")):
            break
        outer, classes = parent, f"{classes} {name} {'display' if parent.get('display') == 'true' else ''}"
    # A wrapper of several formulas is none.
    return (outer, classes) if sum(1 for _ in outer.iter("math")) == 1 else (math, "")


def _source(math: Any) -> str:
    for annotation in math.iter("annotation"):
        if annotation.get("encoding") == _TEX and annotation.text:
            return str(annotation.text)
    return math.get("alttext") or _linear(math, 0)


def _write(element: Any, source: str, *, display: bool) -> None:
    source = " ".join(source.split())
    if found := _STYLE.fullmatch(source):
        source = found.group(1).strip()
    parent = element.getparent()
    element.clear(keep_tail=True)
    element.tag = "p" if display and parent is not None and parent.tag in _FLOW else "span"
    if source:
        element.text = rf"\[{source}\]" if display else rf"\({source}\)"


def _linear(element: Any, depth: int) -> str:
    """Return presentation MathML as TeX would write it, for the few elements that change the meaning."""
    if depth > _MAX_DEPTH:
        return "".join(element.itertext())
    parts = [_linear(child, depth + 1) for child in element if isinstance(child.tag, str)]
    found = (element.text or "").strip() + "".join(parts)
    match element.tag, parts:
        case "msup" | "mover", [base, upper]:
            found = f"{base}^{_braced(upper)}"
        case "msub" | "munder", [base, lower]:
            found = f"{base}_{_braced(lower)}"
        case "msubsup" | "munderover", [base, lower, upper]:
            found = f"{base}_{_braced(lower)}^{_braced(upper)}"
        case "mfrac", [above, below]:
            found = rf"\frac{{{above}}}{{{below}}}"
        case "msqrt", _:
            found = rf"\sqrt{{{found}}}"
        case "mroot", [base, degree]:
            found = rf"\sqrt[{degree}]{{{base}}}"
        case "mtext", _:
            found = rf"\text{{{found}}}"
        case "annotation" | "annotation-xml", _:
            found = ""
    return found


def _braced(part: str) -> str:
    return part if len(part) == 1 else f"{{{part}}}"
