"""The guard: a law refitted from recorded evaluations, told live, said again after a kill, and published."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infra.live import MetricsFile, metrics_of
from infra.progress import LiveReport, UnitReport
from infra.storage import FolderStore
from tasks.core.errors import ConfigError
from tasks.core.params import layered, read_yaml, validate
from tasks.laws.one_ratio import fit_one_ratio
from tasks.mixture.published import read_recipe
from tasks.runtime.context import Workshop
from tasks.tokenize.pool import TokenPool
from tasks.training.data_config import EvaluationConfig
from tasks.training.guard.plan import RunGuard, run_guards
from tasks.training.guard.published import Guard
from tasks.training.guard.stage import GuardObserver
from tasks.training.guard.told import table_of
from tasks.training.guard.verdicts import Limits, Point, Watched, judged, words
from tasks.training.parallel.ddp import Ddp
from tasks.training.params import TrainParams
from tasks.training.published_run import read_evaluations
from tasks.training.recipes import staged_training
from tasks.training.replay import replayed
from tasks.training.run import train
from tasks.training.schedules.rates import learning_rate
from tasks.training.stage import run
from tasks.training.types import Phase, StepNumbers
from tests.in_process import InProcess, Listener
from tests.training.conftest import LENGTH, small_spec, small_training
from tests.training.test_branch_replay import planned as branched
from tests.training.test_recipe_stages import planned, recipe
from tests.training.test_starts import inputs, trained

__all__ = ["inputs"]
STEP = 4 * LENGTH
EVERY: dict[str, Any] = {"every_steps": 2, "at_start": True, "tokens_per_domain": 64}
LIMITS = Limits(before=3.0, reference=3.0, tolerance=0.5, confidence=0.8)


def watched(*ratios: float, steps: int = 10) -> Watched:
    """A run of a phase of steps of 100 tokens for each ratio of the second domain, which is new."""
    phases = tuple(Phase(steps * 100, (1 - ratio, ratio)) for ratio in ratios)
    return Watched((1.0, 0.0), phases, 0, steps * len(ratios), 100)


def rising(to: float, steps: int = 10, ratio: float = 1.0) -> list[tuple[int, tuple[float, float]]]:
    """Evaluations at every step whose loss rises as a square root from 3, to a value at the end."""
    rows = [(step, 3.0 + (to - 3.0) * (step / steps) ** 0.5 * ratio) for step in range(steps + 1)]
    return [(step, (loss, 9.0)) for step, loss in rows]


def test_the_law_at_one_ratio_recovers_what_generated_the_losses() -> None:
    tokens = np.array([100.0, 200.0, 400.0, 800.0])
    law = fit_one_ratio(tokens, 2.0 + 0.3 * tokens**0.25)
    assert float(law.values({"tokens": np.array([1e4])})[0]) == pytest.approx(5.0, abs=1e-4)
    a = law.reported(0.8)
    assert [a[name][0] for name in ("c", "a", "t")] == pytest.approx([2.0, 0.3, 0.25], abs=1e-3)


def test_a_break_is_foretold_with_the_tokens_and_what_was_said_does_not_follow_from_later_evaluations() -> None:
    one = watched(1.0)
    said = judged(one, LIMITS, rising(3.8))
    assert [verdict.state for verdict in said] == [*["unknown"] * 2, "will_break", *["broken"] * 7]
    third = said[2]
    assert third.predicted == pytest.approx(3.8, abs=1e-3) and third.law == "tokens"
    # 3 + 0.8 sqrt(t) passes 3.5 at 0.39 of the run.
    assert third.breaks_at_tokens == pytest.approx(391, abs=6)
    assert third == judged(one, LIMITS, rising(3.8)[:4])[-1] == judged(one, LIMITS, rising(3.8), after=2)[0]
    told = words("run", one, LIMITS, third)
    assert "run, step 3 of 10: the loss on the earlier domains is 3.438, at the end 3.800 (80% interval" in told
    assert (
        "above 3.500 bits per byte (3.000 + 0.5)" in told and "one ratio (1.00 of new domains) propose no other" in told
    )
    within = judged(one, LIMITS, rising(3.4))
    assert [verdict.state for verdict in within[2:]] == ["within"] * 8 and within[-1].breaks_at_tokens is None


def test_several_ratios_propose_the_one_that_keeps_the_tolerance() -> None:
    # The loss rises by ratio x sqrt(tokens): half the ratio keeps half of the rise.
    earlier = [
        Point(100 * step, ratio, 3.0 + ratio * (step / 10) ** 0.5) for ratio in (0.2, 0.6) for step in (2, 4, 6, 8, 10)
    ]
    said = judged(watched(1.0), LIMITS, rising(4.0)[:4], earlier)[-1]
    assert (said.law, said.state) == ("cmr", "broken")
    assert said.critical_ratio == pytest.approx(0.5, abs=0.05) and said.predicted == pytest.approx(4.0, abs=0.1)
    # 300 of the 1,000 tokens are spent at ratio 1.
    assert said.proposed_ratio == pytest.approx((1000 * said.critical_ratio - 300) / 700)
    assert "Propose at most 0.2" in words("run", watched(1.0), LIMITS, said)


def test_stages_of_a_run_are_ratios_of_all_its_tokens() -> None:
    two = watched(1.0, 0.5)
    assert [two.ratio(tokens) for tokens in (500.0, 1000.0, 1500.0, 2000.0)] == pytest.approx([1, 1, 0.833333, 0.75])
    ramp = Watched((1.0, 0.0), (Phase(1000, (1.0, 0.0), (0.0, 1.0)),), 0, 10, 100)
    assert [ramp.ratio(tokens) for tokens in (500.0, 1000.0)] == pytest.approx([0.25, 0.5])


def test_a_start_beyond_the_tolerance_is_said_by_name() -> None:
    limits = replace(LIMITS, reference=2.0)
    said = judged(watched(1.0), limits, rising(3.2))
    assert {verdict.state for verdict in said} == {"broken_before"}
    assert "was 3.000 before the first step, above 2.500" in words("run", watched(1.0), limits, said[0])


@pytest.mark.parametrize("parallel", [None, Ddp()])
def test_evaluations_are_told_with_the_step_behind_which_they_are_made_and_again_after_a_kill(
    pool: TokenPool, tmp_path: Path, parallel: Ddp | None
) -> None:
    config = EvaluationConfig.model_validate({**EVERY, "every_steps": 4})
    spec = small_spec(evaluations=config, parallel=parallel, checkpoint_every_steps=6)
    heard: list[tuple[int, int]] = []

    def hear(step: int, numbers: StepNumbers) -> None:
        heard.extend((step, at) for at, _ in numbers.evaluations)
        if step == 9 and len(heard) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(spec, pool, checkpoints=tmp_path, on_step=hear)
    assert heard == [(1, 0), (4, 4), (8, 8)]
    told: list[tuple[int, tuple[float, ...]]] = []
    result = train(spec, pool, checkpoints=tmp_path, on_step=lambda step, numbers: told.extend(numbers.evaluations))
    assert tuple(told) == result.evaluations and [step for step, _ in told] == [0, 4, 8, 12]


def test_what_is_measured_behind_a_step_is_told_whenever_it_comes_and_once(tmp_path: Path) -> None:
    path = tmp_path / "key"
    for _ in range(2):
        told = MetricsFile(path, first_steps=1)
        told(0, {"bits_per_byte/a": 3.0})
        for step in range(1, 5):
            told(step, {"loss": 1.0, "tokens": 64.0 * step})
            if step == 3:
                told(3, {"bits_per_byte/a": 2.5})
    rows, _ = metrics_of(path)
    assert rows == [(0, {"bits_per_byte/a": 3.0}), (1, {"loss": 1.0}), (3, {"bits_per_byte/a": 2.5})]


def guard_of(name: str = "run") -> RunGuard:
    """The guard of a run of the pool's three domains, of which the last is new."""
    from tasks.training.guard.params import GuardParams
    from tasks.training.recipes import PlannedRun

    spec = replace(small_spec((0.0, 0.0, 1.0), num_tokens=10 * STEP), name=name)
    own = Watched((0.5, 0.5, 0.0), spec.phases, 0, 10, STEP)
    return RunGuard(PlannedRun("by-hand", spec), GuardParams(tolerance=0.5), ("alpha", "beta", "gamma"), own)


def test_the_driver_says_what_changes_and_after_a_kill_says_it_again() -> None:
    rows = [(step, loss) for step, (loss, _) in rising(3.8)]

    def heard(*parts: slice) -> Listener:
        listener = Listener()
        observer = GuardObserver(listener, {"run": guard_of()})
        for part in parts:
            curves = {f"bits_per_byte/{name}": tuple(rows[part]) for name in ("alpha", "beta", "gamma")}
            observer.live(LiveReport("run", "key", curves))
        return listener

    whole, again = heard(slice(0, 3), slice(3, 5), slice(5, 11)), heard(slice(0, 11))
    assert whole.said == again.said and [one[:23] for one in whole.said] == [
        "guard: run, step 3 of 1",
        "guard: run, step 4 of 1",
    ]
    curves = [dict(live.curves) for live in whole.lives if "guard/loss" in live.curves]
    assert [step for step, _ in curves[1]["guard/predicted"]] == [3, 4]
    finished = Listener()
    own = {f"bits_per_byte/{name}": rows for name in ("alpha", "beta", "gamma")}
    GuardObserver(finished, {"run": guard_of()}).unit(UnitReport("run", "key", curves=own))
    (report,) = finished.units
    assert len(report.curves["guard/loss"]) == 10 and len(report.curves["guard/predicted"]) == 8 and finished.said


def test_a_stage_publishes_what_its_guard_said_and_trains_what_it_trains_without(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    base = trained(inputs, tmp_path, "base")
    start = {"kind": "checkpoint", "folder": str(base), "run": "by-hand-seed0"}
    given = json.loads(inputs["recipe"].read_text(encoding="utf-8"))
    given |= {"domains": ["alpha", "beta", "gamma"], "stages": [{"tokens": 12 * STEP, "weights": [0.1, 0.1, 0.8]}]}
    inputs["recipe"].write_text(json.dumps(given), encoding="utf-8")
    plain = {"start": start, "training": small_training(evaluations=EVERY | {"every_steps": 3})}
    without = trained(inputs, tmp_path, "without", **plain)
    place = Workshop(InProcess(), FolderStore(tmp_path / "store"), Listener())
    asked = {"num_seeds": 1, **plain}
    guarded = TrainParams.model_validate({**asked, "guard": {"tolerance": 1e-3}})
    run(guarded, inputs=inputs, output=tmp_path / "with", workshop=place)
    # The run is taken from the store: the guard is in no key of it.
    assert place.observer.steps == [(1, 1)] and any("guard: by-hand-seed0" in one for one in place.observer.said)
    assert (tmp_path / "with/runs.json").read_bytes() == (without / "runs.json").read_bytes()
    found = Guard.read(tmp_path / "with")
    (one,) = found.runs
    assert one.domains == {"alpha": 0.5, "beta": 0.5} and [said.step for said in one.verdicts] == [3, 6, 9, 12]
    assert [said.ratio for said in one.verdicts] == pytest.approx([0.8] * 4)
    (row,) = table_of(found)
    assert (
        row["tolerance"] in {"kept", "broken"} and row["new share"] == "0.80" and row["before"] == f"{one.before:.4f}"
    )
    rows = read_evaluations(without / "models/by-hand-seed0")
    first = [row.bits_per_byte for row in rows if row.step == 0 and row.domain != "gamma"]
    assert one.before == pytest.approx(sum(first) / 2) and one.limit == one.before + 1e-3
    # Of the same start with another ratio: the law has both.
    given["stages"][0]["weights"] = [0.4, 0.4, 0.2]
    inputs["recipe"].write_text(json.dumps(given), encoding="utf-8")
    later = TrainParams.model_validate({**asked, "guard": {"tolerance": 1e-3, "earlier": [str(tmp_path / "with")]}})
    run(later, inputs=inputs, output=tmp_path / "later", workshop=place)
    (second,) = Guard.read(tmp_path / "later").runs
    assert second.verdicts[-1].law == "cmr" and second.verdicts[-1].critical_ratio is not None
    other = {"num_seeds": 1, **plain, "start": {**start, "step": 6}}
    wrong = TrainParams.model_validate({**other, "guard": {"tolerance": 1.0, "earlier": [str(tmp_path / "with")]}})
    with pytest.raises(ConfigError, match=r"earlier: the runs in .* began with another start"):
        run(wrong, inputs=inputs, output=tmp_path / "wrong", workshop=place)


def test_a_branch_is_watched_from_its_step_on_beside_what_its_trunk_has_read(pool: TokenPool) -> None:
    evaluations = EvaluationConfig(every_steps=1, tokens_per_domain=64)
    training = small_training(milestone_every_steps=3, evaluations=evaluations)
    gamma = {"tokens": 6 * STEP, "weights": {"gamma": 1.0}}
    late = {"name": "late", "step": 6, "stages": [gamma]}
    runs = branched(pool, late, training=training)
    asked = {"training": training, "num_seeds": 1, "branches": [late], "guard": {"tolerance": 0.1}}
    params = TrainParams.model_validate(asked)
    found = run_guards(params, [*runs.values()], pool.names, None, ())
    # The trunk itself begins with new weights, and there is nothing that it could forget.
    assert [*found] == ["late-seed0"]
    own = found["late-seed0"].watched
    assert own.weights == (0.75, 0.25, 0.0) and (own.first_step, own.tokens, own.ratio(64)) == (6, 6 * STEP, 1.0)
    rows = [(step, (2.0 + step / 10, 2.0 + step / 10, 5.0)) for step in range(13)]
    (said, *_) = found["late-seed0"].verdicts(rows)
    assert (said.step, said.tokens) == (7, STEP) and found["late-seed0"].limits(rows).before == 2.6  # type: ignore[union-attr]


KNOWN: dict[str, Any] = {"start": {"kind": "hugging_face", "folder": "x"}}
NAMED: dict[str, Any] = {"tolerance": 0.1, "domains": {"alpha": 1.0}}


@pytest.mark.parametrize(
    ("changes", "evaluations", "message"),
    [
        ({**KNOWN, "guard": {"tolerance": 0.1}}, EVERY, r"nobody knows what .* Name guard\.domains"),
        ({**KNOWN, "guard": {**NAMED, "domains": {"delta": 1.0}}}, EVERY, "1 of 1 earlier domains are not in the pool"),
        ({**KNOWN, "guard": NAMED}, {**EVERY, "at_start": False}, r"not evaluated before its first step.*at_start"),
        ({**KNOWN, "guard": NAMED}, {**EVERY, "every_steps": 6}, r"evaluated 1 times on its way, .* from 3 on"),
        ({**KNOWN, "guard": NAMED, "hook": True}, EVERY, "hooks decide its mixture on the way"),
    ],
)
def test_a_guard_that_cannot_watch_is_refused_before_the_first_step(
    pool: TokenPool, changes: dict[str, Any], evaluations: dict[str, Any], message: str
) -> None:
    values = dict(changes)
    hook = {"hook": {"kind": "by_loss"}} if values.pop("hook", False) else {}
    training = small_training(evaluations=EvaluationConfig.model_validate(evaluations))
    params = TrainParams.model_validate({"training": training, "num_seeds": 1, **values})
    runs = planned(recipe({}, hook, baselines={}, name="by-hand"), pool, evaluations=training.evaluations)
    with pytest.raises(ConfigError, match=message):
        run_guards(params, runs, pool.names, None, ())


def test_a_guard_without_evaluations_or_with_a_folder_twice_is_refused_with_the_params() -> None:
    with pytest.raises(ValueError, match=r"training\.evaluations is null; set it, with at_start"):
        TrainParams.model_validate({"training": small_training(), "guard": NAMED})
    with pytest.raises(ValueError, match="a folder stands twice"):
        TrainParams.model_validate({"guard": {**NAMED, "earlier": ["a", "a"]}})
    with pytest.raises(ValueError, match="go on from a start or a trunk, and all begin with new weights"):
        TrainParams.model_validate({"training": small_training(evaluations=EVERY), "guard": NAMED})


def test_the_preset_of_continual_pre_training_rewarms_replays_and_is_watched(project: Path) -> None:
    folder, defaults = project / "configs/continual", TrainParams().model_dump(mode="json")
    params = validate(TrainParams, layered(defaults, read_yaml(folder / "train.yaml")["train"]), "preset")
    given = replayed(read_recipe(folder / "recipe.json"), lambda: {"general": 10.0})
    assert given.tokens == params.training.num_tokens and params.guard is not None
    assert [stage.weights for stage in given.stages] == [(0.25, 0.75), pytest.approx((0.0625, 0.9375), abs=1e-3)]
    training = staged_training(params.training, given.stages)
    rates = [learning_rate(training, step) / training.optimizer.learning_rate for step in (0, 1, 79, 100, 119)]
    assert rates[:3] == [0.5, 1.0, 1.0] and 1 > rates[3] > rates[4]
    assert training.evaluations is not None and training.evaluations.is_due(0) and training.evaluations.is_due(80)
