"""`mixwright ladder ...` as a user types it, with nano models in this process."""

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

import cli.ladder
from cli.main import main
from cli.schemas import FOLDER
from tasks.ladder.forecast import MEAN
from tasks.ladder.published import RUNS_FILE, Ladder
from tests.cli.in_this_process import works_in_this_process
from tests.evaluation.test_stage import pool_with_tokenizer
from tests.ladder.test_forecast import SETS, rows, written
from tests.ladder.test_stage import params

AT = "params=1.6e6,tokens=3.2e7"


def ladder(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["ladder", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pool and a file of params; work is done in this process, with a store below the folder."""
    works_in_this_process(cli.ladder, tmp_path, monkeypatch)
    pool_with_tokenizer(tmp_path / "tokenize")
    asked = params(sizes=params().model_dump(mode="json")["sizes"][:1])
    (tmp_path / "ladder.yaml").write_text(json.dumps(asked.model_dump(mode="json")))
    return tmp_path


def asked(folder: Path) -> tuple[str | Path, ...]:
    return "--params", folder / "ladder.yaml", "--tokens", folder / "tokenize"


def test_what_is_planned_is_run_and_then_in_the_store(folder: Path) -> None:
    result = ladder("plan", *asked(folder))
    assert result.exit_code == 0, result.output
    assert "2 runs, " in result.output and "; 0 in the store, " in result.output
    assert "trunk" in result.output and "branch at step" in result.output
    told = ladder("run", *asked(folder), "--output", folder / "out", "--json")
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["runs"] == json.loads(Ladder.read(folder / "out").text())["runs"]
    assert (folder / "out" / RUNS_FILE).is_file()
    again = ladder("plan", *asked(folder))
    assert "; 2 in the store, 0 FLOPs to be spent" in again.output
    dear = ladder("plan", *asked(folder), "--budget-flops", "1")
    assert (dear.exit_code, "ConfigError: the ladder takes " in dear.output) == (2, True)
    (folder / "short").mkdir()
    written(folder / "short", rows(1))
    few = ladder("fit", "--runs", folder / "short", "--at", AT, "--output", folder / "few.csv")
    assert few.exit_code == 1 and few.output.startswith("EvidenceError: "), few.output
    assert not (folder / "few.csv").exists()


def test_larger_runs_are_forecast_beside_the_naive_value_and_checked(tmp_path: Path) -> None:
    written(tmp_path, rows(3, noise=0.001))
    out = tmp_path / "forecast.csv"
    fit = ("fit", "--runs", tmp_path, "--at", AT, "--output", out)
    result = ladder(*fit)
    assert result.exit_code == 0, result.output
    assert "held out: " in result.output and result.output.endswith(f"3 forecasts from 18 runs in {out}\n")
    with out.open() as stream:
        told = list(csv.DictReader(stream))
    assert [row["set"] for row in told] == [*SETS, MEAN]
    assert all(float(row["lower"]) < float(row["prediction"]) < float(row["upper"]) for row in told)
    as_json = json.loads(ladder(*fit, "--json").stdout)
    schema = json.loads((FOLDER / "ladder" / "ladder-forecast.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(as_json)


@pytest.mark.parametrize(
    ("at", "told"),
    [
        ("params=1e9", "--at params=1e9: write it as params=1e9,tokens=2e10."),
        ("params=many,tokens=1e9", "write it as"),
        ("params=1e9,tokens=0", "params and tokens alone, both above 0"),
        ("params=1e9,tokens=1e9,loss=2", "params and tokens alone"),
        ("params=inf,tokens=1e9", "params and tokens alone"),
    ],
)
def test_a_run_that_cannot_be_forecast_is_one_sentence(tmp_path: Path, at: str, told: str) -> None:
    result = ladder("fit", "--runs", tmp_path, "--at", at, "--output", tmp_path / "out.csv")
    assert (result.exit_code, told in result.output) == (2, True), result.output


def test_files_that_are_not_there_or_say_something_else_are_named(folder: Path) -> None:
    def told(*arguments: str | Path) -> str:
        result = ladder(*arguments)
        assert (result.exit_code, type(result.exception)) == (2, SystemExit), result.output
        return result.output

    fit = ("--at", AT, "--output", folder / "out.csv")
    assert f"{folder / 'tokenize' / RUNS_FILE}" in told("fit", "--runs", folder / "tokenize", *fit)
    written(folder, ["100,many,1,0,code,1.0"])
    assert "runs.csv, line 2" in told("fit", "--runs", folder, *fit)
    plan = ("plan", "--tokens", folder / "tokenize", "--params")
    assert "gone.yaml" in told(*plan, folder / "gone.yaml")
    (folder / "wrong.yaml").write_text("{sizes: [], tokens_per_parameter: [2, 1], speed: 3}")
    wrong = told(*plan, folder / "wrong.yaml")
    assert "wrong.yaml" in wrong and "speed" in wrong and "unknown key" in wrong
    assert "manifest.json" in told("plan", "--params", folder / "ladder.yaml", "--tokens", folder)
