"""Tables of measured mixtures as a user types it: bring other projects' in, fit any, write ours for others."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.options import check_writable, count, file_type, json_option, working, write_text
from tasks.core.errors import ConfigError
from tasks.core.once import Once
from tasks.core.text_table import text_table
from tasks.core.words import counted
from tasks.mixture.runs import PREFIXES, LossUnit, read_runs, to_csv
from tasks.runtime.command import exit_codes

if TYPE_CHECKING:
    from tasks.mixture.tables.fit import Measurements, TableFit
    from tasks.mixture.tables.imports import Imported


@click.command("fit", cls=Once)
@click.option("--mixtures", type=file_type, help="CSV of weights, one column per domain; `index` pairs rows.")
@click.option("--losses", type=file_type, help="CSV of losses of the same runs.")
@click.option("--runs", "runs_file", type=file_type, help="runs.csv of a search, instead of the two.")
@click.option("--target", default="mean", show_default=True, help="A column of losses (or domain), or `mean` of all.")
@click.option("--predict", "predict_file", type=file_type, required=True, help="CSV of the weights to predict.")
@click.option(
    "--output",
    type=file_type,
    required=True,
    help="CSV: prediction, lower, upper (90 % of measurements), extrapolated.",
)
@json_option
def fit_command(
    mixtures: Path | None,
    losses: Path | None,
    runs_file: Path | None,
    target: str,
    predict_file: Path,
    output: Path,
    as_json: bool,
) -> None:
    """Choose a predictor by cross-validation, fit it, and predict other mixtures with intervals."""
    from tasks.mixture.predictors.choose import Selection
    from tasks.mixture.tables.fit import fit_table
    from tasks.mixture.tables.table import aligned, read_table, weights_of
    from tasks.mixture.tables.warnings import warnings_of_fit, warnings_of_table

    with exit_codes():
        measurements = _measurements(mixtures, losses, runs_file, target)
        table = aligned(read_table(predict_file), measurements.domains)
        candidates = weights_of(table)
        check_writable(output)
        _warn(warnings := warnings_of_table(measurements))
        selection = Selection()
        with working(f"fit: {len(selection.zoo)} predictors, {selection.num_folds} folds", as_json):
            fitted = fit_table(selection, measurements)
        predictions = fitted.predict(candidates.weights_RD)
        beyond = fitted.range.warning(candidates.weights_RD, table.lines)
        _warn(later := (*warnings_of_fit(measurements, fitted.choice.score), *([] if beyond is None else [beyond])))
        write_text(output, predictions.to_csv())
        result = {
            **_fit_result(measurements, fitted, candidates.normalised, len(candidates.weights_RD), output),
            "extrapolated": int(predictions.extrapolated_M.sum()),
            "warnings": [*warnings, *later],
        }
        click.echo(json.dumps(result) if as_json else _fit_text(result))


@click.command("import", cls=Once)
@click.option("--mixtures", type=file_type, required=True, help="CSV of weights, such as olmix's ratios.csv.")
@click.option("--losses", type=file_type, required=True, help="CSV of losses of the same runs, such as metrics.csv.")
@click.option("--output", type=file_type, required=True, help="Our table of runs to write.")
@click.option(
    "--loss", "only", multiple=True, metavar="COLUMN", help="Take only this column of losses; may be repeated."
)
@click.option(
    "--target", default="mean", show_default=True, help="The objective: a column of losses, or `mean` of all."
)
@click.option("--model-parameters", type=count, help="Of every run, where known.")
@click.option("--tokens", type=count, help="That every run was trained on, where known.")
@click.option("--unit", type=click.Choice(list(PREFIXES)), default="loss", show_default=True, help="Of the losses.")
@click.option("--seed", type=int, default=0, show_default=True, help="That all runs share.")
@json_option
def import_command(
    mixtures: Path,
    losses: Path,
    output: Path,
    only: tuple[str, ...],
    target: str,
    model_parameters: int | None,
    tokens: int | None,
    unit: LossUnit,
    seed: int,
    as_json: bool,
) -> None:
    """Bring in tables of another project (RegMix, olmix, your own): rows pair by index, run, run_id or name."""
    from tasks.mixture.tables.fit import measurements_of_runs
    from tasks.mixture.tables.imports import Origin, import_tables
    from tasks.mixture.tables.table import read_table
    from tasks.mixture.tables.warnings import warnings_of_table

    with exit_codes():
        origin = Origin(model_parameters or 0, tokens or 0, seed, unit)
        found = import_tables(read_table(mixtures), read_table(losses, only), origin, target)
        check_writable(output)
        warnings = warnings_of_table(measurements_of_runs(found.runs, target, str(losses)))
        _warn(warnings)
        write_text(output, to_csv(found.runs))
        result = {**_import_result(found, output), "warnings": warnings}
        click.echo(json.dumps(result) if as_json else _import_text(result))


@click.command("table", cls=Once)
@click.option("--runs", "runs_file", type=file_type, required=True, help="runs.csv of a search or of `import`.")
@click.option("--mixtures", type=file_type, required=True, help="CSV of weights to write.")
@click.option("--losses", type=file_type, required=True, help="CSV of losses to write, paired by `index`.")
@click.option("--seed", type=int, help="Which runs: one per mixture with this seed; else the first run's.")
@click.option("--model-parameters", type=click.IntRange(min=0), help="Which runs, where there are several sizes.")
@click.option("--tokens", type=click.IntRange(min=0), help="Which runs, where there are several sizes.")
def table_command(
    runs_file: Path, mixtures: Path, losses: Path, seed: int | None, model_parameters: int | None, tokens: int | None
) -> None:
    """Write a table of runs as the pair of CSV files that RegMix and olmix read."""
    from tasks.mixture.tables.imports import export_tables

    with exit_codes():
        if mixtures.resolve() == losses.resolve():
            raise ConfigError(
                f"--mixtures and --losses are both {losses}: one would replace the other. Name two files."
            )
        check_writable(mixtures, "--mixtures")
        check_writable(losses, "--losses")
        runs = read_runs(runs_file)
        texts = export_tables(runs, seed, model_parameters, tokens)
        for option, path, text in zip(("--mixtures", "--losses"), (mixtures, losses), texts, strict=True):
            write_text(path, text, option)
        click.echo(
            f"{mixtures} and {losses}: {texts[0].count(chr(10)) - 1} of {len(runs.rows)} runs, paired by `index`"
        )


def _measurements(mixtures: Path | None, losses: Path | None, runs_file: Path | None, target: str) -> "Measurements":
    from tasks.mixture.tables.fit import measurements_of_runs, measurements_of_tables
    from tasks.mixture.tables.table import read_table

    if runs_file is not None and mixtures is None and losses is None:
        return measurements_of_runs(read_runs(runs_file), target, str(runs_file))
    if runs_file is None and mixtures is not None and losses is not None:
        return measurements_of_tables(read_table(mixtures), read_table(losses), target)
    raise ConfigError("what was measured is either --mixtures with --losses, or --runs. Give one of the two.")


def _fit_result(
    measurements: "Measurements", fitted: "TableFit", normalised: int, predicted: int, output: Path
) -> dict[str, Any]:
    from tasks.mixture.tables.warnings import beats_mean

    scores = [
        {"predictor": score.name, "rmse": score.rmse, "spearman": score.spearman, "coverage": score.coverage}
        for score in fitted.choice.scores
    ]
    return {
        "predictor": fitted.choice.predictor.name,
        "target": measurements.target,
        "beats_mean": beats_mean(fitted.choice.score, measurements.measured.objective_R),
        "runs": len(measurements.measured.weights_RD),
        "domains": len(measurements.domains),
        "scores": scores,
        "interval_width_sd": fitted.width,
        "normalised": measurements.normalised,
        "predicted": predicted,
        "predicted_normalised": normalised,
        "output": str(output),
    }


def _fit_text(result: dict[str, Any]) -> str:
    of = f"{result['target']}, from {result['runs']} runs of {result['domains']} domains"
    lines = [
        f"{result['predictor']} chosen for {of}"
        if result["beats_mean"]
        else f"NO predictor beats the mean for {of}; {result['predictor']} is the least bad and ranks nothing",
    ]
    rows = [
        (score["predictor"], f"{score['rmse']:.4f}", f"{score['spearman']:.3f}", f"{score['coverage']:.1%}")
        for score in result["scores"]
    ]
    lines += text_table(("on runs left out", "rmse", "spearman", "90% held"), rows)
    lines.append(
        f"intervals: {result['interval_width_sd']:.2f} standard deviations, so that 90 % of those runs lie inside"
    )
    if result["normalised"] or result["predicted_normalised"]:
        lines.append(
            f"normalised: {result['normalised']} of {result['runs']} measured and {result['predicted_normalised']} of "
            f"{result['predicted']} mixtures to predict summed to 1 only up to printed rounding"
        )
    marked = f", {result['extrapolated']} of them extrapolated" if result["extrapolated"] else ""
    heeded = [f"{counted(len(result['warnings']), 'warning')} above"] if result["warnings"] else []
    return "\n".join([*lines, f"{result['predicted']} predictions in {result['output']}{marked}", *heeded])


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)


def _import_result(found: "Imported", output: Path) -> dict[str, Any]:
    runs = found.runs
    return {
        "runs": len(runs.rows),
        "domains": len(runs.domains),
        "sets": len(runs.sets),
        "unit": runs.unit,
        "paired_by": found.paired_by,
        "normalised": found.normalised,
        "output": str(output),
    }


def _import_text(result: dict[str, Any]) -> str:
    return (
        f"{result['output']}: {result['runs']} runs of {result['domains']} domains, {result['sets']} held-out sets "
        f"({result['unit']}); rows paired by {result['paired_by']}, columns keep their names\n"
        f"normalised: {result['normalised']} of {result['runs']} mixtures summed to 1 only up to printed rounding"
    )
