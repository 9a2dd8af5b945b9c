"""`mixwright explain`: why a stage would run again, or that it would not."""

import json
from pathlib import Path

import click

from cli.folder import RunFolder, run_folder
from cli.options import here, json_option, run_option, set_option
from infra.settings import project_root
from infra.versions import list_versions, recorded_text
from tasks.core.errors import ConfigError
from tasks.core.manifest import MANIFEST, Manifest
from tasks.core.once import Once
from tasks.runtime.command import exit_codes
from tasks.stages import NAMES, RAW, stage_named


@click.command("explain", cls=Once)
@click.argument("stage", type=click.Choice(NAMES))
@run_option
@click.option("--against", metavar="RUN|TAG", help="Another run, or a version, instead of what is published here.")
@set_option
@json_option
def explain(stage: str, run_path: Path | None, against: str | None, settings: tuple[str, ...], as_json: bool) -> None:
    """Say why a stage would run again or would not: the first input, param, module, library or device that differs.

    Compared is what the run has published with what would be made of the same input and params now, by the code, the
    libraries and the device of this machine. `--set` asks what another value would change; of a stage before this one it
    can be said only that it would run again first. Nothing is done.
    """
    with exit_codes():
        sentences = explained(run_folder(run_path), stage, against, settings)
        if as_json:
            click.echo(json.dumps({"stage": stage, "sentences": sentences}, ensure_ascii=False))
            return
        for sentence in sentences:
            click.echo(sentence)


def explained(run: RunFolder, name: str, against: str | None, settings: tuple[str, ...]) -> list[str]:
    """Return why a stage of a run would be run again or would not, in sentences.

    Raises:
        DataError: a stage that it reads has not finished in this run.
        ConfigError: `against` is neither a run nor a version of this clone.
    """
    from flows.config import changed_params, read_config, resolved_params
    from tasks.runtime.explain import explain as explain_driver

    stage, written = stage_named(name), run.path / "params.yaml"
    before = resolved = resolved_params(read_config("demo", written).params)
    if settings:
        resolved = changed_params(before, settings)
        changed = [each for each in stages_before(name) if resolved.section(each) != before.section(each)]
        if changed:
            return [f"{name}: reads what {changed[0]} gives, and {changed[0]} would run again first: explain that one"]
    params = resolved.section(name)
    inputs = {each: run.path / "data" / RAW if each == RAW else run.stage(each) for each in stage.inputs}
    with here(quiet=True) as workshop:
        return explain_driver(
            stage.load_driver(),
            params,
            inputs=inputs,
            output=run.stage(name),
            workshop=workshop,
            against=None if against is None else manifest_of(against, name),
        )


def stages_before(name: str) -> list[str]:
    """Return the stages from which a stage reads, directly or not, in order."""
    found: set[str] = set()
    for each in reversed(NAMES):
        if each == name or each in found:
            found |= {*stage_named(each).inputs} - {RAW}
    return [each for each in NAMES if each in found]


def manifest_of(run: str, stage: str) -> Manifest:
    """Return the manifest of a stage of a run, a clone at a version, or a version of this clone.

    Raises:
        ConfigError: it is no folder, and no version of this clone.
        DataError: the stage has not finished there.
        VersionError: the version has no such stage, or its files are not in this clone.
    """
    if Path(run).is_dir():
        return Manifest.read(run_folder(Path(run)).stage(stage))
    versions = [version.tag for version in list_versions(project_root())]
    if run not in versions:
        known = ", ".join(versions[-3:]) or "none"
        raise ConfigError(
            f"--against {run}: neither the folder of a run (a workspace, or a clone at a version) nor one of the "
            f"{len(versions)} versions of this clone ({known}; `mixwright data list` shows all)."
        )
    text = recorded_text(project_root(), run, f"data/{stage}", MANIFEST)
    return Manifest.parse(text, f"{run}:data/{stage}/{MANIFEST}")
