"""The model card of the exported model: Markdown with a YAML head, as model hubs show it beside the weights."""

from pathlib import Path

from tasks.mixture.published import MIXTURES
from tasks.pages.templating import environment
from tasks.report.load import PageContent

TEMPLATES = Path(__file__).with_name("templates")


def model_card(content: PageContent) -> str:
    """Return the card: what the model was trained on, how often it saw each domain, how it was judged, and every digest.

    The exported model is the first of the searched mixture, or the first there is.
    """
    mixture = next(name for name in MIXTURES if name in content.training.epochs)
    return (
        environment(TEMPLATES, html=False)
        .get_template("model_card.md")
        .render(
            content=content,
            found=content.evaluation,
            decision=content.evaluation.decision,
            mixture=mixture,
            weights=content.recipe.weights(mixture),
            epochs=content.training.epochs[mixture],
            bits=content.evaluation.means[mixture],
        )
    )
