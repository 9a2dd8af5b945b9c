"""Presets of training: each is planned as it stands on a pool with domains, score and metadata that it names."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.compare import ARMS_PRESETS
from tasks.arms.config import ArmsParams
from tasks.arms.measuring import all_arms
from tasks.arms.plan import PlannedArm
from tasks.core.errors import ConfigError
from tasks.core.params import layered, read_yaml, validate
from tasks.tokenize.pool import TokenPool
from tasks.training.schedules.rates import learning_rate
from tests.mixture.test_stage import PROXY
from tests.training.conftest import make_pool
from tests.training.documents import memory_pool

# By preset: the domains that its pool must have.
STAGED = {
    "continual": ("new", "a", "b"),
    "crystal": ("text", "code"),
    "curriculum": ("a", "b"),
    "llama3_syne": ("zh", "en", "synthetic"),
    "long_context": ("a", "b"),
    "meco": ("alpha", "beta", "gamma"),
    "multi_token": ("a", "b"),
    "optimizer_state": ("a", "b"),
    "pints": ("a", "b"),
    "stability_gap": ("new", "a", "b"),
}
STEPS = 100
# Samples of a step, where its length has to be a multiple of a longer stage's.
SEQUENCES = {"long_context": 32}


def pool_for(preset: str, folder: Path) -> TokenPool:
    if preset == "meco":
        return make_pool(folder, metadata=True)
    sizes = {name: [16 * SEQUENCES.get(preset, 4)] * 200 for name in STAGED[preset]}
    quality = np.random.default_rng(0).normal(size=200).tolist()
    return memory_pool(sizes, {name: {"quality": quality} for name in sizes})


def planned(preset: str, pool: TokenPool) -> dict[str, PlannedArm]:
    more = {"sequences_per_step": SEQUENCES.get(preset, PROXY.sequences_per_step), "micro_batches": 1}
    step = PROXY.model_copy(update={**more, "model": PROXY.model.model_copy(update={"num_layers": 2})})
    training = step.model_copy(update={"num_tokens": STEPS * step.tokens_per_step})
    defaults = ArmsParams.model_construct(training=training).model_dump(mode="json")
    params = validate(ArmsParams, layered(defaults, read_yaml(ARMS_PRESETS / f"{preset}.yaml")), preset)
    return {one.arm.name: one for one in all_arms(params, {None: pool})}


@pytest.mark.parametrize("preset", STAGED)
def test_a_preset_can_be_run_on_a_pool_with_what_it_names(preset: str, tmp_path: Path) -> None:
    found = planned(preset, pool_for(preset, tmp_path / "pool"))
    assert len(found) > 1
    assert all(spec.training.num_steps == STEPS for one in found.values() for spec in one.specs)


def test_long_context_goes_on_from_one_trunk_in_samples_of_four_times_the_length(tmp_path: Path) -> None:
    found = planned("long_context", pool_for("long_context", tmp_path))
    trunk, *late = (found[name].specs[0] for name in ("natural", "longer", "interleaved"))
    assert [(one.trunk and one.trunk.spec, one.trunk and one.trunk.step) for one in late] == [(trunk, 90)] * 2
    assert [(phase.sequence_length, phase.rope_base) for one in late for phase in one.phases] == [(512, 500_000)] * 2
    assert [phase.interleave and phase.interleave.words for one in late for phase in one.phases] == [
        None,
        "chunks of 64 tokens of 8 documents in turn",
    ]


def test_crystals_code_centric_phase_leaves_the_two_before_it_where_theirs_left_them(tmp_path: Path) -> None:
    found = planned("crystal", pool_for("crystal", tmp_path))
    trunk, late = found["two_phases"].specs[0], found["code_at_the_end"].specs[0]
    assert late.trunk is not None and (late.trunk.spec, late.trunk.step) == (trunk, 92)
    assert [round(phase.weights[1], 3) for phase in (*trunk.phases, *late.phases)] == [0.0, 0.628, 0.909]


def test_continual_arms_replay_what_their_trunk_has_read_and_are_held_near_to_it(tmp_path: Path) -> None:
    pool = pool_for("continual", tmp_path)
    found = planned("continual", pool)
    (phase,), held = found["replay_25"].specs[0].phases, found["held_strongly"].specs[0].training.ewc
    assert phase.weights == pytest.approx((0.75, 0.125, 0.125)) and found["new_alone"].training.ewc is None
    assert held is not None and [(one.domain, one.weight) for one in held.earlier] == [("a", 0.5), ("b", 0.5)]
    rates = [learning_rate(found[name].training, 72) for name in ("rewarmed", "new_alone")]
    assert rates[0] == PROXY.optimizer.learning_rate > rates[1]


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        (
            {"training": {"ewc": {"strength": 1.0, "tokens": 128}}},
            r"arm own: training\.ewc holds weights near to those of a",
        ),
        (
            {"stages": [{"share": 1.0, "replay_share": 0.5}]},
            "arm own, stage 0: nothing was trained on before the first",
        ),
        (
            {"stages": [{"share": 1.0, "replay_share": 0.5}], "start": {"kind": "hugging_face", "folder": "x"}},
            "arm own, stage 0: nobody knows what its start was trained on",
        ),
    ],
)
def test_arms_that_have_nothing_before_them_are_refused(arm: dict[str, Any], message: str) -> None:
    arms = [{"name": "plain"}, {"name": "own", **arm}]
    params = ArmsParams.model_validate({"training": PROXY, "arms": arms, "baseline": "plain"})
    with pytest.raises(ConfigError, match=message):
        all_arms(params, {None: memory_pool({"a": [64] * 200, "b": [64] * 200})})


def test_a_pool_without_the_domains_or_the_score_of_a_preset_is_told_what_is_missing(tmp_path: Path) -> None:
    plain = memory_pool({"a": [64] * 200, "b": [64] * 200})
    with pytest.raises(ConfigError, match="arm two_phases, stage 0 has weights for text, which its pool does not have"):
        planned("crystal", plain)
    with pytest.raises(
        ConfigError, match=r"no number called quality of each document(.|\n)*tokenize\.document_columns"
    ):
        planned("curriculum", plain)
    with pytest.raises(ConfigError, match=r"the token pool has none\. Set tokenize\.metadata"):
        planned("meco", plain)
