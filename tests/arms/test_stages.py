"""Arms in stages, and arms that leave a trunk: whole steps, mixtures under the caps, and what is shared is trained once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tasks.arms.config import ArmsParams
from tasks.arms.measuring import all_arms
from tasks.arms.plan import PlannedArm
from tasks.arms.published import ArmsComparison
from tasks.core.errors import ConfigError
from tests.arms.test_stage import compare, params
from tests.evaluation.test_stage import pool_with_tokenizer
from tests.in_process import InProcess
from tests.mixture.test_stage import PROXY
from tests.training.documents import memory_pool

STEP = PROXY.tokens_per_step
NATURAL = {"name": "natural"}
LATE = {"name": "late", "trunk": "natural", "stages": [{"share": 0.25, "weights": "uniform"}]}


def plan(*arms: dict[str, Any], **changes: Any) -> dict[str, PlannedArm]:
    """Plan arms of ten steps on a pool of three domains with 6,400, 3,200 and 320 tokens."""
    pool = memory_pool({"a": [64] * 100, "b": [64] * 50, "c": [64] * 5})
    training = PROXY.model_copy(update={"num_tokens": 10 * STEP})
    asked = params(**{"arms": arms, "training": training, "num_seeds": 2, "max_epochs": 1.0, **changes})
    return {one.arm.name: one for one in all_arms(asked, {None: pool})}


def test_arms_off_one_trunk_leave_it_at_its_milestones_and_share_it_seed_by_seed() -> None:
    found = plan(NATURAL, LATE | {"stages": [{"share": 0.2}]}, LATE | {"name": "later", "stages": [{"share": 0.4}]})
    trunk = found["natural"]
    assert trunk.training.milestone_every_steps == 2 and found["late"].training.milestone_every_steps is None
    for name, step in (("late", 8), ("later", 6)):
        for own, before in zip(found[name].specs, trunk.specs, strict=True):
            assert own.trunk is not None and own.trunk.spec is before and own.trunk.step == step
            assert [phase.num_tokens for phase in own.phases] == [(10 - step) * STEP]


def test_a_uniform_last_stage_has_what_the_caps_leave_of_a_small_domain_behind_the_trunk() -> None:
    late = plan(NATURAL, LATE | {"stages": [{"share": 0.5, "weights": "uniform"}]})["late"].specs[0].phases[0]
    a, b, c = late.weights
    # Of 19 rows of c the trunk has had none, and 20 samples are left to draw.
    assert a == b and c == pytest.approx(1 / 3)
    pressed = plan(NATURAL, LATE | {"stages": [{"share": 0.5, "weights": "uniform"}]}, max_epochs=0.3)
    a, b, c = pressed["late"].specs[0].phases[0].weights
    assert c == pytest.approx(5 / 20) and a == b == pytest.approx(15 / 40)


def test_stages_have_whole_steps_their_own_mixtures_and_schedules() -> None:
    stages = [
        {"share": 0.25, "weights": {"a": 1, "b": 1}},
        {"share": 0.35, "times": {"b": 2}},
        {"share": 0.4, "without": ["a"], "schedule": {"kind": "cosine"}, "peak_fraction": 0.5, "sequence_length": 8},
    ]
    one = plan(NATURAL, {"name": "staged", "stages": stages, "weights": {"a": 1, "b": 2, "c": 1}})["staged"]
    phases = one.specs[0].phases
    assert [phase.num_tokens // STEP for phase in phases] == [2, 4, 4]
    assert np.allclose([phase.weights for phase in phases], [[0.5, 0.5, 0], [1 / 6, 4 / 6, 1 / 6], [0, 2 / 3, 1 / 3]])
    assert [rewarm.step for rewarm in one.training.optimizer.rewarms] == [6] and phases[2].sequence_length == 8


def test_each_domain_is_left_out_of_the_last_stage_of_the_baseline_alone() -> None:
    found = plan(NATURAL, LATE, baseline="late", leave_one_out="last_stage")
    assert {*found} == {"natural", "late", "without-a", "without-b", "without-c"}
    assert found["without-b"].specs[0].phases[0].weights == (0.5, 0.0, 0.5)
    assert {one.specs[0].trunk for one in found.values() if one.arm.trunk} == {found["late"].specs[0].trunk}


def test_an_arm_that_goes_on_as_its_trunk_does_is_that_trunk_and_the_page_tells_its_stages(tmp_path: Path) -> None:
    weights = {"d0": 1, "d1": 1, "d2": 2}
    # Both stages are whole numbers of steps of these weights, so that the trunk's are those of two stages too.
    whole = {"name": "natural", "stages": [{"share": 0.75, "weights": weights}, {"share": 0.25, "weights": weights}]}
    same = LATE | {"name": "same", "stages": [{"share": 0.25, "weights": weights}]}
    executor = InProcess()
    late = LATE | {"stages": [{"share": 0.25, "weights": {"d0": 1}}]}
    compare(
        tmp_path, params(arms=[whole, late, same], num_seeds=2), pool_with_tokenizer(tmp_path / "tokenize"), executor
    )
    found = {one.arm: one for one in ArmsComparison.read(tmp_path / "arms").comparisons}
    assert found["same"].statement.startswith("No claim: every run of same gave what natural's gave")
    assert found["late"].differences != (0.0, 0.0) and executor.done.count("train_run") == 6
    page = (tmp_path / "arms" / "page.html").read_text(encoding="utf-8")
    table = page.partition("Stages of arms that have several")[2].partition("</table>")[0]
    assert (
        table.count("with its trunk") == 2 and table.count("for this arm") == 4 and '<td class="n">1.386</td>' in table
    )


@pytest.mark.parametrize(
    ("arm", "told"),
    [
        ({"stages": [{"share": 0.5}]}, "its stages have 0.5 of the steps, not all"),
        (LATE | {"trunk": "other"}, "its trunk other is none of the arms before it: natural"),
        (LATE | {"stages": [{"share": 1.0}]}, "use a share below 1"),
        (LATE | {"tokens": "elsewhere"}, "tokens are those of its trunk natural"),
        (LATE | {"training": {"micro_batches": 1}}, "training.micro_batches is that of its trunk natural"),
        (LATE | {"stages": [{"share": 0.5, "schedule": {"kind": "wsd"}}]}, "a stage behind a trunk has no schedule"),
        ({"stages": [{"share": 1.0, "weights": {"a": 0}}]}, "its weights sum to 0"),
    ],
)
def test_stages_that_are_none_are_refused(arm: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        params(arms=[NATURAL, {"name": "late"} | arm])


def test_the_last_stage_of_a_baseline_without_stages_has_no_domain_to_leave_out() -> None:
    with pytest.raises(ValidationError, match="the baseline natural has no stages"):
        params(arms=[NATURAL, LATE], leave_one_out="last_stage")


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        ({"share": 0.01}, r"arm late, stage 0: a share of 0.01 of 10 steps is no step"),
        ({"share": 0.2, "without": ["z"]}, "arm late, stage 0 names z, which its pool does not have"),
        ({"share": 0.2, "weights": {"a": 1}, "without": ["a"]}, "nothing is left to train on of a"),
        ({"share": 0.2, "metadata": True}, "the token pool has none. Set tokenize.metadata"),
        ({"share": 0.5, "weights": {"c": 1}, "sequence_length": 32}, "arm late: 1 of 3 domains would be repeated"),
    ],
)
def test_what_a_pool_cannot_give_to_a_stage_is_refused_with_the_arm(stage: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        plan(NATURAL, LATE | {"stages": [stage]}, max_epochs=0.5)


def test_an_arm_whose_trunk_cannot_be_run_is_named_with_it() -> None:
    with pytest.raises(ConfigError, match=r"2 of 2 arms cannot be run(.|\n)*its trunk natural cannot be run"):
        plan(NATURAL | {"weights": {"z": 1}}, LATE)


def test_arms_are_read_as_before_where_they_have_no_stages() -> None:
    one = ArmsParams.model_validate({"arms": [NATURAL, {"name": "b", "weights": {"a": 1}}]})
    assert [(arm.stages, arm.trunk) for arm in one.arms] == [((), None)] * 2
