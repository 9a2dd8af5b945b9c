"""Task items that models could not answer are refused before anything is trained."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from flows.config import read_config
from flows.run import PipelineRun
from infra.storage import FolderStore
from tasks.arms.stage import run as compare_arms
from tasks.core.errors import ConfigError, DataError, EvidenceError, MixwrightError
from tasks.core.manifest import Manifest
from tasks.evaluation.tasks.ahead import require_answerable
from tasks.evaluation.tasks.params import TaskParams
from tasks.evaluation.tasks.stage import given_task
from tasks.mixture.stage import run as run_search
from tasks.runtime.command import command_of
from tasks.runtime.context import Workshop
from tasks.runtime.stages import run_stage
from tasks.stages import Stage, stage_named
from tasks.tokenize.published import TOKENIZER_FILE
from tests.arms.test_stage import params as arms_params
from tests.evaluation.made import recipe
from tests.evaluation.test_stage import pool_with_tokenizer, publish
from tests.in_process import InProcess, Listener
from tests.mixture.test_stage import PARAMS, PROXY
from tests.training.test_stage import hand_written

ANSWER = {"kind": "gold_answer", "answer_delimiter": ""}
TOLD = r"long: .*f\.jsonl: 2 of 20 items are longer than the model's context of 16 tokens; first: line 3 with 17"


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """A pool whose tokens are letters."""
    return pool_with_tokenizer(tmp_path / "tokenize")


def task(folder: Path, **changes: Any) -> dict[str, Any]:
    """Return a task of 20 items, of which two have more than 16 tokens."""
    contexts = ["ab" * (2 + number % 3) for number in range(20)]
    contexts[2], contexts[7] = "a" * 17, "b" * 19
    records = (json.dumps({"context": context, "answer": "c"}) + "\n" for context in contexts)
    (folder / "f.jsonl").write_text("".join(records), encoding="utf-8")
    return {"name": "long", "file": str(folder / "f.jsonl"), "task": {**ANSWER, **changes}}


def look(task: dict[str, Any], pool: Path, context: int = 16) -> None:
    model = PROXY.model.model_copy(update={"sequence_length": context})
    given = given_task(TaskParams.model_validate(task))
    require_answerable([given], pool / TOKENIZER_FILE, [PROXY.model, model], "tasks")


def test_items_that_are_left_out_are_refused_where_none_is_left(tmp_path: Path, pool: Path) -> None:
    look(task(tmp_path, too_long="leave_out"), pool)
    with pytest.raises(EvidenceError, match=r"tasks, long: .* all of its 20 items are longer"):
        look(task(tmp_path, too_long="leave_out"), pool, context=2)


def test_sentences_and_layers_are_looked_at_too(tmp_path: Path, pool: Path) -> None:
    texts = [letter * (1 + number) for number in range(12) for letter in "a"]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps({"text": one, "english": one}) + "\n" for one in texts))
    asked: dict[str, Any] = {"name": "p", "file": str(tmp_path / "p.jsonl"), "task": {"kind": "parallel_sentences"}}
    look(asked, pool)
    with pytest.raises(
        DataError, match=r"3 of 12 sentences are longer than the model's context of 10 tokens; first: line 10"
    ):
        look(asked, pool, context=10)
    with pytest.raises(ConfigError, match="tasks, p: layers: the model has 1 layers, so no 2"):
        look({**asked, "task": {"kind": "parallel_sentences", "layers": [2]}}, pool)


@pytest.mark.parametrize("stage", ["search", "arms"])
def test_no_proxy_and_no_arm_is_trained_for_items_that_none_could_answer(
    stage: str, tmp_path: Path, pool: Path
) -> None:
    executor = InProcess()
    workshop = Workshop(executor, FolderStore(tmp_path / "store"), Listener())
    where = {"inputs": {"tokenize": pool}, "output": tmp_path / stage, "workshop": workshop}
    with pytest.raises(DataError, match=TOLD):
        if stage == "search":
            asked = {"tasks": [task(tmp_path)], "objective": {"long": 1.0}}
            run_search(type(PARAMS).model_validate(PARAMS.model_dump() | asked), **where)
        else:
            compare_arms(arms_params(tasks=[task(tmp_path)]), **where)
    assert executor.done == []


def test_train_and_search_refuse_what_evaluate_would_find_out_after_them(tmp_path: Path, pool: Path) -> None:
    sections = {"evaluate": {"tasks": [task(tmp_path)]}, "train": {"training": PROXY.model_dump()}}
    (tmp_path / "params.yaml").write_text(json.dumps(sections), encoding="utf-8")
    (tmp_path / "search").mkdir()
    recipe([0.2, 0.7, 0.1], [0.3, 0.3, 0.4], PROXY.num_tokens).write(tmp_path / "search")
    publish(tmp_path / "search", "search")

    def told(stage: str, *words: str, home: str = "home") -> str:
        command, params = command_of(stage_named(stage)), ["--params", str(tmp_path / "params.yaml")]
        asked = [*words, *params, "--output", str(tmp_path / "out"), "--workers", "1"]
        return CliRunner(env={"MIXWRIGHT_HOME": str(tmp_path / home)}).invoke(command, asked).output

    named = f"tokenize={pool}"
    for stage, words in (("search", (str(pool),)), ("train", (named, f"search={tmp_path / 'search'}"))):
        given = [word for one in words for word in ("--input", one)]
        assert "evaluate.tasks, long: " in told(stage, *given) and "first: line 3 with 17" in told(stage, *given)
    # The context of a run is that of its last stage.
    mine = hand_written(
        tmp_path / "mine.json", {"tokens": 256, "weights": [0.5, 0.5], "sequence_length": 32}, "d0", "nowhere"
    )
    assert "not in the pool: nowhere" in told("train", "--input", named, "--recipe", str(mine))
    (pool / TOKENIZER_FILE).unlink()
    publish(pool, "tokenize")
    assert f"the token pool has no {TOKENIZER_FILE}" in told("train", "--input", named, "--recipe", str(mine))
    # Training may run where the files of tasks are not.
    pool_with_tokenizer(tmp_path / "again")
    (tmp_path / "f.jsonl").unlink()
    assert "not in the pool: nowhere" in told(
        "train", "--input", f"tokenize={tmp_path / 'again'}", "--recipe", str(mine)
    )


def test_a_run_of_the_pipeline_refuses_them_before_it_searches(
    tmp_path: Path, pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stage_task(name: str, run: Callable[..., Manifest], show: object) -> Callable[..., Manifest]:
        place = {
            "output": tmp_path / name,
            "workshop": Workshop(InProcess(), FolderStore(tmp_path / "store"), Listener()),
        }
        return lambda params, _, inputs: run(params, inputs=inputs, **place)

    monkeypatch.setattr("flows.run.stage_task", stage_task)
    monkeypatch.setattr(PipelineRun, "_published", lambda _, stage, needed_by: tmp_path / stage)
    asked = task(tmp_path)
    (tmp_path / "f.jsonl").write_text(json.dumps({"context": "a" * 9999, "answer": "c"}))
    config = read_config("demo", settings=(f"evaluate.tasks={json.dumps([asked])}",))
    nothing: Any = None
    with pytest.raises(DataError, match=r"evaluate\.tasks, long: .* 1 of 1 items are longer"):
        PipelineRun("pipeline", config, nothing, nothing, nothing, tmp_path).stage("search")


def test_what_has_been_made_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class RefusedError(MixwrightError):
        """Says that it was asked."""

    def refuse(inputs: object) -> None:
        raise RefusedError("no")

    monkeypatch.setattr("tasks.runtime.stages._seen_unchanged", lambda *_: Manifest("seen", {}, {}, "", ()))
    monkeypatch.setattr(Stage, "load_driver", lambda _: pytest.fail("no driver is to run"))
    where: dict[str, Any] = {"inputs": {}, "output": tmp_path, "workshop": Workshop(InProcess(), FolderStore(tmp_path))}
    assert run_stage(stage_named("train"), PARAMS, **where, refuse=refuse).stage == "seen"
    monkeypatch.setattr("tasks.runtime.stages._seen_unchanged", lambda *_: None)
    with pytest.raises(RefusedError):
        run_stage(stage_named("train"), PARAMS, **where, refuse=refuse)
