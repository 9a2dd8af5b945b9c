"""The model card of the exported model: Markdown with a YAML head, as model hubs show it beside the weights."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tasks.core.words import percent
from tasks.mixture.published import MIXTURES
from tasks.pictures.marks import signed
from tasks.report.load import PageContent

_TEMPLATES = Path(__file__).with_name("templates")
# What Markdown and HTML would read as markup, in names that come from the data.
_MARKUP = {ord(character): f"\\{character}" for character in "\\`*_[]<>|#"}


def model_card(content: PageContent) -> str:
    """Return the card: what the model was trained on, how often it saw each domain, how it was judged, and every digest.

    The exported model is the first of the searched mixture, or the first there is.
    """
    # Markdown, not HTML: what needs escaping is escaped by `plain`.
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=False,  # noqa: S701
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "count": lambda number: f"{number:,}",
        "percent": lambda share: f"{share:.1%}",
        "confidence": percent,
        "bits": lambda value: f"{value:.4f}",
        "gain": signed,
        "plain": plain,
    }
    mixture = next(name for name in MIXTURES if name in content.training.epochs)
    return environment.get_template("model_card.md").render(
        content=content,
        found=content.evaluation,
        decision=content.evaluation.decision,
        mixture=mixture,
        weights=content.recipe.weights(mixture),
        epochs=content.training.epochs[mixture],
        bits=content.evaluation.means[mixture],
    )


def plain(text: str) -> str:
    r"""Return text that stands for itself in a line of Markdown.

    >>> plain("a|b <i>")
    'a\\|b \\<i\\>'
    """
    return " ".join(text.split()).translate(_MARKUP)
