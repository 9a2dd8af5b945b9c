"""Continual pre-training: replay of what came before, and what each stage did to every domain."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tasks.core.errors import ConfigError, StoppedError
from tasks.mixture.published import Recipe, RecipeStage
from tasks.pictures.forgetting import matrices, matrix, table_of
from tasks.tokenize.pool import TokenPool, read_pool
from tasks.training.command import show
from tasks.training.data_config import EvaluationConfig
from tasks.training.export import read_model
from tasks.training.forgetting import forgetting
from tasks.training.measure import bits_per_byte
from tasks.training.parallel.ddp import Ddp
from tasks.training.published import TrainedRuns
from tasks.training.published_forgetting import Forgetting
from tasks.training.published_run import EvaluationRow
from tasks.training.replay import replayed
from tasks.training.run import train
from tasks.training.starts.checkpoint import FromCheckpoint
from tasks.training.starts.kinds import trained_on
from tests.training.conftest import LENGTH, small_spec, small_training
from tests.training.test_recipe_stages import planned, recipe
from tests.training.test_segments import same, stopping
from tests.training.test_starts import inputs, trained

__all__ = ["inputs"]
STEP = 4 * LENGTH
AT_STAGES = EvaluationConfig(at_stages=True, tokens_per_domain=64)


def in_turn(*names: str, **changes: Any) -> Recipe:
    """A recipe of a stage of four steps for each of some domains."""
    rows = [[float(one == name) for one in ("alpha", "beta", "gamma")] for name in names]
    return recipe(*({"tokens": 4 * STEP, "weights": row, **changes} for row in rows), baselines={}, name="by-hand")


def test_replay_is_of_all_tokens_that_came_before_and_exact_to_the_sample(pool: TokenPool) -> None:
    given = in_turn("alpha", "beta", "gamma")
    stages = (given.stages[0], *in_turn("beta", "gamma", replay={"share": 0.25}).stages)
    given = given.model_copy(update={"stages": stages})
    found = replayed(given, dict)
    assert [stage.replay for stage in found.stages] == [None] * 3
    assert found.stages[1].weights == (0.25, 0.75, 0.0)
    # Before the third stage: 1.25 stages of alpha and 0.75 of beta.
    assert found.stages[2].weights == pytest.approx((0.15625, 0.09375, 0.75))
    assert replayed(in_turn("alpha"), dict) == in_turn("alpha")
    (one,) = planned(found, pool)
    ledger = train(one.spec, pool).ledger
    assert ledger.totals == (16 + 4 + 3, 12 + 1, 12) and sum(ledger.token_totals) == 12 * STEP


def test_replay_is_of_the_starts_tokens_too() -> None:
    given = in_turn("beta", replay={"share": 0.5})
    assert replayed(given, lambda: {"alpha": 300.0, "gamma": 100.0}).stages[0].weights == (0.375, 0.5, 0.125)
    ramp = recipe({"end_weights": [0.0, 0.0, 1.0], "replay": {"share": 0.5, "weights": [0.0, 1.0, 0.0]}})
    (stage,) = replayed(ramp, lambda: None).stages
    assert stage.weights == pytest.approx((0.25, 0.65, 0.1)) and stage.end_weights == (0.0, 0.5, 0.5)


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ({}, r"stages\.0\.replay: nothing was trained on before"),
        (None, r"stages\.0\.replay: nobody knows what the model of train\.start"),
        (
            {"delta": 1.0},
            r"stages\.0\.replay: the start was trained on 1 domains that the recipe has not; first: delta",
        ),
    ],
)
def test_a_replay_of_nothing_or_of_what_is_not_known_is_refused(before: dict[str, float] | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replayed(in_turn("beta", replay={"share": 0.5}), lambda: before)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"replay": {"share": 1.0}}, "less than 1"),
        ({"replay": {"share": 0.5, "weights": [0.5, 0.4]}}, "2 weights sum to 0.9"),
        ({"replay": {"share": 0.5}, "hook": {"kind": "by_loss"}}, "a hook or replay"),
    ],
)
def test_a_replay_that_is_none_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RecipeStage.model_validate({"tokens": 1, "weights": [0.5, 0.5], **values})


@pytest.mark.parametrize("parallel", [None, Ddp()])
def test_a_run_is_evaluated_before_its_first_step_once_however_often_it_is_stopped(
    pool: TokenPool, tmp_path: Path, parallel: Ddp | None
) -> None:
    at_start = EvaluationConfig(at_start=True, tokens_per_domain=64)
    spec = small_spec(evaluations=at_start, parallel=parallel, num_tokens=4 * STEP, checkpoint_every_steps=100)
    whole = train(spec, pool)
    for steps in (0, 1):
        with pytest.raises(StoppedError):
            train(spec, pool, checkpoints=tmp_path, asked_to_stop=stopping(steps))
    assert same(train(spec, pool, checkpoints=tmp_path), whole)
    assert [step for step, _ in whole.evaluations] == [0]


def test_stages_of_domains_give_a_matrix_with_a_row_before_the_first(inputs: dict[str, Path], tmp_path: Path) -> None:
    base = trained(inputs, tmp_path, "base")
    given = in_turn("alpha", "beta", replay={"share": 0.25})
    inputs["recipe"].write_text(given.text(), encoding="utf-8")
    start = {"kind": "checkpoint", "folder": str(base), "run": "by-hand-seed0"}
    training = small_training(num_tokens=8 * STEP, evaluations=AT_STAGES)
    made = trained(inputs, tmp_path, "made", start=start, training=training)
    found = Forgetting.read(made)
    (run,) = found.runs
    assert (run.steps, run.stages) == ((0, 4, 8), ("alpha", "beta"))
    model = read_model(base / "models/by-hand-seed0")
    pool = read_pool(inputs["tokenize"])
    assert run.bits_per_byte[0] == tuple(bits_per_byte(model, pool, "search", 64)[name] for name in pool.names)
    assert run.backward == {"alpha": run.bits_per_byte[2][0] - run.bits_per_byte[1][0]}
    assert run.forward == {"beta": run.bits_per_byte[1][1] - run.bits_per_byte[0][1]}
    # Half of what the base was trained on is alpha, half beta.
    (trained_run,) = TrainedRuns.read(made).runs
    assert trained_run.phases[0].weights == (0.875, 0.125, 0.0)
    before = trained_on(FromCheckpoint.model_validate(start))
    halfway = trained_on(FromCheckpoint.model_validate(start | {"step": 6}))
    assert before == {"alpha": 6.0 * STEP, "beta": 6.0 * STEP} and halfway == {"alpha": 3.0 * STEP, "beta": 3.0 * STEP}
    shown = show(made)
    assert list(shown.pictures) == ["forgetting-0"] and len(shown.tables["forgetting"]) == 3 * 3
    assert show(base).pictures == {}


def test_forgetting_is_what_a_stages_domain_lost_and_a_repeated_domain_tells_none() -> None:
    rows = [[5.0, 6.0, 7.0], [3.0, 5.5, 6.5], [3.5, 2.0, 6.0], [4.0, 2.5, 1.0]]
    evaluations = [
        EvaluationRow(4 * stage, name, value)
        for stage, row in enumerate(rows)
        for name, value in zip(("alpha", "beta", "gamma"), row, strict=True)
    ]
    run = _run("alpha", "beta", "gamma")
    found = forgetting([(run, evaluations)], ("alpha", "beta", "gamma"), STEP)
    assert found is not None
    assert found.runs[0].backward == {"alpha": 1.0, "beta": 0.5} and found.runs[0].mean_backward == 0.75
    assert found.runs[0].forward == {"beta": -0.5, "gamma": -1.0} and found.runs[0].mean_forward == -0.75
    (told,) = matrices(found)
    picture = matrix("m", told)
    assert "+0.7500 bits per byte forgotten" in picture and "2.500" in picture and len(table_of(found)) == 12
    repeated = forgetting([(_run("alpha", "beta", "alpha"), evaluations)], found.domains, STEP)
    assert repeated is not None and repeated.runs[0].mean_backward is None
    assert "no forgetting" in matrices(repeated)[0].words
    assert forgetting([(run, evaluations[:-1])], found.domains, STEP) is None


def _run(*stages: str) -> Any:
    from tasks.training.published import TrainedPhase

    rows = [tuple(float(one == name) for one in ("alpha", "beta", "gamma")) for name in stages]
    phases = tuple(TrainedPhase(tokens=4 * STEP, weights=row) for row in rows)
    return _Trained(phases)


class _Trained:
    """What is asked of a published run."""

    name, mixture, seed, trunk = "by-hand-seed0", "by-hand", 0, None

    def __init__(self, phases: Any) -> None:
        self.phases = phases


def test_stages_that_end_within_a_step_are_not_evaluated_at_their_ends(pool: TokenPool) -> None:
    uneven = recipe({"tokens": 5 * STEP + LENGTH}, {"tokens": 7 * STEP - LENGTH})
    with pytest.raises(
        ConfigError, match=r"stages\.0: it ends behind 336 tokens, within a step of 64, and evaluations"
    ):
        planned(uneven, pool, evaluations=AT_STAGES)
    with pytest.raises(ConfigError, match="this run has no stages of a recipe"):
        train(small_spec(evaluations=AT_STAGES), pool)
