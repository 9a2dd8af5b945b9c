"""Branches off a trunk: the past is the trunk's, to the bit; what follows has another mixture, schedule or seed."""

import json
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from infra.storage import FolderStore
from tasks.core.errors import ConfigError, DamagedError
from tasks.runtime.context import Workshop
from tasks.tokenize.pool import read_pool
from tasks.training import branches
from tasks.training.checkpoint import publish_milestones
from tasks.training.data import run_data
from tasks.training.params import TrainParams
from tasks.training.published import TrainedRun, TrainedRuns, TrunkStep
from tasks.training.published_run import read_ledger, read_losses
from tasks.training.rebuilt import rebuilt_specs
from tasks.training.result import first_weights
from tasks.training.stage import run
from tasks.training.types import Phase, Trunk
from tests.in_process import InProcess, Listener
from tests.training.conftest import LENGTH, make_pool, small_spec, small_training
from tests.training.test_stage import TOKENIZER, sign

STEP = 4 * LENGTH
EARLY, LATE = [0.6, 0.4, 0.0], [0.2, 0.3, 0.5]
DOMAINS = ("alpha", "beta", "gamma")


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    """A pool with a tokenizer, and a recipe of two stages of six steps."""
    make_pool(tmp_path / "tokenize")
    (tmp_path / "tokenize" / "tokenizer.json").write_text(json.dumps(TOKENIZER), encoding="utf-8")
    sign("tokenize", tmp_path / "tokenize")
    stages = [{"tokens": 6 * STEP, "weights": weights} for weights in (EARLY, LATE)]
    recipe = {"format": 2, "name": "trunk", "domains": DOMAINS, "stages": stages, "max_epochs": 4.0}
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    return {"tokenize": tmp_path / "tokenize", "recipe": tmp_path / "recipe.json"}


def stage(weights: list[float], steps: int = 6, **changes: Any) -> dict[str, Any]:
    return {"tokens": steps * STEP, "weights": dict(zip(DOMAINS, weights, strict=True)), **changes}


def params(*asked: dict[str, Any], **changes: Any) -> TrainParams:
    training = small_training(milestone_every_steps=3)
    return TrainParams.model_validate({"training": training, "num_seeds": 1, "branches": asked} | changes)


def trained(given: TrainParams, inputs: dict[str, Path], folder: Path) -> tuple[dict[str, TrainedRun], Listener]:
    listener = Listener()
    run(
        given,
        inputs=inputs,
        output=folder / "train",
        workshop=Workshop(InProcess(), FolderStore(folder / "s"), listener),
    )
    return {one.name: one for one in TrainedRuns.read(folder / "train").runs}, listener


def test_a_branch_with_what_follows_in_the_trunk_is_the_trunk_to_the_bit(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    runs, listener = trained(params({"name": "same", "step": 6, "stages": [stage(LATE)]}), inputs, tmp_path)
    trunk, branch = runs["trunk-seed0"], runs["same-seed0"]
    assert branch.weights_digest == trunk.weights_digest and branch.consumed == trunk.consumed
    assert branch.trunk == TrunkStep(run="trunk-seed0", step=6)
    assert (len(branch.phases), branch.flops) == (1, trunk.flops // 2)
    for read in (read_losses, read_ledger):
        ours, theirs = (read(tmp_path / "train" / one.folder) for one in (branch, trunk))
        assert ours == theirs
    assert [report.name for report in listener.units] == ["trunk-seed0", "same-seed0"]


def test_annealing_probes_leave_one_out_and_another_seed_share_one_trunk(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    decay = small_training().optimizer.model_dump() | {"decay_from": {"step": 3, "trunk_steps": 12}}
    probes = (
        {"name": "anneal", "step": 3, "stages": [stage(LATE, 3)], "optimizer": decay},
        {"name": "without-gamma", "step": 3, "stages": [stage([0.6, 0.4, 0.0], 3)], "optimizer": decay},
        {"name": "reseeded", "step": 3, "stages": [stage(LATE, 3)], "optimizer": decay, "seed_offset": 5},
        {"name": "longer", "step": 9, "stages": [stage(EARLY, 6, end_weights={"gamma": 1.0})]},
    )
    runs, listener = trained(params(*probes), inputs, tmp_path)
    assert listener.units[0].name == "trunk-seed0"
    losses = {name: read_losses(tmp_path / "train" / one.folder) for name, one in runs.items()}
    assert {name: len(found) for name, found in losses.items()} == {
        "trunk-seed0": 12, "anneal-seed0": 6, "without-gamma-seed0": 6, "reseeded-seed5": 6, "longer-seed0": 15
    }  # fmt: skip
    trunk = losses.pop("trunk-seed0")
    for name, found in losses.items():
        shared = runs[name].trunk.step  # type: ignore[union-attr]
        assert found[:shared] == trunk[:shared] and found[shared] != trunk[shared], name
    assert len({one.weights_digest for one in runs.values()}) == 5
    taken = {name: one.consumed["gamma"].samples for name, one in runs.items()}
    assert (taken["without-gamma-seed0"], taken["anneal-seed0"], taken["reseeded-seed5"]) == (0, 6, 6)
    # A probe more costs itself alone.
    more, again = trained(
        params(*probes, {"name": "one-more", "step": 6, "stages": [stage(EARLY, 3)]}), inputs, tmp_path
    )
    assert again.steps == [(1, 1), (4, 5), (5, 5)] and len(more) == 6


def test_a_branch_of_a_branch_with_what_follows_there_is_that_branch_to_the_bit(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    stages = [stage(EARLY, 3), stage(LATE, 3)]
    first = {"name": "first", "step": 6, "stages": stages, "milestone_every_steps": 3}
    second = {"name": "second", "trunk": "first", "step": 9, "stages": stages[1:], "milestone_every_steps": 4}
    # It stands before the third that goes on from the second, and is made beside the first.
    beside = {"name": "beside", "step": 3, "stages": [stage(EARLY, 3)]}
    other = {"name": "other", "trunk": "second", "step": 12, "stages": [stage(EARLY, 3)], "seed_offset": 2}
    runs, listener = trained(params(first, second, beside, other), inputs, tmp_path)
    assert [report.name for report in listener.units] == [
        "trunk-seed0", "beside-seed0", "first-seed0", "second-seed0", "other-seed2"
    ]  # fmt: skip
    assert [*runs] == ["trunk-seed0", "first-seed0", "second-seed0", "beside-seed0", "other-seed2"]
    one, last = runs["first-seed0"], runs["second-seed0"]
    assert last.weights_digest == one.weights_digest and last.consumed == one.consumed
    assert (last.trunk, last.flops) == (TrunkStep(run="first-seed0", step=9), one.flops // 2)
    losses = {name: read_losses(tmp_path / "train" / one.folder) for name, one in runs.items()}
    assert losses["second-seed0"] == losses["first-seed0"] == losses["other-seed2"][:12]
    assert losses["first-seed0"][:6] == losses["trunk-seed0"][:6] != losses["first-seed0"][6:]
    assert read_ledger(tmp_path / "train" / last.folder) == read_ledger(tmp_path / "train" / one.folder)
    # A branch publishes what was made behind its trunk's step.
    published = {
        name: sorted(int(path.name[5:]) for path in (tmp_path / "train" / own.folder).glob("milestones/*"))
        for name, own in runs.items()
    }
    assert [*published.values()] == [[3, 6, 9, 12], [9, 12], [12], [], []]
    specs = rebuilt_specs(tuple(runs.values()), params())
    assert specs["other-seed2"].segments[-1].stop_step == 15
    again = run_data(specs["other-seed2"], read_pool(inputs["tokenize"]))
    assert again.drawn_before(15 * 4)[0].tolist() == [one.samples for one in runs["other-seed2"].consumed.values()]


def test_a_branch_that_is_stopped_goes_on_from_its_own_checkpoint(
    inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = params({"name": "late", "step": 3, "stages": [stage(LATE, 9)]})
    whole, _ = trained(given, inputs, tmp_path / "whole")
    begun: list[bool] = []

    def dies_first(*arguments: Any) -> None:
        branches.begin(*arguments)
        begun.append(True)
        if len(begun) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr("tasks.training.unit.begin", dies_first)
    with pytest.raises(KeyboardInterrupt):
        trained(given, inputs, tmp_path)
    again, _ = trained(given, inputs, tmp_path)
    assert len(begun) == 2
    assert again["late-seed0"].weights_digest == whole["late-seed0"].weights_digest


def test_a_branch_whose_own_checkpoints_are_damaged_begins_again_behind_its_trunk(
    inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = params({"name": "late", "step": 3, "stages": [stage(LATE, 9)]})
    whole, _ = trained(given, inputs, tmp_path / "whole")

    def dies_in_the_branch(*arguments: Any) -> None:
        if not arguments[0]:
            raise KeyboardInterrupt
        publish_milestones(*arguments)

    monkeypatch.setattr("tasks.training.unit.publish_milestones", dies_in_the_branch)
    with pytest.raises(KeyboardInterrupt):
        trained(given, inputs, tmp_path)
    monkeypatch.undo()
    own = sorted((tmp_path / "s/train.run").glob("*/.blocks-*/step-*"))
    assert [path.name for path in own] == ["step-000000009", "step-000000012"]
    for path in own:
        (path / "state.safetensors").write_bytes(b"damaged")
    again, _ = trained(given, inputs, tmp_path)
    assert again["late-seed0"].weights_digest == whole["late-seed0"].weights_digest


def test_a_branch_never_begins_with_new_weights() -> None:
    trunk = small_spec()
    branch = replace(trunk, trunk=Trunk(trunk, 6), phases=(Phase(6 * STEP, tuple(LATE)),))
    with pytest.raises(DamagedError, match="behind step 6 of small"):
        first_weights(branch, 64, None)


def test_the_ledger_of_a_branch_has_the_trunks_steps_also_where_its_blocks_are_others(
    inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = params({"name": "same", "step": 6, "stages": [stage(LATE)]})
    copied, _ = trained(given, inputs, tmp_path / "copied")
    differing = count()
    monkeypatch.setattr(branches, "block_steps", lambda _: next(differing))
    counted, _ = trained(given, inputs, tmp_path / "counted")
    assert counted["same-seed0"] == copied["same-seed0"]
    both = [read_ledger(tmp_path / each / "train/models/same-seed0") for each in ("copied", "counted")]
    assert both[0] == both[1]


@pytest.mark.parametrize(
    ("branch", "message"),
    [
        ({"step": 5}, "step 5 is no milestone of a run of 12 steps with training.milestone_every_steps 3"),
        ({"step": 15}, "step 15 is no milestone"),
        ({"trunk": "unimax"}, "its trunk unimax is none of searched, natural, uniform"),
        ({"name": "natural"}, "two mixtures or branches have one name"),
        (
            {"trunk": "first", "step": 7},
            "step 7 is no milestone of a run of 9 steps behind step 6 with milestone_every_",
        ),
        (
            {"trunk": "first", "step": 6},
            "step 6 is no milestone of a run of 9 steps behind step 6 with milestone_every_",
        ),
        ({"trunk": "first", "step": 12}, "step 12 is no milestone of a run of 9 steps behind step 6"),
        ({"trunk": "plain", "step": 9}, "milestone_every_steps of plain null; set it to a divisor"),
        ({"trunk": "late"}, "its trunk late is none of searched, natural, uniform, first, plain"),
        ({"stages": [{"tokens": 64, "weights": {"alpha": 0.5}}]}, "weights: they sum to 0.5"),
    ],
)
def test_a_branch_that_does_not_fit_is_refused_with_the_params(branch: dict[str, Any], message: str) -> None:
    first = {"name": "first", "step": 6, "stages": [stage(LATE, 3)], "milestone_every_steps": 3}
    plain = {"name": "plain", "step": 6, "stages": [stage(LATE, 3)]}
    with pytest.raises(ValueError, match=message):
        params(first, plain, {"name": "late", "step": 6, "stages": [stage(LATE)], **branch})


def test_a_model_that_no_stack_trains_is_refused_with_the_params_and_told_what_does() -> None:
    untied = small_training().model_dump() | {
        "model": small_training().model.model_dump() | {"untied_embeddings": True}
    }
    with pytest.raises(ValueError, match=r"set parallel to \{kind: ddp\}"):
        TrainParams.model_validate({"training": untied})
    TrainParams.model_validate({"training": untied | {"parallel": {"kind": "ddp"}}})


@pytest.mark.parametrize(
    ("branch", "message"),
    [
        ({"name": "trunk"}, "its own runs are called trunk, as is a branch"),
        ({"trunk": "natural"}, "late goes on from natural, and no run of it is planned"),
        (
            {"stages": [{"tokens": STEP, "weights": {"delta": 1.0}}]},
            "weights for delta. The pool has alpha, beta, gamma",
        ),
        ({"stages": [{"tokens": STEP + LENGTH, "weights": {"alpha": 1.0}}]}, "not a whole number of steps"),
        ({"stages": [stage([0.0, 0.0, 1.0], 60)]}, r"late-seed0: 1 of 3 domains would be repeated more than 4 times"),
    ],
)
def test_a_branch_that_the_pool_or_the_recipe_cannot_serve_is_refused_before_the_first_step(
    inputs: dict[str, Path], tmp_path: Path, branch: dict[str, Any], message: str
) -> None:
    given = params({"name": "late", "step": 6, "stages": [stage(LATE)], **branch})
    with pytest.raises(ConfigError, match=message):
        trained(given, inputs, tmp_path)
    assert not (tmp_path / "train").exists()
