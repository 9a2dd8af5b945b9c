"""What scores of arms say: claims only by the primary score, only with seeds enough, adjusted for the number of arms."""

from collections.abc import Sequence

import numpy as np
import pytest

from tasks.arms.judge import judged
from tasks.arms.published import ArmComparison, ArmRun
from tasks.core.errors import EvidenceError
from tasks.evaluation.tasks.item import Direction

DIRECTIONS: dict[str, Direction] = {"bits_per_byte": "lower", "task.accuracy": "higher"}


def arm(name: str, bpb: Sequence[float], accuracy: Sequence[float] | None = None, sets: str = "AVX2") -> list[ArmRun]:
    noise = accuracy or [0.5 + 0.01 * index for index in range(len(bpb))]
    return [
        ArmRun(
            arm=name,
            seed=seed,
            tokens=1,
            flops=1,
            device="cpu",
            instruction_set=sets,
            scores={"bits_per_byte": value, "task.accuracy": right},
        )
        for seed, (value, right) in enumerate(zip(bpb, noise, strict=True))
    ]


def judge(*arms: list[ArmRun], primary: str = "bits_per_byte") -> tuple[ArmComparison, ...]:
    runs = [run for one in arms for run in one]
    return judged(runs, DIRECTIONS, baseline="natural", primary=primary, confidence=0.95)[0]


NATURAL = arm("natural", [2.0, 2.1, 2.2, 2.05, 2.15])


def test_a_gain_that_all_seeds_show_is_a_claim_and_a_loss_is_none() -> None:
    better, worse = judge(
        NATURAL, arm("better", [1.9, 2.01, 2.1, 1.94, 2.06]), arm("worse", [2.1, 2.21, 2.3, 2.14, 2.26])
    )
    assert better.claim and better.gain == pytest.approx(0.098) and better.test == "paired"
    assert better.statement.startswith("Claim: better beats natural in bits_per_byte by 0.0980")
    assert not worse.claim and worse.statement.startswith("No gain: worse is worse than natural in bits_per_byte by 0.")


def test_a_score_of_which_more_is_better_is_turned() -> None:
    right = [0.6, 0.61, 0.62, 0.63, 0.641]
    (found,) = judge(NATURAL, arm("right", [2.0, 2.11, 2.2, 2.04, 2.16], right), primary="task.accuracy")
    assert found.claim and found.gain == pytest.approx(0.1, abs=0.001)
    assert set(found.secondary) == {"bits_per_byte"}


def test_no_difference_shown_says_what_could_have_been_found() -> None:
    (found,) = judge(NATURAL, arm("same", [2.1, 2.0, 2.3, 1.95, 2.14]))
    assert not found.claim and found.statement.startswith("No difference shown between same and natural")
    assert found.detectable is not None and f"A gain of {found.detectable:.4f} would have been found" in found.statement


def test_many_arms_make_a_claim_harder() -> None:
    close = [1.97, 2.02, 2.19, 2.03, 2.09]
    (alone,) = judge(NATURAL, arm("close", close))
    others = [arm(f"noise{n}", [2.0 + 0.05 * np.sin(7 * n + s) for s in range(5)]) for n in range(8)]
    among = judge(NATURAL, arm("close", close), *others)[0]
    assert alone.claim and not among.claim
    assert among.adjusted is not None and alone.adjusted is not None and among.adjusted > alone.adjusted


def test_two_seeds_give_no_interval_and_no_claim() -> None:
    (found,) = judge(NATURAL[:2], arm("few", [1.0, 1.1]))
    assert not found.claim and found.lower is None and found.adjusted is None and found.secondary == {}
    assert "2 seeds are too few for one; 3 are needed (num_seeds)" in found.statement


def test_runs_that_round_differently_are_not_paired() -> None:
    (found,) = judge(NATURAL, arm("moved", [1.9, 2.01, 2.1, 1.94, 2.06], sets="AVX512"))
    assert found.test == "unpaired" and found.detectable is None
    assert not found.claim


def test_secondary_scores_are_one_family_by_flips_where_seeds_suffice() -> None:
    eight = [2.0, 2.1, 2.2, 2.05, 2.15, 2.01, 2.07, 2.11]
    runs = [*arm("natural", eight), *arm("a", [value - 0.1 + 0.001 * n for n, value in enumerate(eight)])]
    _, adjustment = judged(runs, DIRECTIONS, baseline="natural", primary="task.accuracy", confidence=0.95)
    assert adjustment == "westfall_young"
    _, adjustment = judged(
        [run for run in runs if run.seed < 5], DIRECTIONS, baseline="natural", primary="task.accuracy", confidence=0.95
    )
    assert adjustment == "holm"


def test_an_arm_that_gave_the_baseline_s_results_was_compared_with_nothing() -> None:
    (found,) = judge(NATURAL, arm("twin", [2.0, 2.1, 2.2, 2.05, 2.15]))
    assert found.ends is None and found.detectable is None and found.adjusted is None and not found.claim
    assert "every run of twin gave what natural's gave" in found.statement


def test_copies_and_other_seeds_are_no_evidence() -> None:
    with pytest.raises(EvidenceError, match="its seeds are not the baseline's"):
        judge(NATURAL, arm("a", [1.0, 1.1, 1.2]))
    with pytest.raises(EvidenceError, match="5 seeds gave fewer different results"):
        judge(NATURAL, arm("a", [1.0] * 5, [0.5] * 5))
