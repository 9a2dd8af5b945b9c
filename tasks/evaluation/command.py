"""What the command `mixwright evaluate` has beyond a plain command: a model of others, results of the harness, pictures."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tasks.runtime.command import StageExtras, instead_of, short_for

if TYPE_CHECKING:
    from tasks.runtime.task import Shown


def show(folder: Path) -> "Shown":
    """Return loss against epochs: a picture for each of the domains that were repeated most, and all as a table."""
    from tasks.evaluation.published_like import LossAgainstEpochs
    from tasks.pictures.canvas import standalone
    from tasks.pictures.epochs import lines_of, loss_against_epochs, most_repeated, rows_of
    from tasks.runtime.task import Shown

    found = LossAgainstEpochs.read(folder)
    pictures = {
        name: standalone(loss_against_epochs(name, domain, lines_of(found, domain)))
        for name, domain in ((f"epochs-{number}", domain) for number, domain in enumerate(most_repeated(found)))
    }
    return Shown(pictures, (), {"loss-against-epochs": [asdict(row) for row in rows_of(found)]})


EXTRAS = StageExtras(
    show=show,
    options=(
        instead_of(
            "tokenize",
            "search",
            "train",
            name="model",
            folder=True,
            help="A model of others, put to the tasks alone: a Hugging Face folder or a GGUF file, in place of `--input`.",
        ),
        short_for(
            lambda files: [f"evaluate.harness_results={json.dumps([{'file': file} for file in files])}"],
            "--harness-results",
            multiple=True,
            type=click.Path(dir_okay=False),
            help="results_*.json of lm-evaluation-harness, taken in for the model that was asked; repeatable.",
        ),
    ),
)
