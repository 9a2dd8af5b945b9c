"""Results of lm-evaluation-harness taken in: files as version 0.4.13 writes them, without what is not read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import main
from tasks.core.digest import digest_file
from tasks.core.errors import ConfigError, DataError
from tasks.evaluation.config import EvaluateParams
from tasks.evaluation.harness.params import HarnessResultsParams
from tasks.evaluation.harness.results import read_results, scores_of_models
from tasks.evaluation.tasks.published import Scores
from tests.evaluation.test_task_models import evaluate, model_folder, records_file

TOLD: dict[str, Any] = {
    "results": {
        "toy": {
            "name": "toy",
            "alias": "toy",
            "sample_len": 10,
            "acc_norm,none": 0.5,
            "acc_norm_stderr,none": 0.16666666666666666,
            "acc,none": 0.75,
            "acc_stderr,none": "N/A",
            "odd,none": 3.0,
        },
        "roll": {"alias": "roll", "bits_per_byte,none": 10.25, "bits_per_byte_stderr,none": "N/A"},
        "gsm": {"alias": "gsm", "exact_match,strict-match": 0.1, "exact_match_stderr,strict-match": 0.01},
        "two": {"alias": "two", "acc,none": 0.6, "acc_stderr,none": 0.1},
        "none_of_its_own": {"alias": "none_of_its_own"},
    },
    "group_subtasks": {"two": ["toy", "more"], "more": ["gsm"], "none_of_its_own": ["toy"]},
    "configs": {
        "toy": {
            "task": "toy",
            "dataset_kwargs": {"data_files": {"test": "here.jsonl"}},
            "target_delimiter": " ",
            "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
            "metadata": {"version": 1.0, "pretrained": "m"},
        },
    },
    "versions": {"toy": 1.0, "roll": 2.0},
    "n-shot": {"toy": 0, "roll": 0, "gsm": 5},
    "higher_is_better": {
        "toy": {"acc": True, "acc_norm": True, "odd": None},
        "roll": {"bits_per_byte": False},
        "gsm": {"exact_match": True},
    },
    "n-samples": {name: {"original": 20, "effective": 10} for name in ("toy", "roll", "gsm")},
    "config": {"model": "hf", "model_args": {"pretrained": "models/m"}, "limit": 10.0, "fewshot_seed": 1234},
    "model_name": "models/m",
    "chat_template_sha": None,
}


def written(path: Path, *, without: str | None = None, **changes: Any) -> HarnessResultsParams:
    """Write results, with other values of some keys (`config__model` is `model` in `config`)."""
    told = json.loads(json.dumps(TOLD))
    for name, value in changes.items():
        *parents, last = name.split("__")
        place = told
        for parent in parents:
            place = place[parent]
        place[last.replace("_shot", "-shot")] = value
    told.pop(without, None)
    path.write_text(json.dumps(told), encoding="utf-8")
    return HarnessResultsParams(file=str(path))


def taken(*files: HarnessResultsParams, models: Mapping[str, str | None]) -> Any:
    return scores_of_models(read_results(files), models)


def test_every_score_is_taken_with_its_error_direction_items_and_primary_one(tmp_path: Path) -> None:
    found, identities = taken(written(tmp_path / "r.json"), models={"m": None})
    tasks = found["m"]
    assert {name: (task.items, task.primary, sorted(task.scores)) for name, task in tasks.items()} == {
        "toy": (10, "acc", ["acc", "acc_norm"]),
        "roll": (10, "bits_per_byte", ["bits_per_byte"]),
        "gsm": (10, "exact_match,strict-match", ["exact_match,strict-match"]),
        "two": (20, "acc", ["acc"]),
    }
    assert tasks["toy"].scores["acc"].standard_error is None
    score = tasks["toy"].scores["acc_norm"]
    assert (score.value, score.direction) == (0.5, "higher") and score.standard_error == pytest.approx(1 / 6)
    assert tasks["roll"].scores["bits_per_byte"].direction == "lower"
    assert set(identities) == set(tasks)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"configs__toy__dataset_kwargs": {"data_files": {"test": "there.jsonl"}}}, True),
        ({"configs__toy__metadata": {"pretrained": "another"}}, True),
        ({"n_shot": {"toy": 5}}, False),
        ({"versions": {"toy": 2.0}}, False),
        ({"configs__toy__target_delimiter": ""}, False),
        ({"config__limit": None}, False),
        ({"chat_template_sha": "of a template"}, False),
        ({"task_hashes": {"toy": "of its prompts"}}, False),
    ],
)
def test_what_a_task_is_does_not_depend_on_places_but_on_all_that_is_asked(
    tmp_path: Path, changes: Mapping[str, Any], same: bool
) -> None:
    _, one = taken(written(tmp_path / "one.json"), models={"m": None})
    _, other = taken(written(tmp_path / "other.json", **changes), models={"m": None})
    assert (one["toy"] == other["toy"]) is same


def test_two_models_are_asked_in_the_same_way_and_on_every_task(tmp_path: Path) -> None:
    one = written(tmp_path / "one.json")
    few = written(tmp_path / "few.json", model_name="n", n_shot={"toy": 5})
    models = {"m": None, "n": None}
    with pytest.raises(
        DataError, match=r"toy was asked in two ways: parts\.toy\.n-shot is not the same in .*few\.json"
    ):
        taken(one, few, models=models)
    with pytest.raises(DataError, match="toy is there for 1 of 2 models; first without: n"):
        taken(one, models=models)
    with pytest.raises(DataError, match="toy of m stands there twice"):
        taken(one, one, models=models)
    both, _ = taken(one, written(tmp_path / "n.json", model_name="n"), models=models)
    assert both["m"] == both["n"]


def test_a_model_is_found_by_its_weights_and_other_weights_are_refused(tmp_path: Path) -> None:
    file = written(tmp_path / "r.json", model_name="moved", config__model="mixwright", config__model_sha="abc")
    found, _ = taken(file, models={"renamed": "abc"})
    assert "toy" in found["renamed"]
    named = file.model_copy(update={"model": "m"})
    with pytest.raises(DataError, match=r"results of other weights \(abc\) than those of m \(def\)"):
        taken(named, models={"m": "def"})
    with pytest.raises(DataError, match="results of moved, and no model is called so; models: m"):
        taken(file, models={"m": "def"})
    # Of hf the sha is that of a commit on the hub.
    taken(written(tmp_path / "hf.json", config__model_sha="abc"), models={"m": "def"})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"results__toy": {"acc,none": float("nan")}}, "toy: acc,none is nan, not a number"),
        ({"results__toy": {"acc,none": "much"}}, "toy: acc,none is 'much', not a number"),
        ({"results__toy": {"acc,none": 0.5, "acc_stderr,none": -1}}, "standard error of acc,none is -1"),
        ({"results": {}}, "there is no score in it"),
        ({"results": []}, r"no results of lm-evaluation-harness 0\.4 \(results: Input should be"),
        (
            {"without": "higher_is_better"},
            r"no results of lm-evaluation-harness 0\.4 \(higher_is_better: Field required",
        ),
        ({"without": "n-samples"}, r"\(n-samples: Field required"),
        ({"group_subtasks": {"toy": ["lost"]}}, "it has no n-samples of lost"),
        ({"group_subtasks": {"two": ["more"], "more": ["two"]}}, r"\(group_subtasks: .*cycle"),
        ({"results__toy": {"acc,none": 10**400}}, "toy: acc,none is 1000.*, not a number"),
        ({"configs__toy__metric_list": ["acc"]}, r"\(configs"),
        ({"configs__toy__metric_list": 5}, r"\(configs"),
        ({"configs__toy__threshold": float("nan")}, r"\(configs: .*not JSON compliant"),
        ({"configs__toy__doc_to_text": "\ud800"}, r"\(configs: .*surrogates not allowed"),
        ({"config__limit": float("nan")}, r"\(config: "),
    ],
)
def test_damaged_and_foreign_results_are_named(tmp_path: Path, changes: Mapping[str, Any], told: str) -> None:
    file = written(tmp_path / "r.json", **changes)
    with pytest.raises(DataError, match=told) as caught:
        read_results([file])
    assert "r.json" in str(caught.value)


def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.json: cannot be read: No such file"):
        read_results([HarnessResultsParams(file=str(tmp_path / "gone.json"))])
    (tmp_path / "cut.json").write_text(json.dumps(TOLD)[:100])
    with pytest.raises(DataError, match=r"cut\.json: this is no JSON"):
        read_results([HarnessResultsParams(file=str(tmp_path / "cut.json"))])


def test_results_stand_beside_our_own_tasks_and_in_sets_of_scores(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    sha = digest_file(folder / "model.safetensors")
    file = written(tmp_path / "r.json", config__model="mixwright", config__model_sha=sha)
    asked = EvaluateParams.model_validate(
        {
            "harness_results": [file.model_dump()],
            "score_sets": [{"name": "both", "weights": {"toy": 1, "echo.accuracy": 1}}],
            "tasks": [{"name": "echo", "file": str(records_file(tmp_path)), "task": {"kind": "multiple_choice"}}],
        }
    )
    evaluate(tmp_path, asked, folder)
    scores = Scores.read(tmp_path / "scores")
    (model,) = scores.models
    assert {"toy", "roll", "gsm", "two", "echo"} == set(model.tasks)
    assert model.score_sets["both"].value == (0.75 + model.tasks["echo"].scores["accuracy"].value) / 2
    assert set(scores.identities) == {*model.tasks, "both"}
    with pytest.raises(ConfigError, match=r"score_sets, s: toy has no score accuracy\. It has acc_norm, acc\."):
        wrong = asked.model_dump() | {"score_sets": [{"name": "s", "weights": {"toy.accuracy": 1}}]}
        evaluate(tmp_path, EvaluateParams.model_validate(wrong), folder)
    with pytest.raises(ConfigError, match="score_sets: gsm is a task of the results of the harness too"):
        wrong = asked.model_dump() | {"score_sets": [{"name": "gsm", "weights": {"toy": 1}}]}
        evaluate(tmp_path, EvaluateParams.model_validate(wrong), folder)
    twice = asked.model_dump() | {"score_sets": []}
    twice["tasks"][0]["name"] = "toy"
    with pytest.raises(ConfigError, match=r"toy is a task of .*r\.json too"):
        evaluate(tmp_path, EvaluateParams.model_validate(twice), folder)


def test_by_command_results_alone_are_scores_of_a_model(tmp_path: Path) -> None:
    folder, file = model_folder(tmp_path / "m"), written(tmp_path / "r.json")
    words = ["evaluate", "--model", folder, "--output", tmp_path / "out", "--harness-results", file.file, "--json"]
    result = CliRunner().invoke(main, list(map(str, words)))
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["summary"]["scores"] == {"m": {"toy": 0.75, "roll": 10.25, "gsm": 0.1, "two": 0.6}}


@pytest.mark.parametrize(("name", "value"), [("acc,none", 1.7), ("acc_norm,none", -0.1)])
def test_an_accuracy_that_is_no_share_is_refused(tmp_path: Path, name: str, value: float) -> None:
    rows = TOLD["results"] | {"toy": TOLD["results"]["toy"] | {name: value}}
    with pytest.raises(DataError, match=rf"r\.json, toy: {name} is {value}, not a number that it can be"):
        read_results([written(tmp_path / "r.json", results=rows)])
    # The harness tells losses, and scores of its own, that are no shares.
    (found,) = read_results([written(tmp_path / "r.json")])
    assert found.tasks["roll"].scores.scores["bits_per_byte"].value == 10.25


def test_a_task_with_dots_in_its_name_can_stand_in_a_set(tmp_path: Path) -> None:
    named = json.loads(json.dumps(TOLD).replace('"toy"', '"toy.v1"').replace('"roll"', '"toy"'))
    results, model = written(tmp_path / "r.json", **named), model_folder(tmp_path / "m")
    sets = [{"name": "both", "weights": {"toy.v1": 1, "toy.v1.acc_norm": 1}}, {"name": "other", "weights": {"toy": 1}}]
    asked = {"harness_results": [results.model_dump()], "score_sets": sets}
    evaluate(tmp_path, EvaluateParams.model_validate(asked), model)
    (scored,) = Scores.read(tmp_path / "scores").models
    assert {name: one.value for name, one in scored.score_sets.items()} == {"both": 0.625, "other": 10.25}
    with pytest.raises(ConfigError, match=r"score_sets, none: toy\.v1 has no score v2"):
        evaluate(
            tmp_path,
            EvaluateParams.model_validate(asked | {"score_sets": [{"name": "none", "weights": {"toy.v1.v2": 1}}]}),
            model,
        )
