"""The list of commands: whole sentences, and quick."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cli.main import ELSEWHERE, main
from tasks.stages import STAGES


def test_the_list_names_every_command_with_a_whole_sentence() -> None:
    listed = " ".join(CliRunner().invoke(main, ["--help"]).output.partition("Commands:")[2].split())
    sentences = {stage.name: stage.about for stage in STAGES} | {name: line for name, (_, line) in ELSEWHERE.items()}
    for name in main.list_commands(click.Context(main)):
        assert f"{name} {sentences.get(name, '')}" in listed
    assert "..." not in listed


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_command_of_another_module_is_listed_as_it_tells_itself(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None and command.help is not None
    assert command.help.partition("\n")[0] == ELSEWHERE[name][1]


def test_the_list_of_commands_imports_nothing_that_is_slow(project: Path) -> None:
    code = (
        "import json, sys; from click.testing import CliRunner; from cli.main import main; "
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0; print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True)
    slow = {"numpy", "pydantic", "pyarrow", "torch", "prefect", "mlflow", "ray", "rich"}
    assert slow & {name.partition(".")[0] for name in json.loads(done.stdout)} == set()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ingset: {max_damaged_files: 1}\nsearch: {}", "1 of 2 sections are of no stage; first: ingset"),
        ("ingest: 3", "section ingest: expected a mapping of names to values, found int"),
    ],
)
def test_a_section_of_params_that_no_stage_would_read_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    words = ["ingest", "--input", "a.txt", "--output", str(tmp_path / "out"), "--params", str(tmp_path / "mine.yaml")]
    result = CliRunner().invoke(main, words)
    assert (result.exit_code, told in result.output) == (2, True), result.output
