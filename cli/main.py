"""The command line: `mixwright run`, one command per stage, and what one asks of a finished run.

Heavy modules are imported by the command that needs them, so that `mixwright --help` answers at once.
"""

import importlib
import json
from pathlib import Path

import click

from tasks.core.once import OnceGroup
from tasks.stages import NAMES, STAGES, stage_named

# Commands of other modules: where each is written, and the first line of its help, so that listing them imports none.
ELSEWHERE = {
    "mixture": (
        "cli.mixture",
        "Bring in and fit any table of runs, plan a search, replay one, export a mixture to other trainers.",
    ),
    "ladder": ("cli.ladder", "Train a ladder of small sizes x tokens, and forecast what a larger run will reach."),
    "ensemble": (
        "cli.ensemble",
        "Measure several models as one, by the mean of their probabilities: bits per byte of held-out text, by domain.",
    ),
    "generate": (
        "cli.generate",
        "Let trained models write documents that ingest reads; several write as one, by the mean of their probabilities.",
    ),
    "planted": (
        "cli.planted",
        "Measure the effect of each planted experiment, and whether the experiments change each other's effects.",
    ),
    "law": ("cli.law", "Fit a scaling law to a table of runs, and predict larger ones with intervals."),
    "why": ("cli.ask", "Tell one document's story: kept or dropped, by which rule, and what it stands for."),
    "audit": (
        "cli.ask",
        "Show the funnel of the curation: what each filter dropped per source, what each rule does, and what if.",
    ),
    "scores": (
        "cli.ask",
        "Show the scores and statistics of documents and what was selected by them, or write them out.",
    ),
    "lineage": (
        "cli.ask",
        "From a model to what it saw, from a document to the models that saw it, from a digest to its stage.",
    ),
    "costs": (
        "cli.costs",
        "Tell what a run or a stage's folder cost: CPU and GPU seconds, tokens, and money, by step.",
    ),
    "verify": ("cli.ask", "Check every file against its manifest, and every stage against the one before it."),
    "compare": (
        "cli.compare",
        "Compare two runs (workspaces, or clones at a version), or train the arms of a file and compare those.",
    ),
    "select": (
        "cli.select",
        "Rank selectors of documents by the models they induce, at equal tokens, against documents drawn at random.",
    ),
    "explain": (
        "cli.explain",
        "Say why a stage would run again or would not: the first input, param, module, library or device that differs.",
    ),
    "harness": ("cli.harness", "Run lm-evaluation-harness on a model of Mixwright, by its own options."),
    "data": ("cli.ask", "Versions of data: list them, name a remote, push one."),
}


class Commands(OnceGroup):
    """Finds a command where it is written, and imports only that."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names: the run, its stages, mixtures, the questions, the servers."""
        servers = ("up", "down", "status", "secret", "env", "doctor", "params")
        return ["run", "demo", *NAMES, *ELSEWHERE, *servers]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import and return one command."""
        if name in NAMES:
            from tasks.runtime.command import command_of

            return command_of(stage_named(name))
        if name in ELSEWHERE:
            module, _ = ELSEWHERE[name]
            return vars(importlib.import_module(module))[name]  # type: ignore[no-any-return]
        return super().get_command(ctx, name)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; what it cannot be told is one message, also where its module cannot be imported."""
        from tasks.runtime.command import exit_codes

        with exit_codes():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing those that are written elsewhere."""
        about = {stage.name: stage.about for stage in STAGES} | {name: line for name, (_, line) in ELSEWHERE.items()}
        own = {name: (command.help or "").partition("\n")[0] for name, command in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl([(name, (about | own)[name]) for name in self.list_commands(ctx)])


open_option = click.option(
    "--open", "open_", is_flag=True, help="Servers that ask for no secret: for machines that nobody else uses."
)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="mixwright")
def main() -> None:
    """From raw text to a model trained on the best mixture of it, every step measured, versioned and repeatable."""
    from cli.launch import close_what_was_left_open

    close_what_was_left_open()


@main.command()
@click.option("--preset", default="demo", show_default=True, help="configs/PRESET.yaml.")
@click.option("--params", "params_file", type=click.Path(path_type=Path), help="YAML with the sections to change.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Such as search.num_runs=48; repeatable.")
@click.option(
    "--input", "inputs", multiple=True, metavar="URI", help="File, folder or glob, local or s3://; repeatable."
)
@click.option("--name", help="Name of the versions: data/NAME/v1, v2, ...")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@open_option
def run(
    preset: str,
    params_file: Path | None,
    settings: tuple[str, ...],
    inputs: tuple[str, ...],
    name: str | None,
    as_json: bool,
    open_: bool,
) -> None:
    """Run the whole pipeline as a Prefect flow; the servers must be up."""
    from cli.launch import placement, run_pipeline
    from tasks.runtime.command import exit_codes

    with exit_codes():
        outcome, table = run_pipeline(placement(open_), preset, params_file, settings, inputs, name, quiet=as_json)
        click.echo(json.dumps(outcome.to_json()) if as_json else table)


@main.command()
@click.option("--refresh", is_flag=True, help="Collect the default input anew from this machine's Python.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Such as search.num_runs=48; repeatable.")
@open_option
def demo(refresh: bool, settings: tuple[str, ...], open_: bool) -> None:
    """Start the servers and run the pipeline on text every machine has; the servers stay up."""
    from cli.launch import placement, refresh_default_input, run_pipeline, start_servers
    from tasks.runtime.command import exit_codes

    with exit_codes():
        where = placement(open_)
        start_servers(where)
        if refresh:
            refresh_default_input()
        _, table = run_pipeline(where, "demo", None, settings, (), None, quiet=False)
        click.echo(table)


@main.command()
@open_option
def up(open_: bool) -> None:
    """Start the Prefect and MLflow servers, the work pool, its worker, and register the deployments."""
    from cli.launch import placement, start_everything
    from tasks.runtime.command import exit_codes

    with exit_codes():
        start_everything(placement(open_))


@main.command()
def down() -> None:
    """Stop the servers and the worker that `up` or `demo` started."""
    from cli.launch import stop_everything
    from tasks.runtime.command import exit_codes

    with exit_codes():
        stop_everything()


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def status(as_json: bool) -> None:
    """Say which servers are up, and where."""
    from cli.launch import print_status
    from tasks.runtime.command import exit_codes

    with exit_codes():
        print_status(as_json)


@main.command()
def secret() -> None:
    """Show what the local servers ask for: USER:PASSWORD, on Prefect's login page as one line."""
    from cli.launch import print_secret
    from tasks.runtime.command import exit_codes

    with exit_codes():
        print_secret()


@main.command()
@open_option
def env(open_: bool) -> None:
    """Print what `prefect`, `mlflow` and notebooks need, for a shell: eval "$(mixwright env)"."""
    from cli.launch import placement, print_environment
    from tasks.runtime.command import exit_codes

    with exit_codes():
        print_environment(placement(open_))


@main.command()
@click.option("--preset", default="demo", show_default=True, help="configs/PRESET.yaml.")
def params(preset: str) -> None:
    """Print all params of a preset, as params.yaml holds them."""
    from flows.config import read_config
    from flows.run import params_text
    from tasks.runtime.command import exit_codes

    with exit_codes():
        click.echo(params_text(read_config(preset)), nl=False)


@main.command()
def doctor() -> None:
    """Check this machine: Python, versions, ports, space, git, and whose packages are imported."""
    from cli.launch import print_doctor
    from tasks.runtime.command import exit_codes

    with exit_codes():
        print_doctor()
