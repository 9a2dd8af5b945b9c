"""A search whose objective is a set of tasks, and the decision on it, in this process."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infra.storage import FolderStore
from tasks.core.errors import ConfigError
from tasks.evaluation.config import EvaluateParams
from tasks.evaluation.published import Decision, MeasuredModels
from tasks.evaluation.stage import run as evaluate
from tasks.evaluation.tasks.halves import halved
from tasks.evaluation.tasks.params import TaskParams
from tasks.mixture.asked import asked_tasks, tasks_of
from tasks.mixture.config import SearchParams
from tasks.mixture.decay import DecayStage
from tasks.mixture.pool_problem import problem_of
from tasks.mixture.proxies.stage import Proxies
from tasks.mixture.published import Recipe
from tasks.mixture.published_candidates import Candidates
from tasks.mixture.published_forecast import Forecast
from tasks.mixture.runs import read_runs
from tasks.mixture.search import ProxyRequest
from tasks.mixture.stage import READ
from tasks.mixture.stage import run as run_search
from tasks.mixture.strategies.baselines import Uniform
from tasks.runtime.context import Workshop
from tasks.runtime.stages import published
from tasks.tokenize.pool import read_pool
from tasks.tokenize.published import TOKENIZER_FILE
from tasks.training.export import write_model
from tasks.training.model import initial_model
from tasks.training.published import TrainedRun, TrainedRuns
from tests.evaluation.test_stage import MIXTURES, pool_with_tokenizer, publish
from tests.in_process import InProcess, Listener
from tests.mixture.test_stage import PARAMS, PROXY, VOCABULARY, make_pool
from tests.training.made import trained_run

ITEMS = 24


def answers_file(folder: Path, name: str = "endings.jsonl", last: str = "c") -> Path:
    """Write items whose answer is one letter."""
    records = ({"context": "ab" * (1 + number % 5), "answer": f"{last}{chr(97 + number)}"} for number in range(ITEMS))
    path = folder / name
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def choices_file(folder: Path) -> Path:
    records = ({"query": "a" * (1 + n % 4), "choices": ["b", chr(99 + n)], "gold": n % 2} for n in range(ITEMS))
    path = folder / "choices.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def tasks_in(folder: Path) -> tuple[TaskParams, ...]:
    answer = {"kind": "gold_answer", "answer_delimiter": ""}
    choice = {"kind": "multiple_choice", "answer_delimiter": ""}
    return (
        TaskParams.model_validate({"name": "endings", "file": str(answers_file(folder)), "task": answer}),
        TaskParams.model_validate({"name": "choices", "file": str(choices_file(folder)), "task": choice}),
    )


def asked(folder: Path, objective: dict[str, float], **changes: Any) -> SearchParams:
    """Return params whose tasks are those that the objective names."""
    named = {name.partition(".")[0] for name in objective}
    chosen = [task.model_dump() for task in tasks_in(folder) if task.name in named]
    return SearchParams.model_validate(PARAMS.model_dump() | {"tasks": chosen, "objective": objective} | changes)


def search(root: Path, params: SearchParams, executor: InProcess | None = None, output: str = "search") -> Listener:
    listener = Listener()
    workshop = Workshop(executor or InProcess(), FolderStore(root / "store"), listener)
    run_search(params, inputs={"tokenize": root / "tokenize"}, output=root / output, workshop=workshop)
    return listener


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Listener]:
    """A search by the bits per byte of known answers."""
    root = tmp_path_factory.mktemp("tasks")
    pool_with_tokenizer(root / "tokenize")
    return root, search(root, asked(root, {"endings": 3, "d1": 1}))


def test_a_task_is_a_held_out_set_of_the_search_from_the_first_run_to_the_forecast(
    finished: tuple[Path, Listener],
) -> None:
    root, listener = finished
    runs = read_runs(root / "search" / "runs.csv")
    assert (runs.sets, runs.unit) == (("d0", "d1", "d2", "endings"), "bits per byte")
    for row in runs.rows:
        assert row.objective == pytest.approx(0.75 * row.losses[3] + 0.25 * row.losses[1])
    assert len({row.losses[3] for row in runs.rows}) > 5
    recipe, forecast = Recipe.read(root / "search"), Forecast.read(root / "search")
    # Of the task's items a search looks at some, the decision at others.
    (task,), own = tasks_of(asked(root, {"endings": 1})), forecast.values["natural"].sets["endings"]
    assert own.sd > 0.55 / len(halved(task.items, task.items, "search")) ** 0.5 * own.value
    assert (recipe.sets, recipe.objective, recipe.unit) == (runs.sets, (0.0, 0.25, 0.0, 0.75), "bits per byte")
    assert list(recipe.tasks) == ["endings"] and recipe.task_sets == ("endings",)
    assert forecast.objective == "weighted mean bits per byte over d1, endings"
    assert "endings" in forecast.per_domain
    assert {"bpb.d2", "task.endings", "objective"} <= set(listener.units[0].metrics)


def test_where_a_task_lies_changes_no_proxy_and_another_item_does(
    finished: tuple[Path, Listener], tmp_path: Path
) -> None:
    root, _ = finished
    params, executor = asked(tmp_path, {"endings": 3, "d1": 1}), InProcess()
    search(root, params, executor)
    assert executor.done == []
    answers_file(tmp_path, last="d")
    search(root, params.model_copy(update={"strategy": Uniform()}), executor)
    assert "search_proxies_on_tasks" in executor.done


def test_branches_of_a_last_stage_are_measured_on_tasks_as_proxies_are(finished: tuple[Path, Listener]) -> None:
    root, _ = finished
    stage, executor = DecayStage(share=0.5, num_seeds=2), InProcess()
    params = asked(root, {"endings": 3, "d1": 1}, stages=stage)
    search(root, params, executor, output="staged")
    assert executor.done.count("search_branches_on_tasks") == 2 and "search_proxies_on_tasks" not in executor.done
    recipe, found = Recipe.read(root / "staged"), Candidates.read(root / "staged").decay
    assert found is not None and len({*found.candidates[1].gains}) == 2
    store, trunk = FolderStore(root / "store"), recipe.stages[0].weights
    files, workshop = published(store, str(root / "tokenize")), Workshop(executor, store, Listener())
    problem = problem_of(params, read_pool(root / "tokenize", "train", "search"))
    asked_too = asked_tasks(params, tasks_of(params), files.tree(TOKENIZER_FILE))
    with_tasks, without = (Proxies(params, problem, files.tree(*READ), workshop, each) for each in (asked_too, None))
    losses_SCH = np.array(with_tasks.decay(trunk, stage).losses)
    objective_SC = losses_SCH @ problem.objective_S
    assert np.allclose([each.gains for each in found.candidates], (objective_SC[:, :1] - objective_SC).T)
    assert (losses_SCH[..., :3] == np.array(without.decay(trunk, stage).losses)).all()
    # A branch that stays is nearly the proxy that was trained on the mixture at once: the order of its rows differs.
    requests = [ProxyRequest(round=0, kind="confirm", seed=seed, weights=trunk) for seed in (0, 1)]
    alone = with_tasks.measure(with_tasks.none, requests, "alone").losses_RS()
    assert np.abs(losses_SCH[:, 0] - alone).max() < 0.03 < np.ptp(alone, axis=1).min()


def trained(root: Path, seeds: int = 3) -> dict[str, Path]:
    """Publish models that were never trained, of every mixture and seed."""
    runs = list[TrainedRun]()
    for number, mixture in enumerate(MIXTURES):
        for seed in range(seeds):
            one = trained_run(mixture, seed)
            folder = root / "train" / one.folder
            folder.mkdir(parents=True)
            write_model(initial_model(PROXY.model, VOCABULARY, 10 * number + seed), 0, folder)
            runs.append(one)
    TrainedRuns(runs=tuple(runs)).write(root / "train")
    publish(root / "train", "train")
    return {name: root / name for name in ("tokenize", "search", "train")}


def test_the_decision_takes_the_search_s_objective_on_the_items_that_the_search_did_not_see(tmp_path: Path) -> None:
    pool_with_tokenizer(tmp_path / "tokenize")
    objective = {"choices": 1.0, "choices.accuracy": 1.0}
    params = asked(tmp_path, objective, strategy={"kind": "uniform"})
    listener = search(tmp_path, params)
    runs = read_runs(tmp_path / "search" / "runs.csv")
    # -log p and the share of wrong answers: not bits per byte, and not said to be.
    assert (runs.sets[3:], runs.unit) == (("choices", "choices.accuracy"), "loss")
    assert all(row.losses[3] > 0 and 0 <= row.losses[4] <= 1 for row in runs.rows)
    assert any("in the objective (sd" in said for said in listener.said)
    inputs, workshop = trained(tmp_path), Workshop(InProcess(), FolderStore(tmp_path / "store"), Listener())

    def decide(name: str, *tasks: TaskParams) -> None:
        asked_too = EvaluateParams(samples=None, tasks=tasks)
        evaluate(asked_too, inputs=inputs, output=tmp_path / name, workshop=workshop)

    decide("evaluate", *params.tasks)
    decision, models = Decision.read(tmp_path / "evaluate"), MeasuredModels.read(tmp_path / "evaluate").models
    assert decision.unit == "loss" and "in the objective" in decision.statement
    assert not any("bits per byte" in each.statement for each in decision.comparisons.values())
    assert [*decision.per_task] == [*decision.comparisons["natural"].per_task] == ["choices", "choices.accuracy"]
    for model in models:
        assert model.mean == pytest.approx(sum(model.task_losses.values()) / 2)
    # What the search saw is not measured again: the shares of wrong answers are of the other items.
    items = json.loads((tmp_path / "evaluate" / "items.json").read_text())["tasks"]["choices"]
    kept = [item["scores"]["searched-seed0"]["accuracy"] for item in items if int(item["id"][0], 16) % 2]
    assert 0 < len(kept) < ITEMS
    first = next(model for model in models if (model.mixture, model.seed) == ("searched", 0))
    assert first.task_losses["choices.accuracy"] == pytest.approx(1 - sum(kept) / len(kept))
    with pytest.raises(ConfigError, match=r"1 of 1 tasks .* first: choices is not there"):
        decide("again")
    other = params.tasks[0].task.model_copy(update={"num_fewshot": 1})
    with pytest.raises(ConfigError, match="choices has another file or is asked in another way"):
        decide("again", params.tasks[0].model_copy(update={"task": other}))


def test_an_objective_that_cannot_be_measured_is_refused_before_any_proxy(tmp_path: Path) -> None:
    pool_with_tokenizer(tmp_path / "tokenize")
    for objective, mistake in (
        ({"endings": 1.0, "missing": 1.0}, "held-out sets do not exist; first: missing"),
        ({"endings.beauty": 1.0}, "endings has no score beauty. It has log_p_correct, gold_bits_per_byte"),
    ):
        executor = InProcess()
        with pytest.raises(ConfigError, match=mistake):
            search(tmp_path, asked(tmp_path, objective), executor)
        assert executor.done == []
    (one, _), base = tasks_in(tmp_path), PARAMS.model_dump()
    for changes, mistake in (
        ({"objective": {"d0": 1.0}}, "tasks: 1 of 1 count for nothing; first: endings"),
        ({"max_increase": {"endings": 0.1}}, "tasks without objective"),
        ({"tasks": [one, one], "objective": {"endings": 1.0}}, "endings stands there twice"),
    ):
        with pytest.raises(ValueError, match=mistake):
            SearchParams.model_validate(base | {"tasks": [one]} | changes)
    called_d0 = one.model_copy(update={"name": "d0"})
    with pytest.raises(ConfigError, match="d0 is the name of a domain"):
        search(tmp_path, SearchParams.model_validate(base | {"tasks": [called_d0], "objective": {"d0": 1.0}}))
    make_pool(tmp_path / "bare" / "tokenize")
    with pytest.raises(ConfigError, match=r"the token pool has no tokenizer\.json"):
        search(tmp_path / "bare", asked(tmp_path, {"endings": 1.0}))
    answers_file(tmp_path).write_text(json.dumps({"context": "a", "answer": "b"}) + "\n")
    few = SearchParams.model_validate(base | {"tasks": [one], "objective": {"endings": 1.0}})
    with pytest.raises(ConfigError, match=r"of its 1 items the search may look at"):
        search(tmp_path, few)
