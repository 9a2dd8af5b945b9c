"""`mixwright harness`: lm-evaluation-harness, which knows our models here."""

import sys

import click

from tasks.core.errors import ConfigError
from tasks.core.once import Once
from tasks.runtime.command import exit_codes


@click.command(cls=Once, context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="OPTIONS OF lm-eval")
def harness(words: tuple[str, ...]) -> None:
    """Run lm-evaluation-harness on a model of Mixwright, by its own options.

    \b
    mixwright harness --model mixwright --model_args pretrained=FOLDER \\
        --tasks arc_easy,hellaswag --output_path RESULTS --log_samples

    Needs the extra `harness`. pretrained=FOLDER is a model as Hugging Face lays it out (the folder `export` of train), or a
    GGUF file; for a folder of `models` of train add tokenizer=FILE, the tokenizer.json of tokenize. too_long=cut cuts the
    beginning of a request that is longer than the model's context, as the harness's own models do; else it is refused. All
    other options are told by `lm-eval run --help`.
    """  # noqa: D301 (click wants the character that \b is)
    with exit_codes():
        from lm_eval.__main__ import cli_evaluate

        from tasks.evaluation.harness.adapter import register

        register()
        # The harness reads its options from here.
        sys.argv = ["lm-eval", *words]
        try:
            cli_evaluate()
        except ValueError as error:
            # So it tells mistakes in its options.
            raise ConfigError(f"lm-evaluation-harness: {error}") from error
