"""`mixwright generate`: documents written by trained models, for a student to be trained on."""

import json
from pathlib import Path
from typing import Any

import click

from cli.options import count, folder_type, here, json_option
from tasks.core.once import Once
from tasks.runtime.command import exit_codes


@click.command(cls=Once)
@click.option(
    "--model",
    "folders",
    type=folder_type,
    multiple=True,
    required=True,
    help="Folder of a model: a train stage's models/RUN, or Hugging Face's. Several write as one.",
)
@click.option("--tokens", type=folder_type, required=True, help="Published folder of tokenize: the models' tokenizer.")
@click.option("--output", type=folder_type, required=True, help="Folder to publish.")
@click.option("--documents", "num_documents", type=count, help="How many; default: 1000.")
@click.option("--temperature", type=click.FloatRange(min=0), help="0 = the likeliest tokens; default: 1.")
@click.option("--max-tokens", type=count, help="Of a document; default: the context of the models.")
@click.option(
    "--prompt-tokens", type=click.IntRange(min=0), help="First tokens of training documents to begin with; default: 0."
)
@click.option("--seed", type=click.IntRange(min=0), help="Of what is drawn; default: 0.")
@click.option("--source", help="The source of the documents; default: teacher.")
@click.option("--workers", type=click.IntRange(min=1), help="Files at the same time; changes no result.")
@json_option
def generate(
    folders: tuple[Path, ...], tokens: Path, output: Path, workers: int | None, as_json: bool, **settings: Any
) -> None:
    """Let trained models write documents that ingest reads; several write as one, by the mean of their probabilities.

    They lie in OUTPUT/documents. Each says which models wrote it, with which seed, temperature and beginning.
    """
    from tasks.core.params import validate
    from tasks.generation.config import GenerateParams
    from tasks.generation.published import DOCUMENTS_FOLDER, Generated
    from tasks.generation.stage import run

    with exit_codes():
        given = {name: value for name, value in settings.items() if value is not None}
        params = validate(GenerateParams, given, "generate")
        with here(as_json, workers) as workshop:
            run(params, inputs={"tokenize": tokens}, models=folders, output=output, workshop=workshop)
        told = Generated.read(output)
        if as_json:
            click.echo(json.dumps(told.model_dump(mode="json", exclude={"format"})))
            return
        click.echo(
            f"{told.documents:,} documents, {told.tokens:,} tokens, {told.bytes:,} bytes; {told.cut:,} were cut, "
            f"{told.empty:,} had no text and were left out, {told.not_text:,} hold bytes that are no text\n"
            f"{output / DOCUMENTS_FOLDER}: an --input of ingest"
        )
