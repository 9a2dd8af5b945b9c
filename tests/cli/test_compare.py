"""`mixwright compare` as a user types it: arms with nano models in this process, and what it cannot compare."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import cli.compare
from cli.main import main
from tests.arms.test_stage import params
from tests.cli.in_this_process import works_in_this_process
from tests.evaluation.test_stage import pool_with_tokenizer


def compare(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a home of its own; work is done in this process."""
    works_in_this_process(cli.compare, tmp_path, monkeypatch)
    return tmp_path


def test_arms_of_a_file_are_compared_and_too_few_seeds_make_no_claim(folder: Path) -> None:
    pool_with_tokenizer(folder / "tokenize")
    values = params(num_seeds=2).model_dump(mode="json")
    values["arms"] = values["arms"][:2]
    (folder / "arms.yaml").write_text(json.dumps(values))
    words = ("--arms", folder / "arms.yaml", "--tokens", folder / "tokenize", "--output", folder / "out")
    told = compare(*words)
    assert told.exit_code == 0, told.output
    assert "too few" in told.output and f"{folder / 'out'}: " in told.output
    as_json = json.loads(compare(*words, "--json").stdout)
    assert [one["arm"] for one in as_json["comparisons"]] == ["first"]
    assert not as_json["comparisons"][0]["claim"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("one",), "compare takes two runs (FIRST SECOND), or --arms FILE"),
        (("one", "two", "--tokens", "t"), "compare takes two runs"),
        (("--arms", "arms.yaml"), "takes --output FOLDER, and --tokens FOLDER or --run FOLDER; no runs."),
        (("one", "two", "--arms", "a", "--tokens", "t", "--output", "o"), "no runs"),
        (("--arms", "arms.yaml", "--tokens", "t", "--run", "r", "--output", "o"), "--tokens FOLDER or --run FOLDER"),
        (
            ("--preset", "gone", "--tokens", "t", "--output", "o"),
            "Presets of arms: age, ",
        ),
        (("--preset", "leave_one_source_out", "--tokens", "t", "--output", "o"), "Name it by --run"),
        (("--arms", "gone.yaml", "--tokens", "t", "--output", "o"), "gone.yaml"),
        (("--arms", "arms.yaml", "--tokens", "t", "--output", "o"), "speed: unknown key"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], told: str
) -> None:
    monkeypatch.chdir(folder)
    Path("arms.yaml").write_text("{arms: [{name: natural}, {name: other}], speed: 1}")
    result = compare(*arguments)
    assert (result.exit_code, told in result.output) == (2, True), result.output
    assert sorted(path.name for path in folder.iterdir() if path.name != "home") == ["arms.yaml"]
