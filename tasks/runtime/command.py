"""The command of a stage: `python -m tasks.<stage>`, called by users and by dvc.yaml alike.

Exit codes: 0 done, 1 failed, 2 bad input.
"""

import json
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click
from pydantic import ValidationError

from infra.disk import named_error
from infra.endings import ended_in_order
from infra.errors import InfraError, NotInstalledError
from infra.executors import executor_of
from infra.folders import keep_first
from infra.ray_executor import ray_closed_after
from infra.settings import load_settings
from infra.telemetry import apply as keep_telemetry_off
from infra.terminal import TerminalObserver
from tasks.core.digest import digest_file, digest_json
from tasks.core.errors import ConfigError, DamagedError, DataError, MixwrightError
from tasks.core.identity import params_of
from tasks.core.manifest import Manifest
from tasks.core.once import Once
from tasks.core.params import Params, layered, override, read_yaml, validate
from tasks.core.sealed import read_sealed, sealed_text
from tasks.runtime.context import Workshop, workshop_of
from tasks.runtime.stages import run_stage
from tasks.stages import NAMES, Stage, stage_named

if TYPE_CHECKING:
    from tasks.runtime.task import Shown

ParamsT = TypeVar("ParamsT", bound=Params)
# Gives the params of a stage by its name.
Section = Callable[[str], Any]
_SHORT = "mixwright.settings"
_FILES = "mixwright.files"
_OURS = frozenset({"cli", "flows", "infra", "tasks"})


@dataclass(frozen=True)
class Given:
    """What the command line says: the values of `--input`, the params file, the `--set`s, and Mixwright's own folder."""

    values: tuple[str, ...]
    params_file: Path | None
    settings: tuple[str, ...]
    home: Path


@dataclass(frozen=True)
class StageExtras:
    """What a stage's command and task have beyond params, folders to read and a folder to publish.

    `prepare_inputs` makes the folders of a stage that takes something else (URIs); `prepared` names the stages it runs,
    whose params may be set too. `options` are the command's own (see `short_for`). `complete` fills what the params leave
    to another stage's section, `decide` decides what they leave to the machine. `refuse(params, section, inputs)` raises,
    before anything is spent, where the params of a later stage (`section`) do not go with these. `show` says what a task
    shows of a published folder.
    """

    prepare_inputs: Callable[[Given, Workshop], Mapping[str, Path]] | None = None
    prepared: tuple[str, ...] = ()
    options: tuple[click.Option, ...] = ()
    complete: Callable[[Any, Section], Any] = lambda params, _: params
    decide: Callable[[Any], Any] | None = None
    refuse: Callable[[Any, Section, Mapping[str, Path]], None] | None = None
    show: "Callable[[Path], Shown] | None" = None


def main(name: str) -> None:
    """Run the command of a stage of the table."""
    with exit_codes():
        command_of(stage_named(name))()


def command_of(stage: Stage) -> click.Command:
    """Return the command line of a stage of the table."""
    run, extras = partial(run_stage, stage), stage.load_extras()
    return stage_command(stage.name, stage.load_params(), run, about=stage.about, inputs=stage.inputs, extras=extras)


def stage_command(
    name: str,
    params_model: type[ParamsT],
    run: Callable[..., Manifest],
    *,
    about: str,
    inputs: tuple[str, ...],
    extras: StageExtras,
) -> click.Command:
    """Return the command line of one stage. `about` is its help, `run` its driver (`run_stage` where extras refuse).

    `inputs` names the stages whose folders are read. With one input `--input PATH` is enough; with several each is
    `--input NAME=PATH`.
    """
    prepare_inputs = extras.prepare_inputs
    named = "PATH" if len(inputs) == 1 else "NAME=PATH"

    @click.command(name=name, cls=Once, help=about)
    @click.option(
        "--input",
        "values",
        multiple=True,
        metavar="URI" if prepare_inputs else named,
        help="File, folder or glob, here or remote; or what is prepared of them."
        if prepare_inputs
        else f"Folder(s): {', '.join(inputs)}.",
    )
    @click.option(
        "--output", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to publish."
    )
    @click.option("--params", "params_file", type=click.Path(path_type=Path), help=f"YAML with a section `{name}`.")
    @click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help=f"Such as {name}.seed=1; repeatable.")
    @click.option("--executor", type=click.Choice(["local", "ray"]), default="local", show_default=True)
    @click.option("--workers", type=click.IntRange(min=1), help="Units at the same time; changes no result.")
    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    @click.pass_context
    def command(
        ctx: click.Context,
        values: tuple[str, ...],
        output: Path,
        params_file: Path | None,
        settings: tuple[str, ...],
        executor: Literal["local", "ray"],
        workers: int | None,
        as_json: bool,
    ) -> None:
        keep_telemetry_off()
        with exit_codes():
            settings = (*ctx.meta.get(_SHORT, ()), *settings)
            _require_known(settings, (name, *extras.prepared))
            own = [setting for setting in settings if setting.startswith(f"{name}.")]
            params = stage_params(name, params_model, params_file, own)

            def section(other: str) -> Params:
                return stage_params(other, stage_named(other).load_params(), params_file, ())

            params = extras.complete(params, section)
            placement = load_settings()
            given = Given(values, params_file, settings, placement.home)
            chosen = executor_of(executor, workers or placement.workers, placement.ray_address)
            with TerminalObserver(quiet=as_json) as observer, ray_closed_after(), closing(chosen):
                workshop = workshop_of(placement, chosen, observer)
                folders = prepare_inputs(given, workshop) if prepare_inputs else _named(values, inputs, ctx.meta)
                if extras.decide is not None:
                    params = decided_once(params, extras.decide, placement.home, asked_of(name, params, folders))
                asked = run if extras.refuse is None else partial(run, refuse=partial(extras.refuse, params, section))
                manifest = asked(params, inputs=folders, output=output, workshop=workshop)
            _print(manifest, output, as_json)

    command.params += extras.options
    return command


def short_for(settings: Callable[[Any], Sequence[str]], *names: str, **attributes: Any) -> click.Option:
    """Return an option that stands for some `--set`s: `settings(value)` where it is given."""

    def remember(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        if value:
            ctx.meta[_SHORT] = (*ctx.meta.get(_SHORT, ()), *settings(value))

    return click.Option(names, callback=remember, expose_value=False, **attributes)


def instead_of(*stages: str, name: str, folder: bool = False, **attributes: Any) -> click.Option:
    """Return an option `--NAME FILE` that gives a stage a file as its input `name`, in place of other stages' folders.

    With `folder` the file may be a folder.
    """

    def remember(ctx: click.Context, _: click.Parameter, value: Path | None) -> None:
        if value is not None:
            ctx.meta[_FILES] = {**ctx.meta.get(_FILES, {}), **dict.fromkeys(stages, (name, value))}

    file_type = click.Path(path_type=Path, exists=True, dir_okay=folder)
    return click.Option((f"--{name}",), callback=remember, expose_value=False, type=file_type, **attributes)


def stage_params(name: str, model: type[ParamsT], params_file: Path | None, settings: Sequence[str]) -> ParamsT:
    """Return the defaults of a stage, with its section of a params file and `--set` laid over them.

    Raises:
        ConfigError: see `read_yaml`, `override`, `validate`; a `--set` speaks of another stage, or the file of none.
    """
    values = read_yaml(params_file) if params_file else {}
    _require_known(settings, (name,))
    if strangers := [str(section) for section in values if section not in {*NAMES, name}]:
        raise ConfigError(
            f"{params_file}: {len(strangers)} of {len(values)} sections are of no stage; first: {strangers[0]}. "
            f"Stages: {', '.join(NAMES)}."
        )
    given = override(values, settings).get(name) or {}
    if not isinstance(given, Mapping):
        found = type(given).__name__
        raise ConfigError(f"{params_file}, section {name}: expected a mapping of names to values, found {found}.")
    section = layered(model().model_dump(mode="json"), given)
    return validate(model, section, f"{params_file or '(defaults)'}, section {name}")


def asked_of(name: str, params: Params, folders: Mapping[str, Path]) -> str:
    """Return the key of what was asked of a stage or command, before anything in it is decided."""
    contents = {
        given: digest_file(path) if path.is_file() else Manifest.read(path).output for given, path in folders.items()
    }
    return digest_json({"name": name, "inputs": contents, "params": params_of(params)})


def decided_once(params: ParamsT, decide: Callable[[ParamsT], ParamsT], home: Path, asked: str) -> ParamsT:
    """Return params with what they leave to the machine decided: as it was the first time that this was asked.

    What was begun on one machine so goes on in the same way on another that shares the folder `home`.

    Raises:
        DataError: what was kept of the first time is damaged.
    """
    decided = decide(params)
    if decided == params:
        return params
    kept = home / "decided" / f"{asked}.json"
    keep_first(kept, sealed_text(decided.model_dump(mode="json")))
    try:
        return type(params).model_validate(read_sealed(kept))
    except (DamagedError, ValidationError) as error:
        raise DataError(f"{kept}: this is damaged. Remove it: the params are then decided anew. {error}") from error


def _require_known(settings: Sequence[str], stages: tuple[str, ...]) -> None:
    if strangers := [setting for setting in settings if setting.partition(".")[0] not in stages]:
        takes = " and ".join(f"{stage}.KEY=VALUE" for stage in stages)
        raise ConfigError(f"--set {strangers[0]}: this command takes {takes} only.")


@contextmanager
def exit_codes() -> Iterator[None]:
    """Print a named error as one clear message and leave with its exit code; anything else is a defect and is raised.

    What the disk refuses is named here too, wherever it was met. Who is told to end ends in order, with 128 + the signal.
    """
    try:
        with ended_in_order(partial(click.echo, err=True)):
            yield
    except (MixwrightError, InfraError) as error:
        click.echo(f"{type(error).__name__}: {error}" if error.exit_code else str(error), err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        if (named := named_error(error)) is None:
            raise
        click.echo(f"{type(named).__name__}: {named}", err=True)
        sys.exit(named.exit_code)
    except ModuleNotFoundError as error:
        if (missing := NotInstalledError.of(error, _OURS)) is None:
            raise
        click.echo(f"{type(missing).__name__}: {missing}", err=True)
        sys.exit(missing.exit_code)
    except KeyboardInterrupt:
        click.echo("Stopped. What is finished is kept; the same command goes on from there.", err=True)
        sys.exit(128 + signal.SIGINT)


def _named(given: Sequence[str], asked: tuple[str, ...], meta: Mapping[str, Any]) -> dict[str, Path]:
    """Return the inputs by name: the folders of `--input`, and the files that stand in for some (`instead_of`)."""
    files: Mapping[str, tuple[str, Path]] = meta.get(_FILES, {})
    if not given and not files:
        raise click.MissingParameter(param_hint="'--input'", param_type="option")
    return {**_folders(given, tuple(name for name in asked if name not in files)), **dict(files.values())}


def _folders(given: Sequence[str], inputs: tuple[str, ...]) -> dict[str, Path]:
    if len(inputs) == 1 and len(given) == 1 and "=" not in given[0]:
        return {inputs[0]: Path(given[0])}
    pairs = dict(value.partition("=")[::2] for value in given)
    if sorted(pairs) != sorted(inputs) or len(given) != len(inputs):
        raise ConfigError(
            f"--input: expected {', '.join(f'{name}=PATH' for name in inputs)}; found {', '.join(given)}."
        )
    return {name: Path(pairs[name]) for name in inputs}


def _print(manifest: Manifest, output: Path, as_json: bool) -> None:
    result: dict[str, Any] = {
        "stage": manifest.stage,
        "output": str(output),
        "digest": manifest.output,
        "account": manifest.account.to_json() if manifest.account else None,
        "summary": dict(manifest.summary),
    }
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False))
        return
    click.echo(f"{manifest.stage}: {len(manifest.files)} files in {output}, digest {manifest.output[:12]}")
    if manifest.account:
        account = manifest.account
        lost = sum(count.documents for count in (*account.dropped.values(), *account.quarantined.values()))
        click.echo(f"  documents: {account.taken.documents:,} in, {account.kept.documents:,} kept, {lost:,} set aside")
    # Last, because the end is what is read.
    for warning in manifest.summary.get("lost_sources", ()):
        click.echo(f"  warning: {warning}")
