"""Replay in the stages of a branch: what came before it in its start, its trunks and its own stages."""

from typing import Any

import pytest

from tasks.core.errors import ConfigError
from tasks.tokenize.pool import TokenPool
from tasks.training.params import TrainParams
from tasks.training.recipes import PlannedRun, planned_runs
from tests.training.conftest import small_training
from tests.training.test_recipe_stages import EVEN, STEP, recipe

GAMMA: dict[str, Any] = {"tokens": 4 * STEP, "weights": {"gamma": 1.0}}
QUARTER: dict[str, Any] = {"share": 0.25}


def planned(pool: TokenPool, *branches: dict[str, Any], **changes: Any) -> dict[str, PlannedRun]:
    """Return the runs of a trunk of six steps on two domains, then six on a ramp, and of branches off it."""
    stages = [{"weights": [0.75, 0.25, 0.0]}, {"weights": [1.0, 0.0, 0.0], "end_weights": [0.0, 1.0, 0.0]}]
    if changes.pop("hook", False):
        stages[1] = {"weights": EVEN, "hook": {"kind": "by_loss"}}  # type: ignore[dict-item]
    given = recipe(*stages, baselines={}, name="trunk")
    training = small_training(milestone_every_steps=3)
    asked = {"training": training, "num_seeds": 1, "branches": branches, **changes}
    found = planned_runs(TrainParams.model_validate(asked), given, pool, "", "r.json").runs
    return {one.mixture: one for one in found}


def branch(step: int, *stages: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"name": "late", "step": step, "stages": stages, **changes}


def weights(run: PlannedRun) -> list[tuple[float, ...]]:
    return [phase.weights for phase in run.spec.phases]


def test_a_stage_of_a_branch_replays_its_trunk_up_to_the_step_and_the_stages_before_it(pool: TokenPool) -> None:
    # Six steps of 3 : 1, and three of the ramp, of which a quarter is beta.
    alpha, beta = 4.5 + 2.25, 1.5 + 0.75
    found = planned(pool, branch(9, GAMMA, {**GAMMA, "replay": QUARTER}))["late"]
    total = alpha + beta + 4
    assert weights(found)[0] == (0.0, 0.0, 1.0)
    assert weights(found)[1] == pytest.approx((alpha / total / 4, beta / total / 4, 0.75 + 4 / total / 4))
    ramp = {"tokens": 4 * STEP, "weights": {"gamma": 1.0}, "end_weights": {"beta": 1.0}, "replay": {"share": 0.5}}
    (phase,) = planned(pool, branch(6, ramp))["late"].spec.phases
    assert phase.weights == pytest.approx((0.375, 0.125, 0.5)) and phase.end_weights == pytest.approx((0.375, 0.625, 0))


def test_a_branch_of_a_branch_replays_both_trunks_and_a_branch_without_replay_is_what_it_was(pool: TokenPool) -> None:
    first = branch(6, {"tokens": 6 * STEP, "weights": {"gamma": 1.0}}, milestone_every_steps=3)
    beta = {"tokens": 4 * STEP, "weights": {"beta": 1.0}}
    second = branch(9, {**beta, "replay": QUARTER}, name="later", trunk="late")
    found = planned(pool, first, second, branch(9, beta, name="plain", trunk="late"))
    assert weights(found["later"]) == [pytest.approx((4.5 / 36, 0.75 + 1.5 / 36, 3 / 36))]
    assert found["late"] == planned(pool, first)["late"] and weights(found["plain"]) == [(0.0, 1.0, 0.0)]


def test_what_nobody_knows_is_refused_and_stated_by_domain(pool: TokenPool) -> None:
    unknown = {"start": {"kind": "hugging_face", "folder": "nowhere"}}
    with pytest.raises(ConfigError, match=r"late, stages\.0\.replay: nobody knows what the model of train\.start"):
        planned(pool, branch(6, {**GAMMA, "replay": QUARTER}), **unknown)
    with pytest.raises(ConfigError, match=r"a hook decides the mixture of phase 1 of trunk-seed0 .* by domain"):
        planned(pool, branch(9, {**GAMMA, "replay": QUARTER}), hook=True)
    # Up to the stage that a hook decides all is known.
    found = planned(pool, branch(6, {**GAMMA, "replay": QUARTER}), hook=True)["late"]
    assert weights(found) == [pytest.approx((0.1875, 0.0625, 0.75))]
    stated = {"share": 0.5, "weights": {"alpha": 0.5, "beta": 0.5}}
    for changes in (unknown, {"hook": True}):
        found = planned(pool, branch(9, {**GAMMA, "replay": stated}), **changes)["late"]
        assert weights(found) == [(0.25, 0.25, 0.5)]


@pytest.mark.parametrize(
    ("replay", "message"),
    [({"share": 1.0}, "less than 1"), ({"share": 0.5, "weights": {"alpha": 0.4}}, "weights: they sum to 0.4")],
)
def test_a_replay_that_is_none_is_refused_with_the_params(
    pool: TokenPool, replay: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        planned(pool, branch(6, {**GAMMA, "replay": replay}))
    with pytest.raises(ConfigError, match="weights for delta"):
        planned(pool, branch(6, {**GAMMA, "replay": {"share": 0.5, "weights": {"delta": 1.0}}}))
