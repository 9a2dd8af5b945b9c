"""What the command `mixwright evaluate` has beyond a plain command: a model of others, results of the harness."""

import json

import click

from tasks.runtime.command import StageExtras, instead_of, short_for

EXTRAS = StageExtras(
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
