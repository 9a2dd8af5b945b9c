"""Scaling laws as a user types it: fit one to any table of runs, predict another's rows; multipliers against a twin."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import check_writable, file_type, json_option, working, write_text
from tasks.core.once import Once, OnceGroup
from tasks.core.text_table import text_table
from tasks.core.words import counted, percent
from tasks.runtime.command import exit_codes

if TYPE_CHECKING:
    from tasks.laws.kinds import LawParams
    from tasks.laws.multiplier import By
    from tasks.laws.published import LawFit
    from tasks.laws.table import LawTable

KINDS = ("chinchilla", "over_training", "d_cpt", "cmr", "loss_to_loss", "cod")

confidence_option = click.option(
    "--confidence",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.8,
    show_default=True,
    help="Share of runs that the intervals are to hold.",
)


@click.group(cls=OnceGroup)
def law() -> None:
    """Fit a scaling law to a table of runs, and predict larger ones with intervals."""


@law.command("fit", cls=Once)
@click.option("--kind", type=click.Choice(KINDS), required=True, help="Which law; see above.")
@click.option("--runs", "runs_file", type=file_type, required=True, help="CSV of the runs it is fitted to.")
@click.option("--predict", "predict_file", type=file_type, required=True, help="CSV of the rows to predict.")
@click.option("--output", type=file_type, required=True, help="CSV to write: the rows and their predictions.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Of the law, such as objective=squares; repeatable."
)
@confidence_option
@json_option
def fit_command(
    kind: str,
    runs_file: Path,
    predict_file: Path,
    output: Path,
    settings: tuple[str, ...],
    confidence: float,
    as_json: bool,
) -> None:
    """Fit a law to a table of runs, and predict the rows of another.

    Columns of RUNS (others may stand beside them), and what is predicted:

    \b
    chinchilla     params, tokens, loss          loss; E + A/N^alpha + B/D^beta
    over_training  params, tokens, loss          loss; error too where there is a column
                   (error, use)                  `error`; `use` (loss, error, both) says
                                                 which law a run is fitted in
    d_cpt          params, tokens, ratio, loss   loss; ratio = share of the corpus it is of
    cmr            params, tokens, ratio, loss   loss of these sizes; critical_ratio where a
                                                 row with 0 tokens gives the loss before
    loss_to_loss   loss_0, loss_1                loss_1 from loss_0; with sizes its floors are
                   (params, tokens)              those of scaling laws, which is better
    cod            params, tokens, item,         mean pass_rate of all items; one row per
                   pass_rate (guess)             item and run; `guess` = rate of guessing

    The table to predict has the same columns without what is predicted. Beside its own the output has prediction, lower,
    upper (a single run's, with --confidence), extrapolation (how many times beyond the runs, 1 = within) and
    beyond_range (true: as far again as the runs span). Laws, sources and how often intervals held: docs/laws.md.
    """  # noqa: D301 (click wants the character that \b is)
    from tasks.laws.kinds import fit, reads
    from tasks.laws.published import law_fit
    from tasks.laws.table import read_law_table, require_columns

    with exit_codes():
        params = _params(kind, settings)
        runs = read_law_table(runs_file, reads(params).runs)
        at = read_law_table(predict_file, reads(params).at)
        check_writable(output)
        with working(f"fit: {kind}", as_json):
            fitted = fit(params, runs)
            answer = fitted.answer(at, confidence)
        require_columns(at, tuple(answer.columns))
        write_text(output, _csv(at, answer.columns))
        told = law_fit(params, fitted, runs, confidence, tuple(answer.columns), len(at), answer.far)
        click.echo(told.text() if as_json else _text(told, output), nl=not as_json)


@law.command("multiplier", cls=Once)
@click.option("--runs", "runs_file", type=file_type, required=True, help="CSV of the runs: tokens, loss (params).")
@click.option("--twin", "twin_file", type=file_type, required=True, help="CSV of the twin at three or more budgets.")
@click.option("--by", type=click.Choice(("tokens", "compute")), default="tokens", show_default=True, help="Of what.")
@click.option("--output", type=file_type, required=True, help="CSV to write: the runs and their multipliers.")
@confidence_option
def multiplier_command(runs_file: Path, twin_file: Path, by: "By", output: Path, confidence: float) -> None:
    """Say how many times the tokens or the compute a random twin needs for the loss of each run.

    Both tables have the columns tokens and loss, and params where it is by compute. Beside those of the runs the output has
    multiplier, lower, upper and range: `within`, or `beyond range` where the twin never reached that loss or was always
    below it; then there is no multiplier.
    """
    from tasks.laws.multiplier import COLUMNS, WRITTEN, multipliers
    from tasks.laws.table import read_law_table, require_columns

    with exit_codes():
        runs, twin = read_law_table(runs_file, COLUMNS), read_law_table(twin_file, COLUMNS)
        require_columns(runs, WRITTEN)
        check_writable(output)
        found = multipliers(runs, twin, by, confidence)
        columns = dict(zip(WRITTEN, zip(*(one.cells() for one in found), strict=True), strict=True))
        write_text(output, _csv(runs, columns))
        within = [one.value for one in found if one.value is not None]
        told = f", {min(within):.3g} to {max(within):.3g} times the {by} of the runs" if within else ""
        click.echo(f"{output}: {len(within)} of {counted(len(found), 'run')} within what the twin measured{told}")


def _params(kind: str, settings: tuple[str, ...]) -> "LawParams":
    from pydantic import RootModel

    from tasks.core.params import override, validate
    from tasks.laws.kinds import LawParams

    return validate(RootModel[LawParams], override({"kind": kind}, settings), f"law {kind}").root


def _csv(table: "LawTable", columns: Mapping[str, Sequence[str]]) -> str:
    """Return a table as it stands with more columns beside its own."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*table.header, *columns])
    writer.writerows([*cells, *more] for cells, *more in zip(table.cells, *columns.values(), strict=True))
    return stream.getvalue()


def _text(told: "LawFit", output: Path) -> str:
    lines = []
    for curve in told.curves:
        heading = f"{told.law.kind}, {curve.name}: {curve.runs} runs, rms {curve.rms:.4f}"
        rows = [
            (one.name, *(f"{value:.5g}" for value in (one.value, one.lower, one.upper))) for one in curve.parameters
        ]
        lines += [*text_table((heading, "value", "lower", "upper"), rows), ""]
    lines += list(told.notes)
    far = f"; {counted(told.far_beyond, 'row')} as far again beyond the runs as these span" if told.far_beyond else ""
    lines.append(f"{counted(told.predicted, 'prediction')} in {output}, intervals {percent(told.confidence)}{far}")
    return "\n".join(lines)
