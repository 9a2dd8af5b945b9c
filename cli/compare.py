"""`mixwright compare`: two finished runs, or the arms of an experiment that is run for it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.folder import run_folder
from cli.options import file_type, folder_type, here, json_option
from tasks.core.errors import ConfigError
from tasks.core.once import Once
from tasks.runtime.command import asked_of, decided_once, exit_codes

if TYPE_CHECKING:
    from tasks.arms.config import ArmsParams


@click.command(cls=Once)
@click.argument("runs", nargs=-1, type=file_type)
@click.option("--arms", "arms_file", type=file_type, help="YAML with the arms of an experiment, in place of two runs.")
@click.option("--tokens", "pool_folder", type=folder_type, help="With --arms: published folder of tokenize.")
@click.option("--output", type=folder_type, help="With --arms: folder to publish.")
@click.option("--workers", type=click.IntRange(min=1), help="Runs at the same time; changes no result.")
@json_option
def compare(
    runs: tuple[Path, ...],
    arms_file: Path | None,
    pool_folder: Path | None,
    output: Path | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Compare two runs (workspaces, or clones at a version), or train the arms of a file and compare those.

    Of two runs: params, digests and decisions. Of arms: every arm with every seed, at equal tokens or FLOPs, judged by one
    score that was named before.
    """
    with exit_codes():
        if arms_file is None:
            _two_runs(runs, {"--tokens": pool_folder, "--output": output})
            return
        if runs or pool_folder is None or output is None:
            raise ConfigError("compare --arms FILE takes --tokens FOLDER and --output FOLDER, and no runs.")
        _arms(arms_file, pool_folder, output, workers, as_json)


def _two_runs(runs: tuple[Path, ...], given: dict[str, Path | None]) -> None:
    from cli.ask import differences

    if len(runs) != 2 or any(value is not None for value in given.values()):
        raise ConfigError("compare takes two runs (FIRST SECOND), or --arms FILE with --tokens and --output.")
    for line in differences(run_folder(runs[0]), run_folder(runs[1])):
        click.echo(line)


def _arms(arms_file: Path, pool_folder: Path, output: Path, workers: int | None, as_json: bool) -> None:
    from infra.settings import load_settings
    from tasks.arms.published import ArmsComparison
    from tasks.arms.stage import run

    params = _params(arms_file)
    asked = asked_of("arms", params, {"tokenize": pool_folder})
    params = decided_once(params, _decided, load_settings().home, asked)
    with here(as_json, workers) as workshop:
        run(params, inputs={"tokenize": pool_folder}, output=output, workshop=workshop)
    found = ArmsComparison.read(output)
    if as_json:
        click.echo(json.dumps(found.model_dump(mode="json", exclude={"format"})))
        return
    click.echo("\n".join(one.statement for one in found.comparisons))
    click.echo(f"{output}: page.html, arms.md, {ArmsComparison.FILE}")


def _params(arms_file: Path) -> "ArmsParams":
    from tasks.arms.config import ArmsParams
    from tasks.core.params import layered, read_yaml, validate

    defaults = ArmsParams.model_construct().model_dump(mode="json")
    return validate(ArmsParams, layered(defaults, read_yaml(arms_file)), str(arms_file))


def _decided(params: "ArmsParams") -> "ArmsParams":
    from tasks.training.command import full_precision

    return params.model_copy(update={"training": params.training.decided(full_precision())})
