"""`mixwright mixture compare`: methods of search against each other, by full training runs on one pool."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import file_type, folder_type, here, json_option, params_option, preset_option, set_option
from tasks.core.once import Once
from tasks.runtime.command import asked_of, decided_once, exit_codes

if TYPE_CHECKING:
    from flows.config import PipelineParams
    from tasks.comparison.config import ComparisonParams
    from tasks.comparison.published import ComparisonTable


@click.command("compare", cls=Once)
@click.option("--tokens", "pool_folder", type=file_type, required=True, help="Published folder of tokenize.")
@click.option("--output", type=folder_type, required=True, help="Folder to publish: page, table, every search.")
@preset_option
@params_option
@set_option
@click.option(
    "--method", "methods", multiple=True, help="Of search.strategy.kind; repeatable. [default, regmix, climb]"
)
@click.option("--search-seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Searches per method.")
@click.option("--workers", type=click.IntRange(min=1), help="Runs at the same time; changes no result.")
@json_option
def compare_command(
    pool_folder: Path,
    output: Path,
    preset: str,
    params_file: Path | None,
    settings: tuple[str, ...],
    methods: tuple[str, ...],
    search_seeds: int,
    workers: int | None,
    as_json: bool,
) -> None:
    """Search with every method and seed, train what each finds beside the baselines, and print the table.

    The default pays for noise and confirmation out of the same number of proxies; the others are as released.
    """
    from flows.config import read_config, resolved_params
    from infra.settings import load_settings
    from tasks.comparison.published import ComparisonTable
    from tasks.comparison.stage import run

    with exit_codes():
        sections = read_config(preset, params_file, settings).params
        asked = asked_of("compare", _params(sections, methods, search_seeds), {"tokenize": pool_folder})
        sections = decided_once(sections, resolved_params, load_settings().home, asked)
        params = _params(sections, methods, search_seeds)
        with here(as_json, workers) as workshop:
            run(params, inputs={"tokenize": pool_folder}, output=output, workshop=workshop)
        found = ComparisonTable.read(output)
        click.echo(
            json.dumps(found.model_dump(mode="json", exclude={"format"})) if as_json else _summary(found, output)
        )


def _params(sections: "PipelineParams", methods: tuple[str, ...], search_seeds: int) -> "ComparisonParams":
    from tasks.comparison.config import TRAINING_SEED, ComparisonParams
    from tasks.core.params import validate

    train, evaluate = sections.train, sections.evaluate
    values: dict[str, object] = {
        "search": sections.search,
        "training": train.training,
        "num_training_seeds": train.num_seeds,
        "training_seed": TRAINING_SEED + train.seed,
        "test_tokens_per_domain": evaluate.test_tokens_per_domain,
        "confidence": evaluate.confidence,
        "num_search_seeds": search_seeds,
    }
    if methods:
        values["methods"] = [{"strategy": {"kind": kind}, "confirmed": kind == "default"} for kind in methods]
    return validate(ComparisonParams, values, "mixture compare")


def _summary(found: "ComparisonTable", output: Path) -> str:
    table = (output / "table.md").read_text(encoding="utf-8")
    first = "the first method"
    lines = [
        f"{first} over {name}: {gain.gain:+.4f}"
        + ("" if gain.lower is None else f" ({gain.lower:+.4f} to {gain.upper:+.4f})")
        for name, gain in found.versus.items()
    ]
    return "\n".join(
        [table.rstrip(), "", *lines, f"{output}: page.html, table.md, methods.svg, trained.csv, searches/"]
    )
