"""`mixwright ensemble`: several models measured as one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import count, folder_type, json_option, working
from tasks.core.once import Once
from tasks.core.text_table import text_table
from tasks.runtime.command import exit_codes

if TYPE_CHECKING:
    from tasks.tokenize.published import Split


@click.command(cls=Once)
@click.option(
    "--model",
    "folders",
    type=folder_type,
    multiple=True,
    required=True,
    help="Folder of a model: a train stage's models/RUN, or Hugging Face's. Once for each.",
)
@click.option("--tokens", type=folder_type, required=True, help="Published folder of tokenize.")
@click.option(
    "--split", type=click.Choice(("search", "test")), default="test", show_default=True, help="Held-out text."
)
@click.option("--tokens-per-domain", type=count, help="At most, spread over the split; default: all.")
@json_option
def ensemble(
    folders: tuple[Path, ...], tokens: Path, split: "Split", tokens_per_domain: int | None, as_json: bool
) -> None:
    """Measure several models as one, by the mean of their probabilities: bits per byte of held-out text, by domain."""
    from tasks.evaluation.ensemble import measured_ensemble
    from tasks.tokenize.pool import read_pool

    with exit_codes():
        with working(f"measuring {len(folders)} models", as_json):
            found = measured_ensemble(folders, tokens, read_pool(tokens, split), split, tokens_per_domain)
        if as_json:
            click.echo(json.dumps({"members": found.members, "ensemble": found.ensemble}, indent=1))
            return
        rows = [*found.members.items(), (f"all {len(folders)} together", found.ensemble)]
        told = text_table(("model", *found.ensemble, "mean"), ((name, *_cells(values)) for name, values in rows))
        click.echo("\n".join(told))


def _cells(values: Mapping[str, float]) -> list[str]:
    return [f"{value:.4f}" for value in (*values.values(), sum(values.values()) / len(values))]
