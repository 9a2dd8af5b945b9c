"""Mixtures without a run of the pipeline: fit any table, plan a search, replay one, export its result."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from cli.mixture_compare import compare_command
from cli.mixture_order import order_command
from cli.mixture_plan import plan_command
from cli.mixture_tables import fit_command, import_command, table_command
from cli.options import (
    check_writable,
    file_type,
    json_option,
    params_option,
    preset_option,
    set_option,
    write_text,
)
from tasks.core.errors import DataError
from tasks.core.once import OnceGroup
from tasks.core.text_table import text_table
from tasks.mixture.export import Destination, Format, export
from tasks.mixture.published import read_recipe
from tasks.mixture.runs import read_runs
from tasks.runtime.command import exit_codes

if TYPE_CHECKING:
    from tasks.mixture.simulate import Replay


@click.group(cls=OnceGroup)
def mixture() -> None:
    """Bring in and fit any table of runs, plan a search, replay one, export a mixture to other trainers."""


for command in (compare_command, fit_command, import_command, order_command, plan_command, table_command):
    mixture.add_command(command)


@mixture.command("simulate")
@click.option("--runs", "runs_file", type=file_type, required=True, help="runs.csv: what the truth is fitted to.")
@preset_option
@params_option
@set_option
@click.option("--tokens", "pool_folder", type=file_type, help="Published folder of tokenize, for the caps; else none.")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Searches per strategy.")
@click.option("--noise-sd", type=click.FloatRange(min=0), help="Of one run, instead of what the table says.")
@json_option
def simulate_command(
    runs_file: Path,
    preset: str,
    params_file: Path | None,
    settings: tuple[str, ...],
    pool_folder: Path | None,
    seeds: int,
    noise_sd: float | None,
    as_json: bool,
) -> None:
    """Replay the configured search on a truth fitted to measured runs; print its regret beside the baselines."""
    from dataclasses import replace

    from threadpoolctl import threadpool_limits

    from flows.config import read_config, resolved
    from infra.terminal import TerminalObserver
    from tasks.mixture.pool_problem import problem_of
    from tasks.mixture.simulate import free_problem, replay, truth_of
    from tasks.tokenize.pool import read_pool

    with exit_codes(), threadpool_limits(1):
        # A replay confirms nothing, so its budget need not reach for that.
        config = resolved(read_config(preset, params_file, (*settings, "search.confirm=null")))
        params, runs = config.params.search, read_runs(runs_file)
        if pool_folder is None:
            problem = free_problem(params, runs, str(runs_file))
        else:
            problem = problem_of(params, read_pool(pool_folder))
            if problem.names != runs.domains:
                raise DataError(
                    f"{runs_file}: its domains are not those of {pool_folder}. Name the pool it was made on."
                )
        truth, choice = truth_of(params, runs, str(runs_file))
        truth = truth if noise_sd is None else replace(truth, run_sd=noise_sd)
        with TerminalObserver(quiet=as_json) as observer:
            result = replay(
                params, problem, truth, seeds, lambda done, total: observer.progress("simulate: rounds", done, total)
            )
        if as_json:
            facts = {"truth": choice.predictor.name, "run_sd": truth.run_sd, "seed_sd": truth.seed_sd, "seeds": seeds}
            click.echo(json.dumps({**facts, **result.to_json()}))
            return
        click.echo(
            f"truth: {choice.predictor.name} fitted to {runs_file} (Spearman {choice.score.spearman:.3f} on runs left "
            f"out), noise of a run {truth.run_sd:.4f}, shift of a seed {truth.seed_sd:.4f}. It is one of our own "
            "predictors, so it is kinder than the world."
        )
        click.echo("\n".join(_replay_lines(result)))


@mixture.command("export")
@click.option("--recipe", "recipe_file", type=file_type, required=True, help="recipe.json of a search.")
@click.option("--format", "format_", type=click.Choice(get_args(Format)), required=True)
@click.option("--output", type=file_type, required=True, help="File to write.")
@click.option("--data", help="Where each domain's data is, such as s3://bucket/{domain}/*.npy; {index} works too.")
@click.option("--stage", type=click.IntRange(min=0), help="Of a recipe with several, counted from 0.")
@click.option("--tokens-per-step", type=click.IntRange(min=1), help="nanotron: where a later stage begins.")
def export_command(
    recipe_file: Path, format_: Format, output: Path, data: str | None, stage: int | None, tokens_per_step: int | None
) -> None:
    """Write a recipe's mixture in the shape that another trainer's config takes."""
    with exit_codes():
        text = export(read_recipe(recipe_file), format_, Destination(data, stage, tokens_per_step))
        check_writable(output)
        write_text(output, text)
        click.echo(f"{output}: the mixture for {format_}")


def _replay_lines(result: "Replay") -> list[str]:
    rows = []
    for row in result.to_json()["strategies"]:
        regrets = row["regrets"]
        mean = sum(regrets) / len(regrets)
        spread = (sum((value - mean) ** 2 for value in regrets) / max(len(regrets) - 1, 1)) ** 0.5
        rows.append((row["strategy"], f"{row['runs']}", f"{mean:.4f}", f"{spread:.4f}"))
    rows += [(name, "", f"{regret:.4f}", "") for name, regret in result.baselines.items()]
    return text_table(("strategy", "runs", "regret", "sd"), rows)
