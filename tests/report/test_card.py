"""The model card."""

import re

import yaml

from tasks.report.card import model_card
from tasks.report.load import PageContent
from tests.report.names import DOMAINS


def test_the_card_tells_the_mixture_the_ledger_the_figures_and_every_digest(content: PageContent) -> None:
    card = model_card(content)
    head, body = card.split("---\n")[1:]
    assert yaml.safe_load(head)["library_name"] == "transformers"
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in body.splitlines() if line.startswith("|")]
    table = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows[2 : 2 + len(DOMAINS)]}
    weights, epochs = content.recipe.searched, content.training.epochs["searched"]
    assert table["def-self-return"][:3] == [f"{weights[0]:.1%}", "4,000", f"{epochs[0]:.2f}"]
    assert f"| all domains | {content.evaluation.overall['searched']:.4f} |" in body
    for stage in content.lineage:
        assert f"| {stage.stage} | `{stage.output}` | `{stage.key}` |" in body


def test_names_from_the_data_are_no_markup(content: PageContent) -> None:
    card = model_card(content)
    assert "a\\<b\\>&" in card and "<b>" not in card
