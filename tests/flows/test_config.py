"""Presets, params.yaml and the rules between stages."""

import os
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
import yaml
from click.testing import CliRunner

from cli.main import main
from flows.config import PRESETS, PipelineConfig, PipelineParams, read_config, require_files, resolved
from flows.run import params_text
from tasks.core.errors import ConfigError
from tasks.mixture.config import TargetRun


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_preset_is_a_valid_config(path: Path) -> None:
    assert read_config(path.stem).name


def test_params_yaml_holds_the_params_of_the_demo(project: Path) -> None:
    assert (project / "params.yaml").read_text(encoding="utf-8") == params_text(read_config("demo")), (
        "params.yaml is not what the defaults say; write it again: python -m cli params > params.yaml"
    )


def test_params_survive_yaml() -> None:
    text = params_text(read_config("demo"))
    assert PipelineParams.model_validate(yaml.safe_load(text)) == read_config("demo").params


def test_the_caps_hold_for_the_run_that_is_trained() -> None:
    with pytest.raises(ConfigError, match=r"search\.target_tokens is 4,096 but train\.training\.num_tokens"):
        read_config("demo", settings=("search.target_tokens=4096",))


def test_the_tokens_of_the_run_are_stated_once() -> None:
    asked = read_config(
        "demo", settings=("train.training.num_tokens=409600", "train.training.model.sequence_length=64")
    )
    assert asked.params.search.target_tokens is None
    assert resolved(asked).params.search.target == TargetRun(409_600, 64)


@pytest.mark.parametrize("setting", ["curate.no_such_rule=1", "nonsense.seed=1", "cluster.max_chars=many"])
def test_a_key_or_type_that_does_not_exist_is_refused_with_its_place(setting: str) -> None:
    with pytest.raises(ConfigError, match=setting.partition("=")[0].removesuffix(".seed").replace(".", r"\.")):
        read_config("demo", settings=(setting,))


def test_all_mistakes_of_a_run_are_told_together(tmp_path: Path) -> None:
    settings = ("train.training.num_tokens=1000", "train.training.micro_batches=3", "cluster.no_such=1", "nonsense")
    with pytest.raises(ConfigError) as caught:
        read_config("demo", tmp_path / "missing.yaml", settings, inputs=(str(tmp_path / "nothing"),), name="Not A Tag")
    told = str(caught.value)
    for part in (
        "missing.yaml: there is no such file",
        "--set params.nonsense: expected key=value",
        f"--input {tmp_path / 'nothing'}: there is no such file or folder",
        "5 mistake(s)",
        "params.train.training: num_tokens 1000 is not a whole number of steps",
        "params.train.training: micro_batches 3 is not a power of two",
        "params.cluster.no_such: ",
        "name: ",
    ):
        assert part in told


def test_the_order_of_settings_does_not_matter_to_a_method_of_another_kind() -> None:
    settings = ("search.strategy.num_averaged=50", "search.strategy.kind=regmix")
    assert read_config("demo", settings=settings) == read_config("demo", settings=settings[::-1])


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(
        ConfigError,
        match=r"--preset nowhere: there is none of this name. Presets: demo, laptop, methods, tasks, tiny",
    ):
        read_config("nowhere")


@pytest.mark.parametrize("name", ["", "Demo", "../up", "a" * 41, "-x"])
def test_a_name_that_cannot_be_a_tag_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        PipelineConfig(name=name)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (("train.mixtures=[searched]",), "train.mixtures names searched; evaluate compares"),
        (("train.mixtures=[natural, uniform]",), "train.mixtures names natural, uniform; evaluate compares"),
        (("evaluate.planted={}",), r"evaluate\.planted is there, and train\.planted names no experiment"),
        (
            ("evaluate.specificity={general: unimax}",),
            r"evaluate\.specificity\.general is unimax, and the runs are of searched, natural, uniform",
        ),
        (("search.num_runs=9",), "search.num_runs: of 9 proxies .* runs are left for the strategy, at least 4"),
        (("search.strategy.kind=climb", "search.num_runs=16"), "search.num_runs: of 16 proxies 6 are baselines"),
        (("search.objective={a: 0}",), "objective: its weights sum to 0"),
        (("search.objectives={x: {a: 1}, y: {a: 0, b: 0}}",), r"objectives\.y: its weights sum to 0"),
        (("search.selection.zoo=[{kind: warm}]",), "`warm`, which needs earlier_runs"),
        (("cluster.domains.merge.num_domains=1",), r"cluster\.domains\.merge\.num_domains is 1"),
        (("search.confirm.num_candidates=1", "search.confirm.num_seeds=2"), "too few to tell a difference from noise"),
        (("train.training.micro_batches=32",), "is not a multiple of micro_batches 32"),
    ],
)
def test_a_run_that_can_never_end_is_refused_before_it_starts(settings: tuple[str, ...], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read_config("demo", settings=settings)


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_quick_try_with_one_or_two_seeds_is_a_valid_config(seeds: int) -> None:
    assert read_config("demo", settings=(f"train.num_seeds={seeds}",)).params.train.num_seeds == seeds


def test_files_that_only_a_late_stage_reads_are_looked_for_first(tmp_path: Path) -> None:
    there = tmp_path / "tokenizer.json"
    tokenizer = f"tokenize.tokenizer={{kind: file, path: {there}, document_end: end}}"
    both = ("search.earlier_runs=nowhere.csv", tokenizer)
    with pytest.raises(ConfigError, match=r"2 file\(s\) .* first: search\.earlier_runs: nowhere\.csv"):
        read_config("demo", settings=both)
    there.write_text("{}")
    with pytest.raises(ConfigError, match=r"1 file\(s\)"):
        read_config("demo", settings=both)
    params = read_config("demo", settings=(tokenizer,)).params
    there.unlink()
    with pytest.raises(ConfigError, match=r"1 file\(s\)"):
        require_files(params)


@pytest.fixture
def own_environment() -> Iterator[None]:
    """What a run sets in the environment of its process is gone behind the test."""
    with patch.dict(os.environ):
        yield


def test_files_of_tasks_are_read_before_the_first_stage(own_environment: None, tmp_path: Path) -> None:
    def told(*settings: str) -> str:
        words = ["run", "--preset", "tasks", *(word for setting in settings for word in ("--set", setting))]
        result = CliRunner().invoke(main, words)
        assert (result.exit_code, type(result.exception)) == (2, SystemExit)
        return result.output.splitlines()[-1]

    assert told().startswith("DataError: evals/jeopardy_all.jsonl: there is no such file")
    file = tmp_path / "task.jsonl"
    file.write_text('{"context": "a", "continuation": "b"}\n{"context": "a"}\n')
    task = f"[{{name: t, file: {file}, task: {{kind: last_word}}}}]"
    search = (f"search.tasks={task}", "search.objective={t: 1}", f"evaluate.tasks={task}", "evaluate.score_sets=[]")
    assert f"{file}, line 2: `continuation` is missing" in told(*search)
    file.write_text('{"context": "a", "continuation": "b"}\n')
    assert "of its 1 items the search may look at" in told(*search)
    none = ("search.tasks=[]", "search.objective=null", f"evaluate.tasks={task}", "evaluate.score_sets=[]")
    assert "results_1.json: cannot be read" in told(*none, "evaluate.harness_results=[{file: results_1.json}]")
