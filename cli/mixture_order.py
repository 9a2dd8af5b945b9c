"""`mixwright mixture order`: a recipe that trains on domains one after the other, in an order by how alike they are."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import check_writable, file_type, folder_type, write_text
from tasks.core.errors import ConfigError
from tasks.core.once import Once
from tasks.core.text_table import text_table
from tasks.mixture.domain_order import ORDERS, OrderKind
from tasks.runtime.command import exit_codes

if TYPE_CHECKING:
    from tasks.embedding.kinds import Embedder

share = click.FloatRange(min=0, max=1, min_open=True, max_open=True)


@click.command("order", cls=Once)
@click.option("--curate", "curated", type=folder_type, required=True, help="Published folder of curate.")
@click.option("--cluster", "clustered", type=folder_type, required=True, help="Published folder of cluster.")
@click.option("--order", "kind", type=click.Choice(ORDERS), default="similar", show_default=True)
@click.option("--first", help="Domain that stands first; by default the largest. Not for random.")
@click.option("--domain", "chosen", multiple=True, help="Domain to train on; repeatable, by default all.")
@click.option("--tokens", type=click.IntRange(min=1), required=True, help="Of each domain's stage.")
@click.option("--replay", type=share, help="Share of every stage but the first of what came before.")
@click.option("--max-epochs", type=click.FloatRange(min=0, min_open=True), default=4.0, show_default=True)
@click.option(
    "--documents", type=click.IntRange(min=1), default=200, show_default=True, help="Of each domain, compared."
)
@click.option("--embedder", help='YAML, such as "{kind: wordllama}"; by default TF-IDF, learned from these documents.')
@click.option("--max-chars", type=click.IntRange(min=1), default=2000, show_default=True, help="Of a document.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--output", type=file_type, required=True, help="File of the recipe to write.")
def order_command(
    curated: Path,
    clustered: Path,
    kind: OrderKind,
    first: str | None,
    chosen: tuple[str, ...],
    tokens: int,
    replay: float | None,
    max_epochs: float,
    documents: int,
    embedder: str | None,
    max_chars: int,
    seed: int,
    output: Path,
) -> None:
    """Write a recipe of a stage for each domain, in an order by the cosine of their mean embeddings."""
    from tasks.cluster.published.domains import Domains
    from tasks.embedding.domains import mean_vectors, sampled_texts
    from tasks.embedding.kinds import DEFAULT
    from tasks.mixture.domain_order import cosines, in_order
    from tasks.mixture.published import Recipe

    with exit_codes():
        names = Domains.read(clustered).names
        wanted = chosen or names
        if strangers := [one for one in (*wanted, *([first] if first else [])) if one not in names]:
            raise ConfigError(f"{clustered} has no domain {strangers[0]}; it has {', '.join(names)}.")
        if first is not None and first not in wanted:
            raise ConfigError(f"--first {first} is none of the domains to train on: {', '.join(wanted)}.")
        check_writable(output)
        config = DEFAULT if embedder is None else _embedder(embedder)
        texts = sampled_texts(curated, clustered, documents, seed)
        some = {place: texts[place] for place, name in enumerate(names) if name in wanted and place in texts}
        own = tuple(names[place] for place in some)
        with tempfile.TemporaryDirectory() as folder:
            near = cosines(mean_vectors(some, config, max_chars, seed, Path(folder)), own)
        places = in_order(near, kind, own.index(first) if first else 0, seed)
        stages = [
            {"tokens": tokens, "weights": [float(name == own[place]) for name in own]}
            | ({"replay": {"share": replay}} if replay is not None and number else {})
            for number, place in enumerate(places)
        ]
        recipe = {"format": 4, "name": kind, "domains": own, "stages": stages, "max_epochs": max_epochs}
        write_text(output, Recipe.model_validate(recipe).text())
        told = zip(places, [None, *places], strict=False)
        rows = [[own[place], "" if before is None else f"{near[before, place]:.3f}"] for place, before in told]
        click.echo("\n".join(text_table(["domain", "cosine with the one before"], rows)))
        click.echo(f"{output}: a recipe of {len(stages)} stages of {tokens:,} tokens, {kind} order")


def _embedder(text: str) -> "Embedder":
    """Return the embedder that an option names.

    Raises:
        ConfigError: it is none.
    """
    from pydantic import TypeAdapter, ValidationError

    from tasks.core.yaml_text import parse_yaml
    from tasks.embedding.kinds import Embedder

    try:
        found: Embedder = TypeAdapter(Embedder).validate_python(parse_yaml(text))
    except (ValueError, ValidationError) as error:
        raise ConfigError(
            f"--embedder {text}: {error}. Write it as in params.yaml, such as {{kind: tfidf}}."
        ) from error
    return found
