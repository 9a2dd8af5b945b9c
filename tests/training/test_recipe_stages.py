"""A recipe whose stages have a schedule, a sequence length and a RoPE base: planned, trained and published as it says."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from infra.storage import FolderStore
from tasks.core.errors import ConfigError
from tasks.mixture.published import Recipe
from tasks.runtime.context import Workshop
from tasks.tokenize.pool import TokenPool, read_pool
from tasks.training.export import read_model
from tasks.training.params import TrainParams
from tasks.training.published import TrainedRuns
from tasks.training.recipe_phases import staged_training
from tasks.training.recipes import PlannedRun, planned_runs
from tasks.training.run import train
from tasks.training.schedules.rates import learning_rate
from tasks.training.stage import run
from tests.in_process import InProcess, Listener
from tests.training.conftest import LENGTH, make_pool, small_training
from tests.training.test_stage import TOKENIZER, sign

STEP = 4 * LENGTH
EVEN, LATE = [0.5, 0.3, 0.2], [0.2, 0.2, 0.6]
LONG: dict[str, Any] = {"sequence_length": 2 * LENGTH, "rope_base": 1e5}
CONSTANT: dict[str, Any] = {"kind": "wsd", "decay_fraction": 0.0}


def recipe(*stages: dict[str, Any], **changes: Any) -> Recipe:
    domains, even = ["alpha", "beta", "gamma"], [1 / 3] * 3
    own = [{"tokens": 6 * STEP, "weights": EVEN} | stage for stage in stages]
    baselines = dict.fromkeys(("natural", "uniform", "unimax"), even)
    value = {"format": 3, "domains": domains, "stages": own, "max_epochs": 4.0, "baselines": baselines}
    return Recipe.model_validate(value | changes)


def planned(given: Recipe, pool: TokenPool, **changes: Any) -> tuple[PlannedRun, ...]:
    params = TrainParams(training=small_training(**changes), num_seeds=1)
    return planned_runs(params, given, pool, "", "r.json").runs


def test_stages_without_anything_of_their_own_are_the_runs_of_before(pool: TokenPool) -> None:
    training = small_training()
    assert staged_training(training, recipe({}, {}).stages) is training
    named = {"sequence_length": LENGTH, "rope_base": training.model.rope_base}
    assert planned(recipe(named, named), pool) == planned(recipe({}, {}), pool)


def test_baselines_have_the_lengths_bases_and_schedules_of_the_stages_with_their_own_weights(pool: TokenPool) -> None:
    given = recipe({"schedule": CONSTANT}, {**LONG, "schedule": {"kind": "cosine"}, "peak_fraction": 0.5})
    searched, natural, uniform = (one.spec for one in planned(given, pool))
    assert searched.segments == natural.segments == uniform.segments and len(searched.segments) == 2
    assert searched.training == natural.training
    assert [(phase.num_tokens, phase.weights[0]) for phase in natural.phases] == [(6 * STEP, 1 / 3)] * 2
    (natural,) = (one.spec for one in planned(recipe({}, {"weights": LATE}), pool) if one.mixture == "natural")
    assert len(natural.phases) == 1


def test_a_schedule_rules_from_its_stage_to_the_next_that_has_one() -> None:
    first, last = {"schedule": CONSTANT, "warmup_steps": 1}, {"schedule": {"kind": "cosine"}, "warmup_steps": 2}
    stages = recipe({**first, "tokens": 3 * STEP}, {"tokens": 3 * STEP}, {**last, "peak_fraction": 0.5}).stages
    training = staged_training(small_training(), stages)
    rates = [learning_rate(training, step) / 1e-2 for step in range(12)]
    assert rates[:8] == pytest.approx([1] * 6 + [0.75, 0.5]) and rates[8] == pytest.approx(0.5)
    assert all(one > other for one, other in pairwise(rates[8:]))


@pytest.mark.parametrize(
    ("stages", "changes", "message"),
    [
        (
            ({"tokens": 5 * STEP + LENGTH}, {"tokens": 7 * STEP - LENGTH, **LONG}),
            {},
            r"stages\.1: another sequence length",
        ),
        (({}, {"sequence_length": 48}), {}, r"stages\.1: a step of 64 tokens is no whole number"),
        (({}, {"sequence_length": 64}), {}, r"stages\.1: a step has 1 samples of 64, which micro_batches 2 do not"),
        (
            ({"tokens": 5 * STEP + LENGTH}, {"tokens": 7 * STEP - LENGTH, "schedule": CONSTANT}),
            {},
            "its schedule would begin",
        ),
        (({"schedule": CONSTANT, "peak_fraction": 0.5}, {}), {}, r"stages\.0: peak_fraction is a share"),
        (({}, {"schedule": CONSTANT}), {"decay_from": {"step": 3}}, "its stages have schedules, and so has"),
        (({}, {"schedule": {"kind": "wsd", "decay_fraction": 1.0}, "warmup_steps": 9}), {}, "do not fit into 6 steps"),
    ],
)
def test_stages_that_the_run_cannot_make_are_refused_before_the_first_step(
    pool: TokenPool, stages: tuple[dict[str, Any], ...], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        planned(recipe(*stages), pool, **changes)


def test_a_longer_context_at_the_end_is_trained_published_and_exported(tmp_path: Path) -> None:
    tokens = tmp_path / "tokenize"
    make_pool(tokens)
    (tokens / "tokenizer.json").write_text(json.dumps(TOKENIZER), encoding="utf-8")
    sign("tokenize", tokens)
    hook = {"kind": "by_loss", "tokens_per_domain": 64}
    given = recipe({"schedule": CONSTANT}, {**LONG, "hook": hook}, name="by-hand", baselines={})
    (tmp_path / "recipe.json").write_text(given.text())
    place = Workshop(InProcess(), FolderStore(tmp_path / "store"), Listener())
    params = TrainParams(training=small_training(), num_seeds=1)
    inputs = {"tokenize": tokens, "recipe": tmp_path / "recipe.json"}
    run(params, inputs=inputs, output=tmp_path / "train", workshop=place)
    (made,) = TrainedRuns.read(tmp_path / "train").runs
    assert [(phase.sequence_length, phase.rope_base) for phase in made.phases] == [(None, None), (32, 1e5)]
    assert sum(one.samples for one in made.consumed.values()) == 24 + 12
    assert sum(one.tokens for one in made.consumed.values()) == 12 * STEP
    model = read_model(tmp_path / "train/export").config
    assert (model.sequence_length, model.rope_base) == (32, 1e5)
    (one,) = planned(given, read_pool(tokens))
    pairs = zip(one.spec.phases, made.phases, strict=True)
    spec = replace(one.spec, phases=tuple(replace(phase, weights=decided.weights) for phase, decided in pairs))
    assert train(spec, read_pool(tokens)).losses[-1] == pytest.approx(made.final_loss, abs=0)
