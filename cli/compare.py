"""`mixwright compare`: two finished runs, or the arms of an experiment that is run for it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.folder import RunFolder, run_folder
from cli.options import file_type, folder_type, here, json_option
from tasks.core.errors import ConfigError
from tasks.core.once import Once
from tasks.runtime.command import asked_of, decided_once, exit_codes

if TYPE_CHECKING:
    from tasks.arms.config import ArmsParams

ARMS_PRESETS = Path(__file__).resolve().parents[1] / "configs" / "arms"


@click.command(cls=Once)
@click.argument("runs", nargs=-1, type=file_type)
@click.option("--arms", "arms_file", type=file_type, help="YAML with the arms of an experiment, in place of two runs.")
@click.option("--preset", help="configs/arms/PRESET.yaml: an ablation; what --arms says is laid over it.")
@click.option("--tokens", "pool_folder", type=folder_type, help="Of arms: published folder of tokenize.")
@click.option(
    "--run", "run_path", type=folder_type, help="Of arms, for --tokens: a run, whose text arms may curate otherwise."
)
@click.option("--output", type=folder_type, help="Of arms: folder to publish.")
@click.option("--workers", type=click.IntRange(min=1), help="Runs at the same time; changes no result.")
@json_option
def compare(
    runs: tuple[Path, ...],
    arms_file: Path | None,
    preset: str | None,
    pool_folder: Path | None,
    run_path: Path | None,
    output: Path | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Compare two runs (workspaces, or clones at a version), or train the arms of a file and compare those.

    Of two runs: params, digests and decisions. Of arms: every arm with every seed, at equal tokens or FLOPs, judged by one
    score that was named before.
    """
    with exit_codes():
        if arms_file is None and preset is None:
            _two_runs(runs, {"--tokens": pool_folder, "--run": run_path, "--output": output})
            return
        if runs or (pool_folder is None) == (run_path is None) or output is None:
            raise ConfigError(
                "compare --arms FILE (or --preset NAME) takes --output FOLDER, and --tokens FOLDER or --run FOLDER; no runs."
            )
        found = None if run_path is None else run_folder(run_path)
        params = _params(preset, arms_file, found)
        _arms(params, pool_folder, found, output, workers, as_json)


def _two_runs(runs: tuple[Path, ...], given: dict[str, Path | None]) -> None:
    from cli.ask import differences

    if len(runs) != 2 or any(value is not None for value in given.values()):
        raise ConfigError("compare takes two runs (FIRST SECOND), or --arms FILE with --output and --tokens or --run.")
    for line in differences(run_folder(runs[0]), run_folder(runs[1])):
        click.echo(line)


def _arms(
    params: "ArmsParams", pool: Path | None, found: RunFolder | None, output: Path, workers: int | None, as_json: bool
) -> None:
    from infra.settings import load_settings
    from tasks.arms.published import ArmsComparison
    from tasks.arms.stage import run

    tokens = pool if found is None else found.stage("tokenize")
    assert tokens is not None, "a pool or a run is given"
    asked = asked_of("arms", params, {"tokenize": tokens})
    params = decided_once(params, _decided, load_settings().home, asked)
    with here(as_json, workers) as workshop:
        inputs = {"tokenize": tokens}
        if found is not None:
            from tasks.arms.pools import curated_pools

            inputs = curated_pools(params, found.stage, output.with_name(f"{output.name}.pools"), workshop)
        run(params, inputs=inputs, output=output, workshop=workshop)
    told = ArmsComparison.read(output)
    if as_json:
        click.echo(json.dumps(told.model_dump(mode="json", exclude={"format"})))
        return
    click.echo("\n".join(told.statements))
    click.echo(f"{output}: page.html, arms.md, {ArmsComparison.FILE}")


def _params(preset: str | None, arms_file: Path | None, found: RunFolder | None) -> "ArmsParams":
    """Return the params: defaults, how the run was trained, the preset and the file, each laid over those before."""
    from tasks.arms.config import ArmsParams
    from tasks.core.params import layered, read_yaml, validate

    presets = sorted(path.stem for path in ARMS_PRESETS.glob("*.yaml"))
    if preset is not None and preset not in presets:
        raise ConfigError(f"--preset {preset}: there is none of this name. Presets of arms: {', '.join(presets)}.")
    trained = None if found is None else found.manifests().get("train")
    values = ArmsParams.model_construct().model_dump(mode="json")
    if trained is not None:
        values["training"] = dict(trained.params["training"]) | {"evaluations": None}
    for file in (None if preset is None else ARMS_PRESETS / f"{preset}.yaml", arms_file):
        values = values if file is None else layered(values, read_yaml(file))
    params = validate(ArmsParams, values, str(arms_file or f"--preset {preset}"))
    if found is None and params.curation is not None:
        raise ConfigError("curation: the text of which run is to be curated? Name it by --run, in place of --tokens.")
    return params


def _decided(params: "ArmsParams") -> "ArmsParams":
    from tasks.training.command import full_precision

    return params.model_copy(update={"training": params.training.decided(full_precision())})
