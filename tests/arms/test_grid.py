"""Arms written as a grid, with epochs of their own, and as ensembles: few tokens read many times."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cli.compare import ARMS_PRESETS
from tasks.arms.cells import grids_found, table_of
from tasks.arms.config import ArmsParams
from tasks.arms.measuring import all_arms
from tasks.arms.plan import PlannedArm
from tasks.arms.published import ArmRun, ArmsComparison
from tasks.core.errors import ConfigError
from tasks.core.params import layered, read_yaml, validate
from tasks.tokenize.pool import TokenPool, read_pool
from tasks.training.measure import bits_per_byte
from tasks.training.run import train
from tests.arms.test_stage import compare, params
from tests.evaluation.test_stage import pool_with_tokenizer
from tests.in_process import InProcess
from tests.mixture.test_stage import PROXY
from tests.training.documents import memory_pool

DECAY = "training.optimizer.weight_decay"
SWEEP: dict[str, Any] = {"name": "sweep", "grid": {"epochs": [1, 2], DECAY: {"usual": 0.1, "large": 1.6}}}
CELLS = ["sweep-epochs_1-usual", "sweep-epochs_1-large", "sweep-epochs_2-usual", "sweep-epochs_2-large"]


def asked(*arms: Mapping[str, Any], **changes: Any) -> ArmsParams:
    return params(**{"arms": arms, "baseline": CELLS[0], "num_seeds": 2, "equal": "text", "max_epochs": 9.0, **changes})


def small_pool() -> TokenPool:
    """Return two domains of 99 and 49 rows."""
    return memory_pool({"a": [64] * 25, "b": [64] * 12 + [32]})


def plan(*arms: Mapping[str, Any], **changes: Any) -> dict[str, PlannedArm]:
    found = all_arms(asked(*arms, **{"baseline": arms[0]["name"], **changes}), {None: small_pool()})
    return {one.arm.name: one for one in found}


def test_a_grid_is_the_arms_of_its_cells_with_names_that_follow_from_it() -> None:
    arms = asked(SWEEP).arms
    assert [arm.name for arm in arms] == CELLS
    assert [(arm.epochs, arm.training["optimizer"]["weight_decay"]) for arm in arms] == [
        *((1.0, 0.1), (1.0, 1.6), (2.0, 0.1), (2.0, 1.6))
    ]
    assert ArmsParams.model_validate(asked(SWEEP).model_dump(mode="json")).arms == arms
    named = {"name": "x", "grid": {"epochs": [0.5], "training.mup": [None], "training.optimizer.rewarms": {"off": []}}}
    (other,) = asked(SWEEP, named).arms[4:]
    assert other.name == "x-epochs_0_5-mup_null-off" and other.training == {"mup": None, "optimizer": {"rewarms": []}}


@pytest.mark.parametrize(
    ("grid", "told"),
    [
        ([1, 2], "arm sweep, grid: expected places with their values"),
        ({"epochs": 4}, "grid, epochs: expected a list of values, or names with their values, found 4"),
        ({"epochs": []}, "grid, epochs: there is no value"),
        ({"epochs": [4, 4.0]}, "grid, epochs: 2 values, of which 1 differ"),
        ({"start": [{"kind": "scratch"}]}, "has no name; write the values as NAME: VALUE"),
        ({"name": ["a"]}, "grid: name is no axis"),
        ({DECAY: {"0.1": 0.1, "0_1": 1}}, "sweep-0_1 stand there twice"),
        ({"epoch": [1]}, "arms.0.epoch"),
    ],
)
def test_a_grid_that_is_none_is_refused_by_name(grid: Any, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        asked({"name": "sweep", "grid": grid}, {"name": "other"}, baseline="other")


def test_epochs_are_whole_steps_over_the_domains_that_an_arm_reads_or_a_part_of_them() -> None:
    half, own = {"distinct_tokens": 1200}, {"weights": {"b": 1}}
    found = plan(
        {"name": "all", "epochs": 3}, {"name": "half", "epochs": 3, **half}, {"name": "b", "epochs": 3, **own},
        {"name": "late", "trunk": "half", "stages": [{"share": 0.5}]}, max_epochs=3.0,
    )  # fmt: skip
    step = PROXY.tokens_per_step
    assert {name: one.training.num_tokens // step for name, one in found.items()} == {
        "all": 3 * 148 // 4, "half": 3 * 74 // 4, "b": 3 * 49 // 4, "late": 3 * 74 // 4,
    }  # fmt: skip
    assert [found[name].specs[0].row_share for name in ("all", "half", "late")] == [None, 0.5, 0.5]
    with pytest.raises(ConfigError, match=r"weights cannot be met under the caps: 2 domains may have 0\.6667 together"):
        plan({"name": "all", "epochs": 3}, {"name": "other"}, max_epochs=2.0)
    with pytest.raises(ConfigError, match="distinct_tokens 9,999, and its pool has 2,400 to train on"):
        plan({"name": "all", "distinct_tokens": 9_999}, {"name": "other"})
    with pytest.raises(
        ConfigError, match=r"not a comparison at equal tokens(.|\n)*or to text where that alone is equal"
    ):
        plan({"name": "all", "epochs": 3}, {"name": "other", "epochs": 2}, equal="tokens")


@pytest.mark.parametrize(
    ("arm", "changes", "told"),
    [
        ({"ensemble": 1}, {}, "arm odd: an ensemble of 1 is none. Name 2 models or more"),
        ({"epochs": 2, "training": {"num_tokens": 64}}, {}, "epochs and training.num_tokens both say how much"),
        ({"epochs": 2}, {"equal": "flops"}, "epochs says how much it reads, and equal is flops"),
        ({"trunk": "plain", "ensemble": 2, "stages": [{"share": 0.5}]}, {}, "ensemble are those of its trunk plain"),
        (
            {"ensemble": 2},
            {"harness_results": [{"file": "x.json"}]},
            "odd is an ensemble, which the harness knows nothing of",
        ),
        (
            {"distinct_tokens": 64, "stages": [{"share": 1.0, "max_epochs": 1}]},
            {},
            "max_epochs of a stage counts all rows of a domain",
        ),
    ],
)
def test_an_arm_that_says_two_things_at_once_is_refused(arm: Any, changes: Any, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        asked({"name": "plain"}, {"name": "odd", **arm}, baseline="plain", **changes)
    with pytest.raises(ValidationError, match="arm late: its trunk is an ensemble"):
        asked(
            {"name": "odd", "ensemble": 2}, {"name": "late", "trunk": "odd", "stages": [{"share": 0.5}]}, baseline="odd"
        )


def test_each_seed_of_an_ensemble_has_members_of_its_own_and_the_first_is_the_single_model() -> None:
    found = plan({"name": "one"}, {"name": "four", "ensemble": 4}, num_seeds=3)
    single, members = found["one"].by_seed, found["four"].by_seed
    assert [specs[0].seed for specs in members] == [specs[0].seed for specs in single]
    assert len({spec.seed for specs in members for spec in specs}) == 12
    # More seeds take none away.
    more = plan({"name": "one"}, {"name": "four", "ensemble": 4}, num_seeds=5)["four"].by_seed
    assert more[:3] == members
    halves = plan({"name": "one"}, {"name": "two", "ensemble": 2}, equal="flops")
    assert halves["two"].training.num_tokens == halves["one"].training.num_tokens // 2


def test_a_sweep_beside_an_ensemble_is_measured_and_its_best_cell_named(tmp_path: Path) -> None:
    pool, executor = pool_with_tokenizer(tmp_path / "tokenize"), InProcess()
    task = tmp_path / "pairs.jsonl"
    task.write_text('{"sentence_good": "abc", "sentence_bad": "cba"}\n')
    tasks = [{"name": "pairs", "file": str(task), "task": {"kind": "minimal_pairs"}}]
    parts = {"distinct_tokens": 128}
    several = {"name": "two", "ensemble": 2, "epochs": 2, "training": {"optimizer": {"weight_decay": 1.6}}, **parts}
    sweep = {"name": "sweep", "grid": SWEEP["grid"] | {"epochs": [2]}}
    given = asked(sweep | parts, several, tasks=tasks, baseline=CELLS[2])
    compare(tmp_path, given, pool, executor)
    # The first member of each ensemble is the single model with that seed.
    assert executor.done.count("train_run") == 2 * 2 + 2
    found = ArmsComparison.read(tmp_path / "arms")
    runs = {(one.arm, one.seed): one for one in found.runs}
    alone, both = runs[CELLS[3], 20_000], runs["two", 20_000]
    assert (both.models, both.tokens, both.flops) == (2, alone.tokens, 2 * alone.flops)
    read = read_pool(pool)
    (planned,) = (one for one in all_arms(given, {None: read_pool(pool, "train")}) if one.arm.name == "two")
    models = [train(spec, read).model for spec in planned.by_seed[0]]
    assert both.scores["bits_per_byte.d1"] == bits_per_byte(models, read, "test", None)["d1"]
    assert alone.scores["bits_per_byte.d1"] == bits_per_byte(models[0], read, "test", None)["d1"]
    assert both.scores["pairs.log_p_correct"] not in {one.scores["pairs.log_p_correct"] for one in (alone,)}
    (grid,) = found.grids
    assert grid.best == min(grid.values, key=lambda name: grid.values[name]) and [*grid.values] == CELLS[2:]
    told, page = (tmp_path / "arms" / "arms.md").read_text(), (tmp_path / "arms" / "page.html").read_text()
    for text in (told, page):
        assert grid.statement.split("(`")[0] in text.replace("&#39;", "'") and found.remarks[0] in text
    assert "| epochs by weight_decay | usual | large |" in told and "<th>ensemble</th>" in page


def test_an_ensemble_is_not_asked_for_hidden_states(tmp_path: Path) -> None:
    pool, file = pool_with_tokenizer(tmp_path / "tokenize"), tmp_path / "pairs.jsonl"
    pairs = [{"text": "ab" + letter, "english": letter + "ba"} for letter in "abcdefghijkl"]
    file.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    task = {"kind": "parallel_sentences"}
    with pytest.raises(ConfigError, match="tasks: alike compares hidden states, and arm two is an ensemble"):
        arms = ({"name": "one"}, {"name": "two", "ensemble": 2})
        given = asked(*arms, baseline="one", tasks=[{"name": "alike", "file": str(file), "task": task}])
        compare(tmp_path, given, pool, InProcess())


def test_the_best_cell_is_told_with_its_edge_and_the_last_axis_goes_to_the_right() -> None:
    grid = {"name": "g", "grid": {"epochs": [1, 2, 4], "ensemble": {"few": 2, "many": 3}}}
    arms = asked(grid, {"name": "other"}, baseline="other").arms
    values = dict(zip((arm.name for arm in arms), (3.0, 2.0, 1.5, 1.0, 1.2, 0.5, 0.1), strict=True))
    runs = [
        ArmRun(arm=arm, seed=seed, tokens=1, flops=1, device="cpu", instruction_set="", scores={"s": value + seed})
        for arm, value in values.items() for seed in (0, 1)
    ]  # fmt: skip
    (found,) = grids_found(arms, runs, "s", "lower")
    assert (found.best, found.at_the_edge) == ("g-epochs_4-many", ("epochs",))
    assert "Best of 6 cells of g in s: g-epochs_4-many, 1.0000 (mean of 2 seeds)" in found.statement
    assert "at the edge of epochs: a better one may lie beyond" in found.statement
    assert table_of(found) == (("epochs by ensemble", "few", "many"), [
        ("epochs_1", "3.5000", "2.5000"), ("epochs_2", "2.0000", "1.5000"), ("epochs_4", "1.7000", "1.0000"),
    ])  # fmt: skip
    (higher,) = grids_found(arms, runs, "s", "higher")
    assert higher.best == "g-epochs_1-few"


@pytest.mark.parametrize("preset", ["infinite_compute", "infinite_continual"])
def test_presets_for_few_tokens_can_be_run_and_the_continual_one_asks_for_its_start(preset: str) -> None:
    defaults = ArmsParams.model_construct(training=PROXY).model_dump(mode="json")
    values = layered(defaults, read_yaml(ARMS_PRESETS / f"{preset}.yaml"))
    if preset == "infinite_continual":
        with pytest.raises(ConfigError, match=r"start\.hugging_face\.folder: Field required"):
            validate(ArmsParams, values, preset)
        values = layered(values, {"start": {"folder": "model"}})
    given = validate(ArmsParams, values, preset)
    found = {one.arm.name: one for one in all_arms(given, {None: small_pool()})}
    longest = max(one.training.num_tokens for one in found.values())
    assert longest == int(given.max_epochs * 148) // 4 * PROXY.tokens_per_step
    assert {one.members for one in found.values()} == {1, 5 if preset == "infinite_compute" else 4}
