"""How templates are filled: strictly, with the same words and numbers on every page and on the model card.

A page is one file that needs no network: style, script and pictures stand in it, and it says everything without its script.
"""

from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tasks.core.words import counted, percent
from tasks.pictures.canvas import palette
from tasks.pictures.marks import amount, signed, size

# What the page of a comparison is called.
PAGE = "page.html"
TEMPLATES = Path(__file__).with_name("templates")
# What Markdown and HTML would read as markup, in names that come from the data.
_MARKUP = {ord(character): f"\\{character}" for character in "\\`*_[]<>|#"}


def page(template: str, folder: Path, title: str, told: Mapping[str, object], pictures: Mapping[str, str]) -> str:
    """Return a page as HTML: a template of `folder` that extends `page.html`, filled with what it tells.

    Its pictures are `plots` in the template, by name.
    """
    # Style and script are this package's own files, and pictures escape what they write: all are markup already.
    css = Markup(palette() + (TEMPLATES / "page.css").read_text(encoding="utf-8"))  # noqa: S704
    script = (TEMPLATES / "script.html").read_text(encoding="utf-8").strip()
    told_to_run = script.removeprefix("<script>").removesuffix("</script>")
    return (
        environment(folder, html=True)
        .get_template(template)
        .render(
            title=title,
            css=css,
            script=Markup(script),  # noqa: S704
            script_digest=b64encode(sha256(told_to_run.encode()).digest()).decode(),
            plots={name: Markup(svg) for name, svg in pictures.items()},  # noqa: S704
            **told,
        )
    )


@cache
def environment(folder: Path, *, html: bool) -> Environment:
    """Return what fills the templates of a folder; in HTML all text is escaped, in Markdown what goes through `plain`."""
    made = Environment(
        loader=FileSystemLoader([folder, TEMPLATES]),
        autoescape=html,  # noqa: S701 (off for Markdown alone)
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {
        "count": lambda number: f"{number:,}",
        "documents": lambda number: f"{number:,} document{'' if number == 1 else 's'}",
        "size": size,
        "percent": lambda share: f"{share:.1%}",
        "confidence": percent,
        "seeds": lambda number: counted(number, "seed"),
        "bits": lambda value: f"{value:.4f}".replace("-", "−"),
        "gain": signed,
        "amount": amount,
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
        "short": lambda digest: digest[:12],
        "plain": plain,
    }
    return made


def plain(text: str) -> str:
    r"""Return text that stands for itself in a line of Markdown.

    >>> plain("a|b <i>")
    'a\\|b \\<i\\>'
    """
    return " ".join(text.split()).translate(_MARKUP)
