"""Questions to a finished run, and its versions: why, audit, lineage, verify, data; and how two runs differ."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from cli.folder import RunFolder, run_folder
from cli.options import run_option
from infra.settings import load_settings, project_root
from infra.storage import FolderStore
from infra.versions import add_remote, list_versions, prune_workspaces, push
from tasks.core.errors import ConfigError, DataError
from tasks.core.once import Once, OnceGroup
from tasks.core.text_table import text_table
from tasks.evaluation.published import Decision
from tasks.runtime.command import exit_codes
from tasks.runtime.explain import stage_differences

folder_argument = click.argument(
    "folder", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False)
)


@click.command(cls=Once)
@click.argument("document_id")
@folder_argument
@run_option
def why(document_id: str, folder: Path | None, run_path: Path | None) -> None:
    """Tell one document's story: kept or dropped, by which rule, and what it stands for.

    FOLDER is what curate published; default: that of a run.
    """
    from tasks.curate.why import describe
    from tasks.curate.why import why as story_of

    with exit_codes():
        click.echo(describe(story_of(_curated(folder, run_path), document_id)))


@click.command(cls=Once)
@folder_argument
@run_option
@click.option("--rules", is_flag=True, help="What each rule does, alone and with others.")
@click.option("--languages", is_flag=True, help="What came of each identified language.")
@click.option("--examples", type=click.IntRange(min=0), default=0, help="Dropped documents to show per reason.")
@click.option(
    "--what-if",
    "changes",
    multiple=True,
    metavar="CHANGE",
    help="Answer for RULE=VALUE or for select.0.FIELD=VALUE; repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def audit(
    folder: Path | None,
    run_path: Path | None,
    rules: bool,
    languages: bool,
    examples: int,
    changes: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show the funnel of the curation: what each filter dropped per source, what each rule does, and what if.

    FOLDER is what curate published; default: that of a run.
    """
    from tasks.curate.audit.folder import read_curated
    from tasks.curate.audit.funnel_table import audit as funnel_of
    from tasks.curate.audit.funnel_table import edits_table, funnel_table
    from tasks.curate.audit.languages import language_audit, language_table
    from tasks.curate.audit.rule_table import rule_audit, rule_table

    with exit_codes():
        curated = read_curated(_curated(folder, run_path))
        answers: list[tuple[Any, str]] = []
        if changes:
            answers.append(_what_if(curated, changes))
        else:
            funnel = funnel_of(curated)
            answers.append((funnel, "\n\n".join(filter(None, [funnel_table(funnel), edits_table(curated, examples)]))))
        if languages:
            by_language = language_audit(curated.folder)
            answers.append((by_language, language_table(by_language)))
        if rules or examples:
            found = rule_audit(curated, examples)
            answers.append((found, rule_table(found)))
        if as_json:
            click.echo(json.dumps({type(answer).__name__: asdict(answer) for answer, _ in answers}, ensure_ascii=False))
        else:
            click.echo("\n\n".join(text for _, text in answers))


def _what_if(curated: Any, changes: tuple[str, ...]) -> tuple[Any, str]:
    from tasks.curate.audit.selecting import is_of_selections, selection_what_if_table, what_if_selected
    from tasks.curate.audit.what_if import what_if, what_if_table

    of_selections = [is_of_selections(change) for change in changes]
    if all(of_selections):
        selected = what_if_selected(curated, changes)
        return selected, selection_what_if_table(selected)
    if any(of_selections):
        raise ConfigError(
            "--what-if: a rule decides who comes to a selection, which a run has to find out. Ask of rules and of "
            "selections one at a time."
        )
    answer = what_if(curated, changes)
    return answer, what_if_table(answer)


@click.command(cls=Once)
@folder_argument
@run_option
@click.option(
    "--to", type=click.Path(path_type=Path), help="Write id, source, every score and statistic into this Parquet file."
)
def scores(folder: Path | None, run_path: Path | None, to: Path | None) -> None:
    """Show the scores and statistics of documents and what was selected by them, or write them out.

    FOLDER is what curate published; default: that of a run.
    """
    from tasks.curate.audit.scores import score_ranges, scores_table, write_scores_of
    from tasks.curate.published.scored import Scored

    with exit_codes():
        curated = _curated(folder, run_path)
        if to is None:
            ranges = score_ranges(curated)
            click.echo(scores_table(ranges, Scored.read(curated) if (curated / Scored.FILE).is_file() else None))
        else:
            click.echo(f"{to}: the scores of {write_scores_of(curated, to):,} documents")


def _curated(folder: Path | None, run_path: Path | None) -> Path:
    """Return what curate published: the folder that is named, or that of a run.

    Raises:
        ConfigError: both are named.
    """
    if folder is not None and run_path is not None:
        raise ConfigError(f"{folder} and --run {run_path}: name one of them, a folder of curate or a run.")
    return folder or run_folder(run_path).stage("curate")


@click.command(cls=Once)
@click.argument("key")
@run_option
def lineage(key: str, run_path: Path | None) -> None:
    """From a model to what it saw, from a document to the models that saw it, from a digest to its stage."""
    from cli.lineage import tell

    with exit_codes():
        click.echo("\n".join(tell(run_folder(run_path), key)))


@click.command(cls=Once)
@run_option
def verify(run_path: Path | None) -> None:
    """Check every file against its manifest, and every stage against the one before it."""
    with exit_codes():
        rows = list(verified(run_folder(run_path)))
        click.echo("\n".join(text_table(("stage", "files", "output", "state"), rows)))


@click.group(cls=OnceGroup)
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
        rows = [(version.tag, version.commit[:12]) for version in versions]
        click.echo("\n".join(text_table(("version", "commit"), rows, left=2)))


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
        swept = FolderStore(home / "store").prune()
        click.echo(f"workspaces removed: {', '.join(removed) or 'none'}; unfinished attempts removed: {swept}")


def verified(run: RunFolder) -> Iterator[tuple[str, str, str, str]]:
    """Yield, per stage that is whole and made from what is there: its name, how many files, its output, and `ok`.

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
        yield name, f"{len(manifest.files):,}", manifest.output[:16], "ok"


def differences(first: RunFolder, second: RunFolder) -> Iterator[str]:
    """Yield what two runs differ in: outputs, then inputs, params, code and libraries one by one, and how each ended."""
    left, right = first.manifests(), second.manifests()
    for name in [stage for stage in left if stage in right]:
        same = left[name].output == right[name].output
        yield f"{name:<9} {'same output' if same else 'different'}  {left[name].output[:12]} {right[name].output[:12]}"
        yield from (f"    {difference}" for difference in stage_differences(left[name], right[name]))
    for run, manifests in ((first, left), (second, right)):
        if "evaluate" in manifests:
            yield f"{run.path}: {Decision.read(run.stage('evaluate')).statement}"
