"""Planted experiments: a planted effect is recovered, none is seen where there is none, and interactions are told."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t as student

from cli.planted import lines
from infra.storage import FolderStore
from tasks.core.errors import ConfigError, EvidenceError
from tasks.core.rng import generator
from tasks.evaluation.config import EvaluateParams
from tasks.evaluation.planted.dependence import dependence
from tasks.evaluation.planted.effects import (
    NOT_AN_ITEM,
    Estimate,
    crossed,
    doses,
    effects,
    fitted,
    groups_of,
    interaction_terms,
    interactions,
    joint_p,
    level_effects,
)
from tasks.evaluation.planted.params import PlantedParams
from tasks.evaluation.planted.published import PlantedEffects
from tasks.evaluation.planted.stage import effects_in, planted_effects
from tasks.evaluation.planted.told import Probed, told_mixture
from tasks.evaluation.stage import run as evaluate
from tasks.runtime.context import Workshop
from tasks.tokenize import tokenizer as bpe
from tasks.tokenize.pool import write_pool
from tasks.training.params import TrainParams
from tasks.training.planted.published import PlantedItem, PlantedPart, PlantedPlan
from tasks.training.stage import run as train
from tests.in_process import InProcess, Listener
from tests.training.conftest import small_training
from tests.training.made import trained_run
from tests.training.test_stage import hand_written, sign

STEPS, LENGTH = 100, 32


def assigned(
    random: np.random.Generator, *shape: int, share: float = 0.5, levels: tuple[int, ...] = (4,)
) -> np.ndarray:
    """Return exposures as a hash assigns them, [E, S, I]."""
    return np.where(random.random(shape) < share, np.array(levels)[random.integers(0, len(levels), shape)], 0)


@pytest.mark.parametrize(
    ("shape", "share", "levels"), [((3, 1, 160), 0.5, (4,)), ((2, 1, 240), 0.4, (1, 4, 16)), ((2, 3, 60), 0.5, (4,))]
)
def test_effects_that_are_not_there_are_found_as_often_as_the_level_says(
    shape: tuple[int, int, int], share: float, levels: tuple[int, ...]
) -> None:
    random, mains, joints = generator(0, "null", str(shape), share), list[float](), list[float]()
    for _ in range(20):
        exposures = assigned(random, *shape, share=share, levels=levels)
        # Items differ, and some are far out; the second experiment has an effect.
        noise = random.standard_t(5, (200, *shape[1:])) + random.normal(size=(200, 1, shape[2]))
        outcomes = noise + 2 * doses(exposures)[1]
        fit = fitted(outcomes, doses(exposures), groups_of(exposures))
        least = min((exposures[0] > 0).sum(), (exposures[0] == 0).sum())
        p = 2 * student.sf(np.abs(fit.values[:, 0]) / np.sqrt(fit.covariance[:, 0, 0]), least - 1)
        values, covariance, freedoms = interaction_terms(outcomes, exposures, crossed(exposures))
        mains.append(float((p < 0.05).mean()))
        joints.append(float((joint_p(values, covariance, min(freedoms)) < 0.05).mean()))
    # 4,000 repeats: the rate has a standard deviation of 0.0034. Degrees of freedom are on the careful side.
    assert 0.035 < np.mean(mains) < 0.065
    assert 0.02 < np.mean(joints) < 0.065


def test_an_effect_of_the_detectable_size_is_found_as_often_as_said() -> None:
    random, found = generator(0, "power"), list[float]()
    for _ in range(5):
        exposures = assigned(random, 2, 1, 100)
        fit = fitted(random.normal(size=(400, 1, 100)), doses(exposures), groups_of(exposures))
        errors, freedom = (
            np.sqrt(fit.covariance[:, 0, 0]),
            int(min((exposures[0] > 0).sum(), (exposures[0] == 0).sum())) - 1,
        )
        # A true effect moves the estimate and nothing else.
        sizes = Estimate(0.0, float(errors.mean()), freedom).detectable(0.95, 0.8)
        found.append(float((2 * student.sf(np.abs(fit.values[:, 0] + sizes) / errors, freedom) < 0.05).mean()))
    assert 0.75 < np.mean(found) < 0.85


@pytest.mark.parametrize("seeds", [1, 3])
def test_two_groups_give_the_difference_of_their_means_and_its_variance(seeds: int) -> None:
    random = generator(0, "means")
    exposures = assigned(random, 1, seeds, 30)
    outcomes = random.normal(size=(seeds, 30)) + 3 * (exposures[0] > 0)
    (found,) = effects(outcomes, exposures)
    assert level_effects(outcomes, exposures, 0)[4].value == pytest.approx(found.value)
    if seeds == 1:
        treated, control = outcomes[exposures[0] > 0], outcomes[exposures[0] == 0]
        assert found.value == pytest.approx(treated.mean() - control.mean())
        assert found.error**2 == pytest.approx(treated.var(ddof=1) / treated.size + control.var(ddof=1) / control.size)
    # What is common to a seed or, of several, to an item, is no effect.
    moved = outcomes + 5 * np.arange(seeds)[:, None] + (0 if seeds == 1 else 7 * random.normal(size=30))
    (again,) = effects(moved, exposures)
    assert (again.value, again.error) == pytest.approx((found.value, found.error))


def test_items_of_other_experiments_are_no_control() -> None:
    random = generator(0, "groups")
    exposures = np.full((2, 1, 80), NOT_AN_ITEM)
    exposures[0, :, :40], exposures[1, :, 40:] = assigned(random, 1, 40), assigned(random, 1, 40)
    outcomes = random.normal(size=(1, 80))
    apart = effects(outcomes, exposures)
    outcomes[:, 40:] += 100
    assert [one.value for one in effects(outcomes, exposures)] == pytest.approx([one.value for one in apart])
    assert apart[0].value == pytest.approx(effects(outcomes[:, :40], exposures[:1, :, :40])[0].value)
    assert interactions(outcomes, exposures) is None


def test_an_interaction_that_is_there_is_found_and_measured() -> None:
    random = generator(0, "interaction")
    exposures = assigned(random, 3, 1, 300, levels=(1, 8))
    first, second, third = doses(exposures)
    outcomes = first + second + third - 0.8 * first * third + random.normal(scale=0.5, size=(1, 300))
    found = interactions(outcomes, exposures)
    assert found is not None and found.p is not None and found.p < 0.001
    by_pair = dict(zip(found.pairs, found.estimates, strict=True))
    assert by_pair[0, 2].value == pytest.approx(-0.8, abs=3 * by_pair[0, 2].error)
    lower, upper = by_pair[0, 1].interval(0.99)
    assert lower < 0 < upper


def test_groups_without_spread_and_treatments_that_went_together_are_refused() -> None:
    random = generator(0, "refused")
    exposures = assigned(random, 1, 1, 20)
    with pytest.raises(EvidenceError, match="always went together"):
        effects(random.normal(size=(1, 20)), np.concatenate([exposures, exposures]))
    lonely = np.zeros((1, 1, 20), dtype=np.int64)
    lonely[0, 0, 3] = 4
    with pytest.raises(EvidenceError, match="its smallest group has 1 units"):
        effects(random.normal(size=(1, 20)), lonely)
    with pytest.raises(EvidenceError, match="1 of 20 outcomes are no finite numbers"):
        effects(np.where(np.arange(20) == 3, np.nan, 1.0)[None], exposures)


def probed(seed: int, gains: tuple[float, ...], between: float = 0.0, noise: float = 0.1) -> Probed:
    """Return a run with experiments on the same 80 items, whose effects are known, and whose first two get on or not."""
    random, names = generator(seed, "probed"), [f"e{number}" for number in range(len(gains))]
    exposures = assigned(random, len(gains), 1, 80)[:, 0]
    bits = 2.0 + noise * random.normal(size=80) - (np.array(gains)[:, None] * (exposures > 0)).sum(axis=0)
    bits -= between * (exposures[:2] > 0).all(axis=0)
    parts = [
        PlantedPart(
            name=name,
            items=tuple(
                PlantedItem(id=f"{place:02d}", context="", probe="p", exposures=int(times), tokens="1")
                for place, times in enumerate(own)
            ),
        )
        for name, own in zip(names, exposures, strict=True)
    ]
    return Probed(seed, PlantedPlan(seed=seed, experiments=tuple(parts)), bits)


@pytest.mark.parametrize("seeds", [1, 2])
def test_items_without_any_spread_show_no_effect_and_are_not_tested(seeds: int) -> None:
    runs = [probed(seed, (0.0, 0.0), noise=0.0) for seed in range(seeds)]
    told = told_mixture("searched", [replace(run, bits_I=run.bits_I * 0 + 1.1) for run in runs], 0.95, PlantedParams())
    assert [(one.gain, one.adjusted_p, one.found) for one in told.experiments] == [(0.0, 1.0, False)] * 2
    found = told.interactions
    assert found is not None and (found.p, found.quiet) == (None, None)
    assert found.statement == "1 pair of experiments: the items have no spread, so there is no test of interactions"


def test_where_nothing_is_left_to_tell_the_spread_by_no_interval_is_told() -> None:
    exposures_ESI = np.array([[[1, 0, -1, -1], [0, 1, -1, -1]], [[0, 0, 0, 1], [0, 1, 0, 0]]])
    first, other = effects(np.arange(8.0).reshape(2, 4) ** 2, exposures_ESI)
    assert (first.freedom, other.freedom) == (0, 0)
    with pytest.raises(EvidenceError, match=r"nothing is left to tell the spread by\. Give more items or seeds"):
        first.interval(0.95)


def test_what_is_told_claims_what_is_there_and_says_what_else_would_have_been_seen() -> None:
    told = told_mixture("searched", [probed(seed, (0.5, 0.0)) for seed in range(2)], 0.95, PlantedParams())
    there, nothing = told.experiments
    assert there.found and there.lower < 0.5 < there.upper
    assert not nothing.found and nothing.statement.endswith(
        f"no effect shown; {nothing.detectable:.4f} would have been found"
    )
    assert there.over_seeds is not None and there.over_seeds.mean == pytest.approx(np.mean(there.over_seeds.gains))
    assert told.interactions is not None and told.interactions.quiet
    loud = told_mixture("searched", [probed(0, (0.5, 0.2), between=0.4)], 0.95, PlantedParams()).interactions
    assert loud is not None and not loud.quiet and "they change each other's effects" in loud.statement
    assert loud.pairs[0].change == pytest.approx(0.4, abs=0.15)


def effects_of(*runs: Probed) -> PlantedEffects:
    return PlantedEffects(confidence=0.95, power=0.8, mixtures=(told_mixture("searched", runs, 0.95, PlantedParams()),))


def test_an_experiment_that_shows_the_same_alone_depends_on_no_other() -> None:
    together, other = probed(0, (0.5, 0.2)), probed(0, (0.5, 0.2))
    part = replace(other, plan=other.plan.model_copy(update={"experiments": other.plan.experiments[:1]}))
    alone = replace(part, bits_I=part.bits_I + 0.05 * generator(1, "again").normal(size=80))
    found = dependence(effects_of(together), [effects_of(alone)])
    assert "no dependence shown" in found.statement and abs(found.experiments[0].change) < 0.05
    treated = np.array([item.exposures > 0 for item in part.plan.experiments[0].items])
    weaker = replace(alone, bits_I=alone.bits_I + 0.3 * treated)
    found = dependence(effects_of(together), [effects_of(weaker)])
    assert "the others change e0" in found.statement and found.experiments[0].change == pytest.approx(0.3, abs=0.05)
    with pytest.raises(ConfigError, match="do not treat the same items"):
        dependence(effects_of(together), [effects_of(probed(1, (0.5, 0.2)))])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two models, trained on random letters, with two experiments on the same words: one repeats them, one does not."""
    root = tmp_path_factory.mktemp("planted")
    random = generator(0, "letters")
    (root / "tokenize").mkdir()
    (root / "tokenize" / "tokenizer.json").write_text(bpe.train_at_most(["a"], 257), encoding="utf-8")
    codec = bpe.load(root / "tokenize" / "tokenizer.json", bpe.DOCUMENT_END)

    def words(count: int) -> list[str]:
        return ["".join(random.choice([*"abcdefgh"], 12)) for _ in range(count)]

    tokens, _ = bpe.encode(codec, ["a"], [" ".join(words(1500))])
    write_pool(root / "tokenize", {"a": {"train": tokens, "test": tokens[:200]}}, vocab_size=257, document_end=0)
    sign("tokenize", root / "tokenize")
    # Rare letters, of which nearly every pair is of one word: what is learned of a word is of no use to another.
    probes = ["".join(random.choice([chr(code) for code in range(33, 127)], 12)) for _ in range(40)]
    others = words(40)
    for name, texts in (("learned", probes), ("idle", others)):
        records = [{"id": f"{n}", "text": text, "probe": probes[n]} for n, text in enumerate(texts)]
        (root / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")
    recipe = hand_written(root / "mine.json", {"tokens": STEPS * 8 * LENGTH, "weights": [1.0]}, "a")
    planted = [
        {"name": "learned", "file": str(root / "learned.jsonl"), "exposures": [2, 12]},
        {"name": "idle", "file": str(root / "idle.jsonl"), "exposures": [4]},
    ]
    training = small_training(
        hidden_size=48,
        intermediate_size=96,
        sequence_length=LENGTH,
        sequences_per_step=8,
        num_tokens=STEPS * 8 * LENGTH,
    )
    params = TrainParams.model_validate({"training": training, "num_seeds": 1, "planted": planted})
    place = Workshop(InProcess(), FolderStore(root / "store"), Listener())
    train(params, inputs={"tokenize": root / "tokenize", "recipe": recipe}, output=root / "train", workshop=place)
    return {"train": root / "train", "tokenize": root / "tokenize"}


def test_a_planted_effect_is_recovered_with_its_dose_and_the_interaction_test_stays_quiet(
    made: dict[str, Path], tmp_path: Path
) -> None:
    place = Workshop(InProcess(), FolderStore(tmp_path / "store"), Listener())
    found = effects_in(made["train"], made["tokenize"], PlantedParams(), 0.95, place)
    (mixture,) = found.mixtures
    learned, idle = mixture.experiments
    assert learned.found and learned.lower > 0
    few, many = learned.levels
    assert many.gain > few.gain and many.lower > few.lower > 0
    assert not idle.found and idle.lower < 0 < idle.upper
    assert mixture.interactions is not None and mixture.interactions.quiet
    told = "\n".join(lines(found))
    assert learned.statement in told and "no interaction shown between 1 pair of experiments" in told
    assert f"{mixture.mixture}, {len(mixture.seeds)} seed" in told and "(s)" not in told


def test_runs_without_planted_experiments_and_models_of_others_are_refused(
    made: dict[str, Path], tmp_path: Path
) -> None:
    place = Workshop(InProcess(), FolderStore(tmp_path / "store"), Listener())
    with pytest.raises(ConfigError, match=r"nothing was planted into these runs"):
        planted_effects(place, PlantedParams(), [trained_run("natural", 0)], {}, {}, 0.95)
    params = EvaluateParams.model_validate({"planted": {}, "samples": None})
    with pytest.raises(ConfigError, match=r"evaluate\.planted: nobody knows which documents a model of others saw"):
        evaluate(params, inputs={"model": made["train"]}, output=tmp_path / "out", workshop=place)
