"""An option that takes one value is given once, and no value is empty."""

import click
import pytest
from click.testing import CliRunner

from tasks.core.once import OnceGroup


@click.group(cls=OnceGroup)
def group() -> None:
    """Hold the command."""


@group.command()
@click.option("--params", "-p")
@click.option("--set", "settings", multiple=True)
@click.option("--quiet", is_flag=True)
def run(params: str | None, settings: tuple[str, ...], quiet: bool) -> None:
    click.echo(f"{params} {settings} {quiet}")


@pytest.mark.parametrize(
    "words",
    [["--params", "a.yaml", "--params", "b.yaml"], ["--params=a.yaml", "-p", "b.yaml"]],
)
def test_a_file_given_twice_is_refused_naming_both(words: list[str]) -> None:
    result = CliRunner().invoke(group, ["run", *words])
    assert result.exit_code == 2
    assert "--params is given 2 times" in result.output
    assert all(name in result.output for name in ("a.yaml", "b.yaml"))


@pytest.mark.parametrize("words", [["--params", ""], ["--params="], ["--set", "a=1", "--set", ""]])
def test_a_value_without_a_character_is_refused(words: list[str]) -> None:
    result = CliRunner().invoke(group, ["run", *words])
    assert result.exit_code == 2
    assert f"{words[-2 if len(words) > 1 else 0].rstrip('=')} is given without a value" in result.output


def test_what_may_be_repeated_is() -> None:
    words = ["run", "--set", "a=1", "--set", "b=2", "--quiet", "--quiet", "--params", "a.yaml"]
    result = CliRunner().invoke(group, words)
    assert (result.exit_code, result.output) == (0, "a.yaml ('a=1', 'b=2') True\n")


def test_every_command_of_the_command_line_is_so() -> None:
    from cli.main import main
    from tasks.core.once import Once

    def commands(one: click.Command, ctx: click.Context) -> list[click.Command]:
        if not isinstance(one, click.Group):
            return [one]
        found = [one.get_command(ctx, name) for name in one.list_commands(ctx)]
        return [each for inner in found if inner is not None for each in commands(inner, ctx)]

    every = commands(main, click.Context(main))
    assert len(every) > 20
    assert [each.name for each in every if not isinstance(each, Once)] == []
