"""`mixwright select compare`: selectors of documents ranked by the models they induce."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.folder import RunFolder, run_folder
from cli.options import file_type, folder_type, here, json_option
from tasks.core.once import OnceGroup
from tasks.core.text_table import text_table
from tasks.runtime.command import asked_of, decided_once, exit_codes

if TYPE_CHECKING:
    from tasks.leaderboard.config import LeaderboardParams
    from tasks.leaderboard.costs import ScoringCost


@click.group(cls=OnceGroup)
def select() -> None:
    """Rank selectors of documents by the models they induce, at equal tokens, against documents drawn at random."""


@select.command("compare")
@click.argument("file", type=file_type)
@click.option(
    "--run", "run_path", type=folder_type, help="The run whose documents are selected from; default: the newest."
)
@click.option("--output", type=folder_type, required=True, help="Folder to publish; pools are made beside it.")
@click.option("--workers", type=click.IntRange(min=1), help="Runs at the same time; changes no result.")
@json_option
def compare_command(file: Path, run_path: Path | None, output: Path, workers: int | None, as_json: bool) -> None:
    """Train on what each selector of a YAML FILE keeps of a run's training documents, and rank the selectors.

    Models that were trained before, by this command or `compare --arms`, are taken as they are.
    """
    from infra.settings import load_settings
    from tasks.leaderboard.costs import scoring_costs
    from tasks.leaderboard.published import Leaderboard
    from tasks.leaderboard.stage import base_folder, run

    with exit_codes():
        found = run_folder(run_path)
        inputs = {name: found.stage(name) for name in ("curate", "tokenize")}
        params = _params(file, found)
        params = decided_once(params, _decided, load_settings().home, asked_of("select", params, inputs))
        with here(as_json, workers) as workshop:
            run(params, inputs=inputs, output=output, workshop=workshop)
            costs = scoring_costs(workshop, params.scorers, base_folder(output))
        told = Leaderboard.read(output)
        if as_json:
            values = told.model_dump(mode="json", exclude={"format"})
            click.echo(json.dumps(values | {"scoring": [asdict(one) for one in costs]}))
            return
        click.echo(
            "\n".join(
                [
                    *told.statements,
                    *(f"! {one}" for one in told.warnings),
                    "",
                    *_cost_table(costs),
                    f"{output}: page.html, leaderboard.md, {Leaderboard.FILE}",
                ]
            )
        )


def _cost_table(costs: "list[ScoringCost]") -> list[str]:
    if not costs:
        return []
    rows = [
        (one.scorer, *("unknown" if value is None else f"{value:,.1f}" for value in (one.cpu_s, one.cpu_s_per_gb)))
        for one in costs
    ]
    return [*text_table(("scorer", "CPU s", "CPU s per GB"), rows), ""]


def _params(file: Path, found: RunFolder) -> "LeaderboardParams":
    """Return the params: defaults, how the run was trained, and the file, each laid over those before."""
    from tasks.core.params import layered, read_yaml, validate
    from tasks.leaderboard.config import LeaderboardParams

    values = LeaderboardParams.model_construct().model_dump(mode="json")
    if (trained := found.manifests().get("train")) is not None:
        values["training"] = dict(trained.params["training"]) | {"evaluations": None}
    return validate(LeaderboardParams, layered(values, read_yaml(file)), str(file))


def _decided(params: "LeaderboardParams") -> "LeaderboardParams":
    from tasks.training.command import full_precision

    return params.model_copy(update={"training": params.training.decided(full_precision())})
