"""How templates are filled: strictly, with the same words and numbers on the page and on the model card."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tasks.core.words import counted, percent
from tasks.pictures.marks import amount, signed, size

TEMPLATES = Path(__file__).with_name("templates")
# What Markdown and HTML would read as markup, in names that come from the data.
_MARKUP = {ord(character): f"\\{character}" for character in "\\`*_[]<>|#"}


def environment(*, html: bool) -> Environment:
    """Return what fills a template; in HTML all text is escaped, in Markdown what goes through `plain`."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
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
        "bits": lambda value: f"{value:.4f}",
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
