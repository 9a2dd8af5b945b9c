"""`mixwright ladder`: plan, run and fit a ladder of sizes x tokens, and forecast a larger run with intervals."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.law import confidence_option
from cli.options import check_writable, file_type, folder_type, here, json_option, working, write_text
from tasks.core.errors import ConfigError
from tasks.core.once import Once, OnceGroup
from tasks.core.text_table import text_table
from tasks.core.words import counted, percent
from tasks.runtime.command import asked_of, decided_once, exit_codes

if TYPE_CHECKING:
    from tasks.ladder.config import LadderParams
    from tasks.ladder.forecast import At
    from tasks.ladder.published import Check, LadderForecast
    from tasks.ladder.stage import Planned

params_option = click.option(
    "--params", "params_file", type=file_type, help="YAML with what differs from the default ladder."
)
tokens_option = click.option(
    "--tokens", "pool_folder", type=folder_type, required=True, help="Published folder of tokenize."
)
budget_option = click.option(
    "--budget-flops",
    type=click.FloatRange(min=0, min_open=True),
    help="Refuse a ladder that takes more floating-point operations.",
)
_FORECAST = ("set", "params", "tokens", "prediction", "lower", "upper", "extrapolation")
_NAIVE = ("naive", "naive_lower", "naive_upper")


@click.group(cls=OnceGroup)
def ladder() -> None:
    """Train a ladder of small sizes x tokens, and forecast what a larger run will reach."""


@ladder.command("plan", cls=Once)
@params_option
@tokens_option
@budget_option
def plan_command(params_file: Path | None, pool_folder: Path, budget_flops: float | None) -> None:
    """Print every run with its parameters, tokens and FLOPs, and which are in the store already. Trains nothing."""
    from tasks.ladder.plan import require_affordable
    from tasks.ladder.stage import plan

    with exit_codes():
        params = _params(params_file, pool_folder)
        with here(quiet=True) as workshop:
            found, pool = plan(params, inputs={"tokenize": pool_folder}, workshop=workshop)
        click.echo("\n".join(_plan_lines(found)))
        require_affordable([one.run for one in found], pool.vocab_size, budget_flops)


@ladder.command("run", cls=Once)
@params_option
@tokens_option
@budget_option
@click.option("--output", type=folder_type, required=True, help="Folder to publish: runs.csv and ladder.json.")
@click.option("--workers", type=click.IntRange(min=1), help="Runs at the same time; changes no result.")
@json_option
def run_command(
    params_file: Path | None,
    pool_folder: Path,
    budget_flops: float | None,
    output: Path,
    workers: int | None,
    as_json: bool,
) -> None:
    """Train all runs of the ladder and measure bits per byte of every domain's test split.

    Runs that were made before are taken from the store.
    """
    from tasks.ladder.published import RUNS_FILE, Ladder
    from tasks.ladder.stage import run

    with exit_codes():
        params = _params(params_file, pool_folder)
        with here(as_json, workers) as workshop:
            run(
                params,
                inputs={"tokenize": pool_folder},
                output=output,
                workshop=workshop,
                budget_flops=budget_flops,
            )
        told = Ladder.read(output)
        if as_json:
            click.echo(told.text(), nl=False)
            return
        click.echo(
            f"{output}: {counted(len(told.runs), 'run')}, {told.spent_flops:.3g} FLOPs; {RUNS_FILE}, {Ladder.FILE}"
        )


@ladder.command("fit", cls=Once)
@click.option("--runs", "runs_folder", type=folder_type, required=True, help="Folder that `ladder run` published.")
@click.option(
    "--at", "at", multiple=True, required=True, metavar="params=N,tokens=D", help="A run to forecast; repeatable."
)
@click.option("--output", type=file_type, required=True, help="CSV to write: a row for every set and run forecast.")
@click.option(
    "--kind",
    type=click.Choice(("over_training", "chinchilla", "proportional")),
    default="over_training",
    show_default=True,
    help="Which law; proportional = from two sizes with as many tokens per parameter as are asked for.",
)
@confidence_option
@json_option
def fit_command(
    runs_folder: Path, at: tuple[str, ...], output: Path, kind: str, confidence: float, as_json: bool
) -> None:
    """Forecast bits per byte of larger runs, per set and for the mean of all, with intervals.

    Beside each stands the naive forecast: what the largest size reached, and the spread of its runs. Sizes are held out in
    turn and forecast from the smaller ones, and what was measured is printed beside.
    """
    from tasks.ladder.forecast import forecast, read_runs
    from tasks.ladder.proportional import Proportional
    from tasks.ladder.published import RUNS_FILE
    from tasks.laws.chinchilla import Chinchilla
    from tasks.laws.over_training import OverTraining

    with exit_codes():
        asked = [_at(one) for one in at]
        runs = read_runs(runs_folder / RUNS_FILE)
        check_writable(output)
        law = {"over_training": OverTraining, "chinchilla": Chinchilla, "proportional": Proportional}[kind]()
        with working(f"fit: {kind}", as_json):
            told = forecast(runs, law, asked, confidence)
        write_text(output, _csv(told))
        click.echo(told.text() if as_json else "\n".join(_forecast_lines(told, output)), nl=not as_json)


def _params(params_file: Path | None, pool_folder: Path) -> "LadderParams":
    from infra.settings import load_settings
    from tasks.core.params import layered, read_yaml, validate
    from tasks.ladder.config import LadderParams

    given = {} if params_file is None else read_yaml(params_file)
    values = layered(LadderParams().model_dump(mode="json"), given)
    params = validate(LadderParams, values, str(params_file or "(defaults)"))
    asked = asked_of("ladder", params, {"tokenize": pool_folder})
    return decided_once(params, _decided, load_settings().home, asked)


def _decided(params: "LadderParams") -> "LadderParams":
    from tasks.training.command import full_precision

    return params.model_copy(update={"training": params.training.decided(full_precision())})


def _at(text: str) -> "At":
    from tasks.ladder.forecast import At

    pairs = dict(part.partition("=")[::2] for part in text.split(","))
    try:
        values = {name: float(value) for name, value in pairs.items()}
        found = At(values.pop("params"), values.pop("tokens"))
    except (KeyError, ValueError) as error:
        raise ConfigError(f"--at {text}: write it as params=1e9,tokens=2e10.") from error
    if values or not (0 < found.params < float("inf") and 0 < found.tokens < float("inf")):
        raise ConfigError(f"--at {text}: params and tokens alone, both above 0; write it as params=1e9,tokens=2e10.")
    return found


def _plan_lines(found: "list[Planned]") -> list[str]:
    ordered = sorted(found, key=lambda one: (one.run.parameters, one.run.spec.training.num_tokens, one.run.spec.seed))
    rows = [
        (
            one.run.spec.name,
            f"{one.run.parameters:,}",
            f"{one.run.spec.training.num_tokens:,}",
            "trunk" if one.run.spec.trunk is None else f"branch at step {one.run.spec.trunk.step:,}",
            f"{one.flops:.3g}",
            f"{one.spent:.3g}",
            "in the store" if one.finished else "",
        )
        for one in ordered
    ]
    head = ("run", "parameters", "tokens", "", "FLOPs", "of its own", "")
    total = sum(one.spent for one in found)
    left = sum(one.spent for one in found if not one.finished)
    done = sum(one.finished for one in found)
    return [
        *text_table(head, rows),
        f"{counted(len(found), 'run')}, {total:.3g} FLOPs together; {done} in the store, {left:.3g} FLOPs to be spent",
    ]


def _csv(told: "LadderForecast") -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, (*_FORECAST, *_NAIVE), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(one.model_dump() for one in told.forecasts)
    return stream.getvalue()


def _forecast_lines(told: "LadderForecast", output: Path) -> list[str]:
    rows = [
        (
            one.set,
            f"{one.params:.4g}",
            f"{one.tokens:.4g}",
            f"{one.prediction:.4f}",
            f"{one.lower:.4f} to {one.upper:.4f}",
            f"{one.extrapolation:.3g}x",
            f"{one.naive:.4f}",
            f"{one.naive_lower:.4f} to {one.naive_upper:.4f}",
        )
        for one in told.forecasts
    ]
    interval = percent(told.confidence)
    head = ("set", "params", "tokens", "bits per byte", interval, "beyond", "naive", interval)
    lines = [*text_table(head, rows), ""]
    if told.check is None:
        lines.append("not checked: without its largest size the ladder cannot identify the law; add a size or tokens")
    else:
        lines += [*_check_lines(told.check), ""]
    if told.bending_sizes:
        sizes = ", ".join(f"{each:,.0f}" for each in told.bending_sizes)
        lines += [
            f"{counted(len(told.bending_sizes), 'size')} (of {sizes} parameters) lose more per doubling of tokens late than "
            "early, as no power law does: forecasts miss by percents. Raise tokens_per_parameter.",
            "",
        ]
    lines.append(f"{counted(len(told.forecasts), 'forecast')} from {counted(told.runs, 'run')} in {output}")
    return lines


def _check_lines(check: "Check") -> list[str]:
    from tasks.ladder.forecast import MEAN

    rows = [
        (
            f"{one.params:.4g}",
            f"{one.tokens:.4g}",
            f"{one.extrapolation:.3g}x",
            f"{one.prediction:.4f}",
            f"{one.lower:.4f} to {one.upper:.4f}",
            f"{one.measured:.4f}",
            f"{(one.prediction - one.measured) / one.measured:+.2%}",
            f"{(one.naive - one.measured) / one.measured:+.2%}",
        )
        for one in check.forecasts
        if one.set == MEAN and one.measured is not None
    ]
    head = (f"held out: {MEAN}", "tokens", "beyond", "forecast", "interval", "measured", "error", "naive error")
    single = sum(one.set != MEAN for one in check.forecasts)
    return [
        *text_table(head, rows),
        f"single sets: {counted(single, 'forecast')} in {counted(check.clusters, 'cluster')} (sizes x sets): "
        f"{check.coverage:.0%} inside (naive {check.naive_coverage:.0%}), interval score {check.interval_score:.4f} (naive "
        f"{check.naive_interval_score:.4f}), median error {check.median_error:.2%} (naive {check.naive_median_error:.2%})",
    ]
