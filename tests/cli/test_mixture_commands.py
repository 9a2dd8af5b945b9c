"""`mixwright mixture ...` as a user types it: results, JSON, exit codes, and messages without a traceback."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result

from cli.main import main
from cli.speed import measured_speed
from flows.config import read_config
from tasks.core.rng import generator
from tasks.mixture.config import SearchParams
from tasks.mixture.runs import ProxyRun, RunTable, to_csv
from tasks.tokenize.pool import write_pool

DOMAINS = ("a", "b", "c")
FAST = (
    "--set",
    "search.selection.zoo=[{kind: ridge_sqrt}]",
    "--set",
    "search.num_runs=10",
)


def mixwright(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["mixture", *map(str, arguments)])


def said(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def runs() -> RunTable:
    rows = []
    drawn = generator(0, "commands").dirichlet(np.ones(3), 10)
    weights = [(0.2, 0.3, 0.5), (1 / 3, 1 / 3, 1 / 3), *map(tuple, drawn.tolist()), (0.2, 0.3, 0.5)]
    kinds = ["natural", "uniform", *["design"] * 10, "repeat"]
    for number, (mixture, kind) in enumerate(zip(weights, kinds, strict=True)):
        bpb = tuple(2.0 - 0.5 * weight**0.5 + 0.01 * (kind == "repeat") for weight in mixture)
        seed = int(kind == "repeat")
        rows.append(ProxyRun(number, 0, kind, seed, 1, 1, 1, sum(bpb) / 3, mixture, bpb))  # type: ignore[arg-type]
    return RunTable(DOMAINS, DOMAINS, "bits per byte", tuple(rows))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    table = runs()
    (tmp_path / "runs.csv").write_text(to_csv(table))
    paired = table.paired(0).rows
    for name, columns, rows in (
        ("A.csv", DOMAINS, [row.weights for row in paired]),
        ("B.csv", ("x", "y", "z"), [row.losses for row in paired]),
        ("C.csv", DOMAINS, [(0.5, 0.25, 0.25), (0.334, 0.333, 0.332)]),
    ):
        with (tmp_path / name).open("w", newline="") as stream:
            csv.writer(stream).writerows([("index", *columns), *((n, *row) for n, row in enumerate(rows))])
    return tmp_path


def pair(folder: Path) -> tuple[str | Path, ...]:
    return "--mixtures", folder / "A.csv", "--losses", folder / "B.csv"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("table", "--runs", "runs.csv", "--mixtures", "X.csv", "--losses", "X.csv"), "are both"),
        (
            ("table", "--runs", "runs.csv", "--mixtures", "X.csv", "--losses", "none/Y.csv"),
            "--losses none/Y.csv: not a",
        ),
        (
            ("fit", "--mixtures", "A.csv", "--losses", "I.csv", "--predict", "C.csv", "--output", "P.csv"),
            "no column but",
        ),
        (("import", "--mixtures", "A.csv", "--losses", "I.csv", "--output", "P.csv"), "no column but those that name"),
        (
            ("fit", "--runs", "N.csv", "--predict", "C.csv", "--output", "P.csv"),
            "line 2: run 0: it has a weight of -0.5",
        ),
        (("fit", "--runs", "Z.csv", "--predict", "C.csv", "--output", "P.csv"), "Z.csv: this is no CSV text in UTF-8"),
        (("simulate", "--runs", "H.csv"), "H.csv: 1 line(s): a header and at least one row are needed"),
        (("export", "--recipe", "recipe.json", "--format", "nanotron", "--output", "x"), "recipe.json: "),
        (("compare", "--tokens", "T", "--output", "O", "--method", "uniform"), "uniform is a baseline"),
    ],
)
def test_bad_files_are_refused_by_name_and_nothing_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(folder)
    first, *rest = to_csv(runs()).splitlines()
    Path("I.csv").write_text("index\n0\n1\n")
    Path("N.csv").write_text("\n".join([first, rest[0].replace("0.2,0.3,0.5", "-0.5,0.7,0.8"), *rest[1:]]))
    Path("Z.csv").write_bytes(b"\xff\xfe\x00")
    Path("H.csv").write_text(first)
    phase = {"tokens": 10, "weights": [0.5, 0.4]}
    Path("recipe.json").write_text(
        json.dumps({"format": 1, "domains": ["a", "b"], "phases": [phase], "max_epochs": 4.0})
    )
    before = sorted(path.name for path in folder.iterdir())
    result = mixwright(*arguments)
    assert result.exit_code == 2 and message in result.output, result.output
    assert sorted(path.name for path in folder.iterdir()) == before


def places(folder: Path) -> tuple[str | Path, ...]:
    return "--predict", folder / "C.csv", "--output", folder / "P.csv"


def test_the_group_is_listed_and_each_command_has_help() -> None:
    assert "mixture" in CliRunner().invoke(main, ["--help"]).output
    for name in ("fit", "import", "table", "plan", "simulate", "export"):
        assert mixwright(name, "--help").exit_code == 0


@pytest.mark.parametrize("target", ["mean", "x"])
def test_fit_writes_a_prediction_and_an_interval_per_row(folder: Path, target: str) -> None:
    result = mixwright("fit", *pair(folder), "--target", target, *places(folder))
    assert result.exit_code == 0, result.output
    assert "chosen for " + target in result.output and "1 of 2 mixtures to predict" in result.output
    rows = list(csv.DictReader((folder / "P.csv").read_text().splitlines()))
    assert list(rows[0]) == ["prediction", "lower", "upper", "extrapolated"] and len(rows) == 2
    assert [row["extrapolated"] for row in rows] == ["false", "false"] and "warning" not in result.output
    assert all(float(row["lower"]) < float(row["prediction"]) < float(row["upper"]) for row in rows)
    truth = 2.0 - 0.5 * np.mean(np.sqrt([0.5, 0.25, 0.25]) if target == "mean" else np.sqrt([0.5]))
    assert float(rows[0]["prediction"]) == pytest.approx(truth, abs=0.02)


def test_fit_takes_our_own_table_of_runs_and_answers_in_json(folder: Path) -> None:
    value = said(mixwright("fit", "--runs", folder / "runs.csv", "--target", "a", *places(folder), "--json"))
    assert (value["runs"], value["domains"], value["predicted"], value["predicted_normalised"]) == (12, 3, 2, 1)
    assert value["predictor"] in {score["predictor"] for score in value["scores"]}


def with_steps(folder: Path) -> None:
    """Give the losses a column that counts, as a careless export does."""
    first, *rest = (folder / "B.csv").read_text().splitlines()
    rows = [f"{line},{1000 + 10 * number}" for number, line in enumerate(rest)]
    (folder / "B.csv").write_text("\n".join([f"{first},step", *rows]) + "\n")


def test_what_is_doubtful_is_warned_of_in_every_output(folder: Path) -> None:
    with_steps(folder)
    (folder / "C.csv").write_text("a,b,c\n0.34,0.33,0.33\n1,0,0\n")
    fitted = mixwright("fit", *pair(folder), *places(folder), "--json")
    value = said(fitted)
    assert not value["beats_mean"] and value["extrapolated"] == 1
    told = [
        "column step is part of the target",
        "differ in scale: step",
        "no predictor beats",
        "1 of 2 mixtures have a weight",
    ]
    assert len(value["warnings"]) == len(told)
    for words, warning in zip(told, value["warnings"], strict=True):
        assert words in warning and f"warning: {warning}" in fitted.stderr
    assert "first: line 3, a 1, measured" in value["warnings"][-1]
    printed = mixwright("fit", *pair(folder), *places(folder)).stdout
    assert printed.startswith("NO predictor beats the mean for mean") and "chosen for" not in printed
    assert "1 of them extrapolated" in printed and "4 warnings above" in printed


def test_doubtful_losses_are_warned_of_when_they_are_brought_in(folder: Path) -> None:
    with_steps(folder)
    result = mixwright("import", *pair(folder), "--output", folder / "imported.csv", "--json")
    assert said(result)["warnings"][0].startswith("column step is part of the target")
    one = mixwright("import", *pair(folder), "--output", folder / "imported.csv", "--target", "x", "--json")
    assert said(one)["warnings"] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--target", "w"), "ConfigError: .*no column w"),
        (("--mixtures", "nothing.csv"), "DataError: nothing.csv: there is no such file"),
        (("--predict", "B.csv"), "3 missing"),
        (("--output", "no/folder/P.csv"), "ConfigError: --output"),
        (("--runs", "runs.csv"), "Give one of the two"),
    ],
)
def test_what_fit_refuses_is_one_message_and_exit_code_2(
    folder: Path, change: tuple[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import re

    monkeypatch.chdir(folder)
    words = [*pair(folder), *places(folder)]
    options = dict(zip(words[::2], words[1::2], strict=True)) | dict([change])
    result = mixwright("fit", *(word for option in options.items() for word in option))
    assert result.exit_code == 2 and re.search(message, result.output)
    assert "Traceback" not in result.output and not (folder / "P.csv").exists()


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("A.csv", "0.2,0.3,0.5", "0.2,0.3,0.52", r"A.csv, line 2 \(index 0\) sums to 1.020000"),
        ("A.csv", "0.2,0.3,0.5", "0.2,0.3,nan", r"A.csv, line 2 \(index 0\), column c: 'nan'"),
        ("B.csv", "index,", "number,", r"A.csv names its rows in a column `index`, B.csv has no such column"),
        ("A.csv", "\n0,", "\n99,", r"B.csv lacks 1 of 12 rows of A.csv; first: A.csv, line 2 \(index 99\)"),
        ("B.csv", "\n3,", "\n2,", r"B.csv, line 5 \(index 2\): line 4 has the same index"),
        ("A.csv", "0.3333333333333333,0.3333333333333333,0.3333333333333333", "0.2,0.3,0.5", r"same mixture as line 2, but"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["fit", "import"])
def test_a_bad_table_is_refused_with_its_row_whether_it_is_fitted_or_imported(
    folder: Path, file: str, old: str, new: str, message: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import re

    monkeypatch.chdir(folder)
    text = Path(file).read_text()
    assert old in text
    Path(file).write_text(text.replace(old, new, 1))
    rest = ("--predict", "C.csv", "--output", "P.csv") if command == "fit" else ("--output", "P.csv")
    result = mixwright(command, "--mixtures", "A.csv", "--losses", "B.csv", *rest)
    assert result.exit_code == 2 and re.search("DataError: .*" + message, result.output), result.output
    assert "Traceback" not in result.output and not Path("P.csv").exists()


def test_losses_that_never_change_are_refused(folder: Path) -> None:
    lines = (folder / "B.csv").read_text().splitlines()
    flat = [lines[0], *(",".join([*line.split(",")[:3], "2.5"]) for line in lines[1:])]
    (folder / "B.csv").write_text("\n".join(flat) + "\n")
    refused = mixwright("import", *pair(folder), "--output", folder / "imported.csv")
    assert (
        refused.exit_code == 2 and "1 of 3 losses are the same in all 12 runs; first: column z, 2.5" in refused.output
    )
    kept = mixwright("import", *pair(folder), "--output", folder / "imported.csv", "--loss", "x", "--loss", "y")
    assert kept.exit_code == 0, kept.output


def test_a_pair_of_tables_comes_in_and_goes_out_as_the_same_pair(folder: Path) -> None:
    origin = ("--unit", "bits per byte", "--model-parameters", "1000", "--tokens", "50", "--target", "x")
    value = said(mixwright("import", *pair(folder), "--output", folder / "imported.csv", *origin, "--json"))
    assert (value["runs"], value["domains"], value["sets"], value["normalised"]) == (12, 3, 3, 0)
    assert "bpb:x" in (folder / "imported.csv").read_text() and value["paired_by"] == "index"
    written = mixwright(
        "table", "--runs", folder / "imported.csv", "--mixtures", folder / "A2.csv", "--losses", folder / "B2.csv"
    )
    assert written.exit_code == 0 and "12 of 12 runs" in written.output
    for name in ("A", "B"):
        assert (folder / f"{name}2.csv").read_text().split() == (folder / f"{name}.csv").read_text().split()


def test_a_table_of_several_sizes_is_written_one_size_at_a_time(folder: Path) -> None:
    table = runs()
    larger = ProxyRun(99, 1, "transfer", 0, 7, 1, 1, 2.0, (0.2, 0.3, 0.5), (1.0, 2.0, 3.0))
    (folder / "both.csv").write_text(to_csv(RunTable(DOMAINS, DOMAINS, table.unit, (*table.rows, larger))))
    asked = ("table", "--runs", folder / "both.csv", "--mixtures", folder / "A2.csv", "--losses", folder / "B2.csv")
    refused = mixwright(*asked)
    assert refused.exit_code == 2 and "--model-parameters" in refused.output and not (folder / "A2.csv").exists()
    assert "1 of 14 runs" in mixwright(*asked, "--model-parameters", "7").output


def test_too_few_runs_are_too_little_evidence_and_exit_code_1(folder: Path) -> None:
    for name in ("A.csv", "B.csv"):
        lines = (folder / name).read_text().splitlines()
        (folder / name).write_text("\n".join(lines[:4]) + "\n")
    result = mixwright("fit", *pair(folder), *places(folder))
    assert result.exit_code == 1 and "EvidenceError: 3 measured mixtures" in result.output


def test_plan_says_costs_and_what_it_does_not_know() -> None:
    result = mixwright("plan")
    assert result.exit_code == 0
    assert "hours are unknown" in result.output and "gain that could be claimed is unknown" in result.output
    speeds = ("--proxy-tokens-per-s", "1000", "--second-tokens-per-s", "500")
    value = said(mixwright("plan", "--json", *speeds))
    # The demo's proxies; the pick at their size once more, and it and natural with two seeds at the second size.
    assert value["search"]["runs"] == read_config("demo").params.search.num_runs + 1 + 4
    assert value["parts"]["second size"]["runs"] == 4
    assert value["search"]["hours"] > 0 and value["training"]["hours"] is None
    assert sum(part["runs"] for part in value["parts"].values()) == value["search"]["runs"]
    assert value["noise"] is None and value["evaluated"] is None


def test_plan_takes_noise_from_earlier_runs_and_caps_from_the_pool(folder: Path) -> None:
    tokens = {split: np.ones(400_000 if split == "train" else 1000) for split in ("train", "search", "test")}
    write_pool(folder / "pool", dict.fromkeys(DOMAINS, tokens), vocab_size=300, document_end=0)
    known = ("--runs", folder / "runs.csv", "--tokens", folder / "pool")
    value = said(mixwright("plan", *known, "--json"))
    assert value["vocab_size"] == 300
    assert value["noise"]["known"] == "bounded" and value["evaluated"]["gain"] > value["noise"]["sd"]
    assert value["confirmed"]["gain"] < value["evaluated"]["gain"]
    assert "would be claimed with probability 80%" in mixwright("plan", *known).output
    assert "make no claim" in mixwright("plan", *known, "--set", "train.num_seeds=2").output


def test_plan_finds_a_pool_that_is_too_small_before_money_is_spent(folder: Path) -> None:
    tokens = {split: np.ones(1000) for split in ("train", "search", "test")}
    write_pool(folder / "pool", dict.fromkeys(DOMAINS, tokens), vocab_size=300, document_end=0)
    result = mixwright("plan", "--tokens", folder / "pool")
    assert result.exit_code == 2 and "no weights keep to the caps" in result.output


def test_plan_says_what_a_gain_that_matters_would_take(folder: Path) -> None:
    asked = ("plan", "--runs", folder / "runs.csv", "--effect", "0.005")
    value = said(mixwright(*asked, "--json"))
    assert value["confirm_seeds"] > 3 and value["train_seeds"] > 3 and len(value["sizings"]) == 1
    text = mixwright(*asked).output
    assert f"search.confirm.num_seeds = {value['confirm_seeds']}" in text
    assert f"train.num_seeds = {value['train_seeds']}" in text and "cannot be derived from runs of one size" in text


def test_plan_says_the_cost_then_measures_the_noise_where_a_search_will_find_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = {split: np.ones(400_000 if split == "train" else 1000) for split in ("train", "search", "test")}
    write_pool(folder / "pool", dict.fromkeys(DOMAINS, tokens), vocab_size=300, document_end=0)
    asked: list[Any] = []

    def pilot(params: SearchParams, pool_folder: Path, workshop: Any, seeds: int) -> RunTable:
        asked.append((pool_folder, workshop.store.root, seeds))
        return runs()

    monkeypatch.setenv("MIXWRIGHT_HOME", str(folder / "home"))
    monkeypatch.setattr("tasks.mixture.stage.pilot", pilot)
    result = mixwright("plan", "--tokens", folder / "pool", "--pilot", "3")
    assert result.exit_code == 0, result.output
    assert result.output.index("search, at most") < result.output.index("noise of a difference")
    assert asked == [(folder / "pool", folder / "home" / "store", 3)]
    refused = mixwright("plan", "--pilot", "3")
    assert refused.exit_code == 2 and "--pilot trains on a pool" in refused.output and len(asked) == 1


def test_speed_is_timed_on_a_real_run() -> None:
    assert measured_speed(SearchParams().decided("float32").proxy, 300, seconds=0.05) > 100


def test_simulate_prints_regret_per_number_of_runs_beside_the_baselines(folder: Path) -> None:
    asked = ("simulate", "--runs", folder / "runs.csv", "--seeds", "1", *FAST)
    result = mixwright(*asked)
    assert result.exit_code == 0, result.output
    for word in ("default", "random_search", "natural", "uniform", "unimax", "kinder than the world"):
        assert word in result.output
    value = said(mixwright(*asked, "--noise-sd", "0", "--json"))
    assert value["run_sd"] == 0 and value["regret"]["natural"] >= 0
    assert [row["runs"] for row in value["strategies"]] == [8, 10, 10]


def test_simulate_on_a_pool_of_other_domains_is_refused(folder: Path) -> None:
    tokens = {split: np.ones(400_000 if split == "train" else 1000) for split in ("train", "search", "test")}
    write_pool(folder / "pool", dict.fromkeys(("x", "y", "z"), tokens), vocab_size=300, document_end=0)
    result = mixwright("simulate", "--runs", folder / "runs.csv", "--tokens", folder / "pool", *FAST)
    assert result.exit_code == 2 and "its domains are not those" in result.output


def test_export_writes_the_file_or_says_what_it_needs(folder: Path) -> None:
    recipe = {
        "format": 1, "domains": ["a", "b"], "phases": [{"tokens": 10, "weights": [0.4, 0.6]}], "max_epochs": 4.0,
        "baselines": {name: [0.5, 0.5] for name in ("natural", "uniform", "unimax")}, "objective": [0.5, 0.5],
    }  # fmt: skip
    (folder / "recipe.json").write_text(json.dumps(recipe))
    asked = ("export", "--recipe", folder / "recipe.json", "--format", "olmo-core", "--output", folder / "mix.yaml")
    refused = mixwright(*asked)
    assert refused.exit_code == 2 and "--data" in refused.output and not (folder / "mix.yaml").exists()
    assert mixwright(*asked, "--data", "/d/{domain}.npy").exit_code == 0
    assert yaml.safe_load((folder / "mix.yaml").read_text())["sources"][1]["paths"] == ["/d/b.npy"]
