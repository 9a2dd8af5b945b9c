"""`mixwright law ...` as a user types it."""

import csv
import json
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from cli.law import KINDS
from cli.main import main
from cli.schemas import FOLDER
from tasks.laws.kinds import LawParams, reads


def law(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["law", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sizes = [(params, tokens) for params in (1e7, 1e8, 3e8) for tokens in (1e9, 3e9, 1e10)]
    rows = [f"{n:g},{d:g},{1.8 + 480 / n**0.35 + 2000 / d**0.35!r},run{n:g}" for n, d in sizes]
    (tmp_path / "runs.csv").write_text("\n".join(["params,tokens,loss,name", *rows, ""]))
    (tmp_path / "at.csv").write_text("name,params,tokens\nmine,1e9,2e10\n'theirs, far',1e12,2e14\n".replace("'", '"'))
    return tmp_path


def fit(folder: Path, *more: str, kind: str = "chinchilla") -> Result:
    files = ("--runs", folder / "runs.csv", "--predict", folder / "at.csv", "--output", folder / "out.csv")
    return law("fit", "--kind", kind, *files, *more)


def test_a_law_is_fitted_and_the_rows_of_a_table_are_predicted(folder: Path) -> None:
    result = fit(folder, "--json", "--confidence", "0.9")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    schema = json.loads((FOLDER / "law" / "law.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(told)
    assert (told["runs"], told["predicted"], told["confidence"], told["far_beyond"]) == (9, 2, 0.9, 1)
    with (folder / "out.csv").open() as stream:
        near, far = csv.DictReader(stream)
    assert list(near) == ["name", "params", "tokens", *told["written_columns"]]
    assert (near["name"], near["params"], far["name"]) == ("mine", "1e9", "theirs, far")
    truth = 1.8 + 480 / 1e9**0.35 + 2000 / 2e10**0.35
    assert float(near["lower"]) < float(near["prediction"]) < float(near["upper"])
    assert float(near["prediction"]) == pytest.approx(truth, rel=1e-3)
    assert (near["beyond_range"], far["beyond_range"]) == ("false", "true")


def test_the_same_table_gives_the_same_bytes(folder: Path) -> None:
    first = (fit(folder).output, (folder / "out.csv").read_bytes())
    assert first == (fit(folder).output, (folder / "out.csv").read_bytes())


def test_parameters_are_printed_under_the_papers_names(folder: Path) -> None:
    words = fit(folder, kind="over_training").output.split()
    assert {"alpha", "beta", "b", "E"} <= {*words}


@pytest.mark.parametrize(
    ("change", "more", "code", "told"),
    [
        ("loss", (), 2, "1 column missing: `loss` (loss it reached). There are: params, tokens, los, name."),
        (None, ("--set", "objective=median"), 2, "chinchilla.objective: Input should be 'squares'"),
        (None, ("--set", "tolerance=1"), 2, "chinchilla.tolerance: unknown key"),
        (None, ("--kind", "d_cpt"), 2, "--kind is given 2 times"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    folder: Path, change: str | None, more: tuple[str, ...], code: int, told: str
) -> None:
    if change is not None:
        text = (folder / "runs.csv").read_text()
        (folder / "runs.csv").write_text(text.replace(change, change[:-1], 1))
    result = fit(folder, *more)
    assert (result.exit_code, told in result.output) == (code, True), result.output
    assert not (folder / "out.csv").exists()


def test_a_table_that_has_a_column_of_the_output_is_refused(folder: Path) -> None:
    (folder / "at.csv").write_text("params,tokens,prediction\n1e9,2e10,3\n")
    result = fit(folder)
    assert (result.exit_code, "it has a column `prediction` already" in result.output) == (2, True), result.output


def test_help_names_every_kind_and_every_column() -> None:
    told = law("fit", "--help").output
    models = get_args(get_args(LawParams)[0])
    assert {model.model_fields["kind"].default for model in models} == {*KINDS}
    for model in models:
        assert all(column.name in told for column in reads(model()).runs), model


def test_a_multiplier_stands_beside_each_run_and_none_where_the_twin_was_not_measured(tmp_path: Path) -> None:
    rows = [f"{tokens:g},{2 + 300 / tokens**0.3!r}" for tokens in (1e8, 1e9, 1e10)]
    (tmp_path / "twin.csv").write_text("\n".join(["tokens,loss", *rows, ""]))
    (tmp_path / "runs.csv").write_text(f"name,tokens,loss\ngood,1e9,{2 + 300 / 2e9**0.3!r}\nbest,1e9,2.1\n")
    files = ("--runs", tmp_path / "runs.csv", "--twin", tmp_path / "twin.csv", "--output", tmp_path / "out.csv")
    result = law("multiplier", *files)
    assert (result.exit_code, "1 of 2 runs within" in result.output) == (0, True), result.output
    with (tmp_path / "out.csv").open() as stream:
        good, best = csv.DictReader(stream)
    assert float(good["multiplier"]) == pytest.approx(2, rel=0.01)
    assert (best["multiplier"], best["range"]) == ("", "beyond range: better than the twin")
