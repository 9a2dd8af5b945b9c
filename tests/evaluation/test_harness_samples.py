"""Samples of lm-evaluation-harness taken in: lines as version 0.4.13 writes them, without what is not read."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.arms.items import item_gains
from tasks.core.errors import DataError
from tasks.evaluation.config import EvaluateParams
from tasks.evaluation.harness.params import HarnessResultsParams
from tasks.evaluation.harness.results import items_of_models, read_results
from tasks.evaluation.tasks.item import ItemScores
from tasks.evaluation.tasks.published import ScoredModel, Scores, TaskItems
from tasks.evaluation.tasks.stage import MeasuredTasks
from tests.evaluation.test_harness_results import TOLD, written
from tests.evaluation.test_task_models import evaluate, model_folder


def line(number: int, **changes: Any) -> dict[str, Any]:
    """Return a sample of the task `toy`: of ten, five are right, and the others half right by `acc`."""
    right = number < 5
    return {
        "doc_id": number, "doc_hash": f"{number:064}", "filter": "none", "target": "0", "doc": {"query": "the boat is"},
        "metrics": ["acc", "acc_norm", "odd"], "acc": 1.0 if right else 0.5, "acc_norm": float(right), "odd": [-3.5, 7],
    } | changes  # fmt: skip


def with_samples(folder: Path, lines: list[dict[str, Any]], name: str = "m", **changes: Any) -> HarnessResultsParams:
    """Write results of a model and the samples of one of its tasks."""
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")
    results = written(folder / f"{name}.json", model_name=f"models/{name}", **changes)
    return results.model_copy(update={"samples": {"toy": str(path)}})


LINES = [line(number) for number in range(10)]


def test_items_of_the_harness_stand_beside_our_own_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    asked = EvaluateParams.model_validate({"harness_results": [with_samples(tmp_path, LINES[::-1]).model_dump()]})
    evaluate(tmp_path, asked, model_folder(tmp_path / "m"))
    found = TaskItems.read(tmp_path / "scores").tasks
    assert list(found) == ["toy"] and len(found["toy"]) == 10
    first, last = found["toy"][0], found["toy"][-1]
    assert (first.id, first.line, first.gold) == (f"0-{'0' * 16}", 10, None)
    assert (first.scores["m"], last.scores["m"]) == ({"acc_norm": 1.0, "acc": 1.0}, {"acc_norm": 0.0, "acc": 0.5})


def test_arms_have_intervals_over_items_of_the_harness(tmp_path: Path) -> None:
    better = [line(number, acc=1.0) for number in range(10)]
    rows = json.loads(json.dumps(TOLD["results"]))
    rows["toy"]["acc,none"] = 1.0
    results = read_results([with_samples(tmp_path, LINES), with_samples(tmp_path, better, "n", results=rows)])
    found = items_of_models(results, {"m": None, "n": None})["toy"]
    by_item: dict[tuple[str, str], list[ItemScores | None]] = {
        (model, "toy"): [one.scores for one in own] for model, own in found.items()
    }
    models = tuple(
        ScoredModel(model=name, tasks={"toy": each.tasks["toy"].scores}, score_sets={})
        for name, each in zip(("m", "n"), results, strict=True)
    )
    scored = MeasuredTasks(Scores(identities={}, models=models), TaskItems(tasks={"toy": ()}), by_item, [])
    (gain,) = item_gains(scored, {"base": ["m"], "arm": ["n"]}, "base", 0.95)
    assert (gain.score, gain.items, gain.interval.gain) == ("acc", 10, 0.25)
    assert gain.interval.ends is not None and 0 < gain.interval.ends[0] < 0.25
    other = with_samples(tmp_path, [line(number, doc_hash="f" * 64) for number in range(10)], "n")
    with pytest.raises(DataError, match="the samples of toy have other items or scores for n than for m"):
        items_of_models(read_results([with_samples(tmp_path, LINES), other]), {"m": None, "n": None})
    bare = written(tmp_path / "n.json", model_name="models/n")
    with pytest.raises(DataError, match="samples of toy are there for 1 of 2 models; first without: n"):
        items_of_models(read_results([with_samples(tmp_path, LINES), bare]), {"m": None, "n": None})


def test_a_score_of_all_items_together_has_no_items(tmp_path: Path) -> None:
    strict = [line(number, filter="strict", metrics=["acc"], acc=0.0) for number in range(10)]
    (found,) = read_results([with_samples(tmp_path, [*LINES, *strict])])
    assert found.tasks["toy"].items[0].scores.values.keys() == {"acc", "acc_norm"}
    alone = [{**one, "metrics": ["odd"]} for one in LINES]
    rows = {**TOLD["results"], "toy": {"odd,none": 3.0}}
    higher = {**TOLD["higher_is_better"], "toy": {"odd": True}}
    asked = with_samples(tmp_path, alone, results=rows, higher_is_better=higher)
    with pytest.raises(DataError, match=r"no score of toy is a mean over its items \(odd\)"):
        read_results([asked])


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (LINES[:9], r"m\.jsonl: 9 items of toy, and the results tell of 10"),
        ([*LINES[:9], line(9, acc=1.0)], r"acc of toy is 0\.8 over 10 of 10 items, and 0\.75 in the results"),
        ([*LINES, LINES[0]], r"line 11: document 0 stands there twice"),
        ([*LINES[:9], {"doc_id": 9}], r"line 10: this is no sample of lm-evaluation-harness \(doc_hash"),
    ],
)
def test_samples_of_another_run_and_what_is_no_sample_are_named(
    tmp_path: Path, lines: list[dict[str, Any]], told: str
) -> None:
    with pytest.raises(DataError, match=told):
        read_results([with_samples(tmp_path, lines)])


def test_samples_are_part_of_what_is_read_and_belong_to_a_task(tmp_path: Path) -> None:
    with_items, (bare,) = with_samples(tmp_path, LINES), read_results([written(tmp_path / "bare.json")])
    (found,) = read_results([with_items])
    assert found.digest != bare.digest
    with pytest.raises(DataError, match=r"samples of copa, which is no task of it\. Tasks: toy, roll"):
        read_results([with_items.model_copy(update={"samples": {"copa": "x"}})])
    with pytest.raises(DataError, match=r"gone\.jsonl: cannot be read"):
        read_results([with_items.model_copy(update={"samples": {"toy": str(tmp_path / "gone.jsonl")}})])
