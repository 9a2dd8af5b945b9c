"""`mixwright explain` as a user types it, on a run whose ingest has finished."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from flows.config import changed_params, read_config, resolved
from flows.run import params_text
from infra.folders import place
from tasks.ingest.snapshot import place_raw, raw_input


def mixwright(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, words)])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a run in it that has done nothing but ingest."""
    home = tmp_path_factory.mktemp("explain")
    source = home / "text" / "web"
    source.mkdir(parents=True)
    (source / "a.jsonl").write_text(json.dumps({"id": "a", "text": "words"}) + "\n")
    run, config = home / "run", read_config("demo")
    raw = raw_input((str(home / "text"),), home, config.params.ingest, lambda *_: None)
    place_raw(raw, run / "data" / "raw", place)
    (run / "params.yaml").write_text(params_text(config))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIXWRIGHT_HOME", str(home))
        data, params = run / "data", run / "params.yaml"
        done = mixwright("ingest", "--input", data / "raw", "--output", data / "ingest", "--params", params)
    assert done.exit_code == 0, done.output
    return home


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIXWRIGHT_HOME", str(home))
    return home / "run"


def test_what_has_finished_would_not_run_again(run: Path) -> None:
    result = mixwright("explain", "ingest", "--run", run)
    assert (result.exit_code, "unchanged" in result.output) == (0, True), result.output


def test_another_param_is_named_with_both_values_and_nothing_is_done(run: Path) -> None:
    before = sorted(path for path in run.rglob("*"))
    result = mixwright("explain", "ingest", "--run", run, "--set", "ingest.text_field=body", "--json")
    first, *units = json.loads(result.stdout)["sentences"]
    assert first.startswith("ingest: run again, because params.text_field was")
    assert '"text"' in first and '"body"' in first
    assert "1 of 1 units (ingest.read) would be done" in units[-1]
    assert sorted(path for path in run.rglob("*")) == before


def test_a_run_is_compared_with_another(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(run, other)
    assert mixwright("ingest", "--input", other / "data" / "raw", "--output", other / "data" / "ingest", "--set",
                     "ingest.max_damaged_files=1").exit_code == 0  # fmt: skip
    result = mixwright("explain", "ingest", "--run", run, "--against", other)
    assert "params.max_damaged_files was 1 and is 0" in result.output, result.output


def test_what_cannot_be_compared_is_named(run: Path) -> None:
    for words, told in (
        (("train",), "no manifest.json here"),
        (("ingest", "--against", "data/nothing/v1"), "--against data/nothing/v1: neither the folder of a run"),
        (("ingest", "--set", "ingest.nothing=1"), "ingest.nothing"),
    ):
        result = mixwright("explain", *words, "--run", run)
        assert result.exit_code == 2 and told in result.output, result.output


def test_another_value_of_an_earlier_stage_is_not_told_as_no_change(run: Path) -> None:
    result = mixwright("explain", "tokenize", "--run", run, "--set", "curate.seed=1")
    assert (result.exit_code, "curate would run again first" in result.output) == (0, True), result.output


def test_what_followed_a_param_follows_its_new_value_in_the_resolved_params_of_a_run(run: Path, tmp_path: Path) -> None:
    config = resolved(read_config("demo"))
    search, training = config.params.search, config.params.train.training
    assert search.target_tokens == training.num_tokens and search.transfer and search.transfer.training
    more = (f"train.training.num_tokens={4 * training.num_tokens}", "search.seed=3")
    again = changed_params(config.params, more)
    assert again == resolved(read_config("demo", settings=more)).params
    assert changed_params(config.params, ("search.seed=0",)).search == search
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "params.yaml").write_text(params_text(config))
    result = mixwright("explain", "train", "--run", tmp_path / "run", "--set", more[0])
    assert (result.exit_code, "search would run again first" in result.output) == (0, True), result.output
    # What was named by itself stays.
    named = config.params.model_copy(update={"search": search.model_copy(update={"target_tokens": 4096})})
    assert named.search.left_open(training).target_tokens == 4096
