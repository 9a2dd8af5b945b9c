"""Min-K% and Min-K%++ tell what a model was trained on from what it was not, where it is known to have memorised it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infra.storage import FolderStore
from tasks.core.errors import AccountError, ConfigError
from tasks.core.manifest import Manifest
from tasks.core.rng import generator
from tasks.evaluation.config import EvaluateParams
from tasks.evaluation.consumed import exposures
from tasks.evaluation.memorisation import Area, area, interval, lowest_mean, matched, mean_area, standardised
from tasks.evaluation.published_seen import Memorisation
from tasks.evaluation.stage import run
from tasks.runtime.context import Workshop
from tasks.tokenize.pool import TokenPool, write_pool
from tasks.tokenize.published import TOKENIZER_FILE
from tasks.training.export import write_model
from tasks.training.model import initial_model
from tasks.training.params import TrainParams
from tasks.training.published import Consumed, TrainedPhase, TrainedRun, TrainedRuns
from tasks.training.run import train
from tasks.training.types import Phase, RunSpec
from tests.evaluation.made import forecast, recipe
from tests.evaluation.test_stage import publish
from tests.in_process import InProcess
from tests.mixture.test_stage import Listener
from tests.training.conftest import small_training
from tests.training.made import trained_run

DOMAINS, VOCABULARY = ("d0", "d1"), 16
# The first domain is small, so that what is drawn of it is the same 60 documents again and again.
WEIGHTS, SAMPLES, TOKENS = (0.6, 0.4), (600, 400), 1000 * 64


def test_min_k_is_the_mean_of_the_lowest_log_probabilities_at_least_one() -> None:
    log_p = np.array([-0.1, -3.0, -0.2, -1.0, -0.3, -0.4, -2.0, -0.5, -0.6, -0.7])
    assert lowest_mean(log_p, 10) == -3.0
    assert lowest_mean(log_p, 29) == pytest.approx(-2.5)
    assert lowest_mean(log_p[:3], 10) == -3.0
    assert lowest_mean(log_p, 100) == pytest.approx(log_p.mean())


def test_min_k_plus_plus_counts_from_what_the_prediction_expects_and_is_0_where_it_is_certain() -> None:
    found = standardised(np.array([-2.0, -2.0, 0.0]), np.array([-1.0, -3.0, 0.0]), np.array([0.5, 2.0, 0.0]))
    assert found.tolist() == [-2.0, 0.5, 0.0]


def test_the_area_is_the_share_of_pairs_in_order_and_its_variance_is_delongs() -> None:
    # Of the 9 pairs 6 are in order and one is equal. Shares of others below members: 1, 5/6, 1/3; above: 1/3, 1/2, 0.
    found = area(np.array([4.0, 3.0, 1.5]), np.array([3.0, 2.0, 1.0]))
    above, below = np.array([1, 5 / 6, 1 / 3]), np.array([1 / 2, 2 / 3, 1])
    assert found.value == pytest.approx(6.5 / 9)
    assert found.variance == pytest.approx(np.var(above, ddof=1) / 3 + np.var(below, ddof=1) / 3)


def test_nothing_is_compared_across_groups() -> None:
    # Within each group the score knows nothing; of both together it would, for the groups differ.
    found = mean_area([Area(0.5, 0.01, 30), Area(0.8, 0.04, 10)])
    assert found.value == pytest.approx(0.575)
    assert found.variance == pytest.approx((0.01 * 900 + 0.04 * 100) / 1600)
    assert found.pairs == 40


def test_an_area_without_a_pair_out_of_order_is_not_told_as_certain() -> None:
    apart = area(np.arange(10.0) + 10, np.arange(10.0))
    assert apart.value == 1
    lower, upper = interval(apart, 0.95)
    assert (lower, upper) == (pytest.approx(0.025**0.1), 1.0)
    assert interval(area(np.arange(10.0), np.arange(10.0) + 10), 0.95) == (0.0, pytest.approx(1 - 0.025**0.1))
    assert interval(area(np.ones(10), np.ones(10)), 0.95) == (0.0, 1.0)


def test_intervals_of_areas_hold_as_often_as_they_say() -> None:
    random, held = generator(0, "coverage"), 0
    for _ in range(500):
        # P(N(1, 1) > N(0, 1)) = 0.7602
        lower, upper = interval(area(random.normal(1, 1, 40), random.normal(0, 1, 40)), 0.95)
        held += lower < 0.7602 < upper
    assert 0.925 < held / 500 < 0.975


def test_pairs_have_about_one_length_and_what_has_no_partner_is_left_out() -> None:
    random = generator(0, "lengths")
    members, others = random.integers(30, 400, 300), np.append(random.integers(100, 800, 100), [5000])
    first, second = matched(members, others, 1000, random)
    assert len({*first.tolist()}) == len({*second.tolist()}) == len(first) > 40
    ratios = members[first] / others[second]
    assert ratios.max() < 1.1 and ratios.min() > 1 / 1.1
    assert len(matched(members, others, 7, random)[0]) == 7


def documents(name: str, number: int) -> np.ndarray:
    """Return documents of 24 to 47 random tokens: nothing in them but themselves can be learned."""
    random = generator(0, "memorised", name)
    sizes = random.integers(24, 48, number)
    return np.concatenate([np.append(random.integers(1, VOCABULARY, size), 0) for size in sizes])


def make_run(root: Path) -> tuple[dict[str, Path], TokenPool, RunSpec]:
    """Train a small model on a slice that is repeated and on one that is seen once, as far as it is seen."""
    numbers = {"d0": 60, "d1": 1500}
    splits = {
        name: {
            "train": documents(f"{name} train", number),
            "search": documents("search", 3),
            "test": documents(name, 60),
        }
        for name, number in numbers.items()
    }
    pool = write_pool(root / "tokenize", splits, vocab_size=VOCABULARY, document_end=0)
    (root / "tokenize" / TOKENIZER_FILE).write_text("{}")
    training = small_training(
        hidden_size=64, intermediate_size=128, sequence_length=64, sequences_per_step=8, num_tokens=TOKENS
    )
    spec = RunSpec("searched-seed0", (Phase(TOKENS, WEIGHTS),), 0, training)
    # Beside it a model that never was trained, though it is said to have seen the same.
    models = {"searched": train(spec, pool).model, "natural": initial_model(training.model, VOCABULARY, 0)}
    runs = list[TrainedRun]()
    for mixture, model in models.items():
        described = trained_run(
            mixture,
            0,
            DOMAINS,
            tokens=TOKENS,
            phases=(TrainedPhase(tokens=TOKENS, weights=WEIGHTS),),
            consumed={
                name: Consumed(samples=number, tokens=64 * number, epochs=1.0)
                for name, number in zip(DOMAINS, SAMPLES, strict=True)
            },
        )
        (root / "train" / described.folder).mkdir(parents=True)
        write_model(model, 0, root / "train" / described.folder)
        runs.append(described)
    TrainedRuns(runs=tuple(runs)).write(root / "train")
    (root / "search").mkdir()
    recipe(WEIGHTS, (0.2, 0.8), tokens=TOKENS).write(root / "search")
    forecast(0.1, 0.05, 0.15, per_domain={}).write(root / "search")
    inputs = {name: publish(root / name, name) for name in ("tokenize", "search", "train")}
    manifest = Manifest.read(root / "train")
    params = TrainParams(training=training, mixtures=("searched", "natural"), num_seeds=1).model_dump(mode="json")
    (root / "train" / "manifest.json").unlink()
    Manifest("train", {}, params, "test", manifest.files).write(root / "train")
    return inputs, pool, spec


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Path], TokenPool, RunSpec]:
    return make_run(tmp_path_factory.mktemp("memorised"))


def evaluated(root: Path, inputs: dict[str, Path], executor: InProcess, **changes: Any) -> Manifest:
    params = EvaluateParams.model_validate({"samples": None, "memorisation": {"min_tokens": 20}} | changes)
    workshop = Workshop(executor, FolderStore(root / "store"), Listener())
    return run(params, inputs=inputs, output=root / "evaluate", workshop=workshop)


def test_a_slice_that_was_repeated_is_known_and_one_that_was_seen_once_is_not(
    made: tuple[dict[str, Path], TokenPool, RunSpec], tmp_path: Path
) -> None:
    inputs, _, _ = made
    evaluated(tmp_path, inputs, InProcess())
    model, untrained = Memorisation.read(tmp_path / "evaluate").models
    repeated, once = model.domains["d0"], model.domains["d1"]
    assert repeated.exposure is not None and repeated.exposure > 10
    assert once.exposure == 1
    for k in (10, 20, 30):
        for score in (f"min_k_{k}", f"min_k_plus_plus_{k}"):
            assert repeated.auroc[score].lower > 0.5, score
            assert once.auroc[score].lower < 0.5 < once.auroc[score].upper, score
            assert untrained.domains["d0"].auroc[score].lower < 0.5 < untrained.domains["d0"].auroc[score].upper, score
            assert repeated.auroc[score].value > model.within_domains[score].value > once.auroc[score].value
    # Intervals are decided over the scores that are kept: no document is scored again.
    executor = InProcess()
    evaluated(tmp_path, inputs, executor, confidence=0.9)
    assert executor.done == []


def test_who_saw_what_is_checked_against_the_ledger(made: tuple[dict[str, Path], TokenPool, RunSpec]) -> None:
    _, pool, spec = made
    seen = exposures(spec, pool, SAMPLES)
    # The very first token of a domain and what stands behind its last whole row are never trained on.
    assert (seen[0] > 10).sum() >= 57
    assert 0 < (seen[1] == 1).sum() < (seen[1] < 1).sum()
    with pytest.raises(AccountError, match=r"its plan draws \[600, 400\] samples .* its ledger counts \[601, 399\]"):
        exposures(spec, pool, [601, 399])


def test_of_a_model_of_others_nobody_knows_what_it_saw(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    with pytest.raises(ConfigError, match=r"evaluate\.memorisation: nobody knows which documents"):
        evaluated(tmp_path, {"model": tmp_path / "m"}, InProcess())
