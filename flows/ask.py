"""Questions to a finished run, and its versions: why, audit, lineage, verify, compare, data."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from flows.lineage import RunFolder, tell
from infra.settings import load_settings, project_root
from infra.storage import AttemptStore
from infra.versions import add_remote, list_versions, prune_workspaces, push
from tasks.core.command import exit_codes
from tasks.core.errors import DataError

run_option = click.option(
    "--run",
    "run_path",
    type=click.Path(path_type=Path),
    help="A run's workspace, or a clone at a version; default: the newest.",
)


@click.command()
@click.argument("document_id")
@run_option
def why(document_id: str, run_path: Path | None) -> None:
    """Tell one document's story: kept or dropped, by which rule, and what it stands for."""
    from tasks.curate.why import describe
    from tasks.curate.why import why as story_of

    with exit_codes():
        click.echo(describe(story_of(run_folder(run_path).stage("curate"), document_id)))


@click.command()
@run_option
def audit(run_path: Path | None) -> None:
    """Show the funnel of the curation: per source, what each filter dropped."""
    from tasks.curate.audit import audit as audit_of
    from tasks.curate.audit import table

    with exit_codes():
        click.echo(table(audit_of(run_folder(run_path).stage("curate"))))


@click.command()
@click.argument("key")
@run_option
def lineage(key: str, run_path: Path | None) -> None:
    """From a model to what it saw, from a document to the models that saw it, from a digest to its stage."""
    with exit_codes():
        click.echo("\n".join(tell(run_folder(run_path), key)))


@click.command()
@run_option
def verify(run_path: Path | None) -> None:
    """Check every file against its manifest, and every stage against the one before it."""
    with exit_codes():
        for line in verified(run_folder(run_path)):
            click.echo(line)


@click.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
def compare(first: Path, second: Path) -> None:
    """Compare two runs (workspaces, or clones at a version): params, digests and decisions."""
    with exit_codes():
        for line in differences(run_folder(first), run_folder(second)):
            click.echo(line)


@click.group()
def data() -> None:
    """Versions of data: list them, name a remote, push one."""


@data.command("list")
@click.option("--name", help="Only versions of this name.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def list_(name: str | None, as_json: bool) -> None:
    """List the versions of this clone."""
    with exit_codes():
        versions = list_versions(project_root(), name)
        if as_json:
            click.echo(json.dumps([{"tag": version.tag, "commit": version.commit} for version in versions]))
            return
        for version in versions:
            click.echo(f"{version.tag:<24} {version.commit[:12]}")


@data.command()
@click.argument("name")
@click.argument("url")
@click.option("--default", is_flag=True, help="Push and pull here when no remote is named.")
@click.option("--endpoint-url", help="Of an S3 service other than Amazon's.")
def remote(name: str, url: str, default: bool, endpoint_url: str | None) -> None:
    """Name a place for versions: a folder, or s3://bucket/prefix. What comes back from it is always verified."""
    with exit_codes():
        add_remote(project_root(), name, url, default=default, endpoint_url=endpoint_url)


@data.command("push")
@click.argument("tag")
@click.option("--remote", help="Instead of the default remote.")
def push_(tag: str, remote: str | None) -> None:
    """Send the data of a version to a remote; `git push origin TAG` sends the tag."""
    with exit_codes():
        push(project_root(), load_settings().home, tag, remote)
        click.echo(f"{tag}: pushed. Send the tag too: git push origin {tag}")


@data.command()
def prune() -> None:
    """Free space: remove workspaces of runs that ended in a version (which stays), and what killed runs left behind."""
    with exit_codes():
        home = load_settings().home
        removed = prune_workspaces(project_root(), home)
        swept = AttemptStore(home / "store").sweep()
        click.echo(f"workspaces removed: {', '.join(removed) or 'none'}; unfinished attempts removed: {swept}")


def run_folder(path: Path | None) -> RunFolder:
    """Return the run at `path`, or the newest workspace.

    Raises:
        DataError: there is no run there, or none at all.
    """
    if path is not None:
        if not (path / "data").is_dir():
            raise DataError(f"{path}: no run here (no folder `data`). Name a workspace or a clone at a version's tag.")
        return RunFolder(path)
    workspaces = load_settings().home / "workspaces"
    found = sorted(workspaces.glob("*/data/ingest/manifest.json"), key=lambda manifest: manifest.stat().st_mtime)
    if not found:
        raise DataError(f"{workspaces}: no run has been made yet. Start one: mixwright run.")
    return RunFolder(found[-1].parents[2])


def verified(run: RunFolder) -> Iterator[str]:
    """Yield a line per stage that is whole and made from what is there.

    Raises:
        DataError: a file differs from its manifest, or a stage was made from another version of its input.
    """
    manifests = run.manifests()
    if not manifests:
        raise DataError(f"{run.path}: no stage has finished here.")
    for name, manifest in manifests.items():
        manifest.verify(run.stage(name))
        for needed, digest in manifest.inputs.items():
            if needed in manifests and manifests[needed].output != digest:
                raise DataError(
                    f"{run.path}: {name} was made from another {needed} ({digest[:12]}) than the one that is here "
                    f"({manifests[needed].output[:12]}). Run {name} again."
                )
        yield f"{name:<9} {len(manifest.files):>5} files  output {manifest.output[:16]}  ok"


def differences(first: RunFolder, second: RunFolder) -> Iterator[str]:
    """Yield what two runs differ in: params key by key, output digests, and how each ended."""
    left, right = first.manifests(), second.manifests()
    for name in [stage for stage in left if stage in right]:
        same = left[name].output == right[name].output
        yield f"{name:<9} {'same output' if same else 'different'}  {left[name].output[:12]} {right[name].output[:12]}"
        a, b = flat(left[name].params), flat(right[name].params)
        for key in sorted(a.keys() | b.keys()):
            if a.get(key) != b.get(key):
                yield f"    {name}.{key}: {a.get(key)} | {b.get(key)}"
        if left[name].code != right[name].code:
            yield f"    code: {left[name].code[:12]} | {right[name].code[:12]}"
    for run, manifests in ((first, left), (second, right)):
        if "evaluate" in manifests:
            yield f"{run.path}: {manifests['evaluate'].summary['statement']}"


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return a nested mapping as one level, names joined by dots."""
    if not isinstance(value, dict):
        return {prefix.removesuffix("."): value}
    result: dict[str, Any] = {}
    for key, inner in value.items():
        result |= flat(inner, f"{prefix}{key}.")
    return result
