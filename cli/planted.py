"""`mixwright planted`: what the experiments that were planted into trained runs show."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import folder_type, here, json_option
from tasks.core.once import Once
from tasks.core.text_table import text_table
from tasks.core.words import counted
from tasks.runtime.command import exit_codes

if TYPE_CHECKING:
    from tasks.evaluation.planted.published import PlantedEffects, PlantedMixture

_COLUMNS = ("experiment", "planted", "units", "bits per byte", "gain", "lower", "upper")


@click.command(cls=Once)
@click.option(
    "--train", "folder", type=folder_type, required=True, help="Published folder of train, with train.planted."
)
@click.option("--tokens", "pool_folder", type=folder_type, required=True, help="Published folder of tokenize.")
@click.option(
    "--alone",
    type=folder_type,
    multiple=True,
    help="Published folder of train with one of the experiments alone: do the others change its effect? Repeatable.",
)
@click.option(
    "--output", type=folder_type, required=True, help="Folder to write planted.json and dependence.json into."
)
@click.option(
    "--confidence",
    type=click.FloatRange(0.5, 1, min_open=True, max_open=True),
    default=0.95,
    show_default=True,
    help="Of the intervals, and of what is claimed.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Models at the same time; changes no result.")
@json_option
def planted(
    folder: Path,
    pool_folder: Path,
    alone: tuple[Path, ...],
    output: Path,
    confidence: float,
    workers: int | None,
    as_json: bool,
) -> None:
    """Measure the effect of each planted experiment, and whether the experiments change each other's effects.

    Works on runs of any recipe; `evaluate` says the same of a search's runs where evaluate.planted is not null.
    """
    from tasks.evaluation.planted.dependence import dependence
    from tasks.evaluation.planted.params import PlantedParams
    from tasks.evaluation.planted.stage import effects_in

    with exit_codes():
        output.mkdir(parents=True, exist_ok=True)
        with here(as_json, workers) as workshop:
            own = (pool_folder, PlantedParams(), confidence, workshop)
            found = effects_in(folder, *own)
            changed = dependence(found, [effects_in(one, *own) for one in alone]) if alone else None
        found.write(output)
        if changed is not None:
            changed.write(output)
        if as_json:
            click.echo(found.text(), nl=False)
            return
        click.echo("\n".join(lines(found)))
        if changed is not None:
            click.echo(changed.statement)


def lines(found: "PlantedEffects") -> Iterator[str]:
    """Yield what people are told of the effects."""
    for mixture in found.mixtures:
        yield f"{mixture.mixture}, {counted(len(mixture.seeds), 'seed')}:"
        yield from (f"  {line}" for line in text_table(_COLUMNS, list(_rows(mixture))))
        yield from (f"  {one.statement}" for one in mixture.experiments)
        test = mixture.interactions
        yield f"  {'no two experiments have items in common' if test is None else test.statement}"


def _rows(mixture: "PlantedMixture") -> Iterator[tuple[str, ...]]:
    for one in mixture.experiments:
        yield one.experiment, "0", str(one.control_units), f"{one.control_bits_per_byte:.4f}", "", "", ""
        for level in one.levels:
            numbers = (f"{level.gain:+.4f}", f"{level.lower:+.4f}", f"{level.upper:+.4f}")
            yield "", str(level.exposures), str(level.units), f"{level.bits_per_byte:.4f}", *numbers
