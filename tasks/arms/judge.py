"""What the scores of arms say: a claim by the primary score, the others adjusted for how many they are.

Axes: K scores, S seeds.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import ttest_ind

from tasks.arms.published import Adjustment, ArmComparison, ArmRun, SecondaryScore
from tasks.core.errors import EvidenceError
from tasks.core.words import counted, percent, signed
from tasks.evaluation.compare import MIN_SEEDS, paired_interval, unpaired_interval
from tasks.evaluation.families import (
    MIN_SEEDS_OF_FLIPS,
    benjamini_hochberg,
    detectable_effect,
    holm,
    p_values,
    westfall_young,
)
from tasks.evaluation.published import Interval
from tasks.evaluation.tasks.item import Direction

Array = npt.NDArray[np.float64]


def judged(
    runs: Sequence[ArmRun], directions: Mapping[str, Direction], *, baseline: str, primary: str, confidence: float
) -> tuple[tuple[ArmComparison, ...], Adjustment]:
    """Return every arm against the baseline, in the order of the runs, and how secondary scores were adjusted.

    Raises:
        EvidenceError: an arm's seeds are not the baseline's, or the seeds of one gave the same result.
    """
    names = list(dict.fromkeys(run.arm for run in runs))
    by_arm = {name: sorted((run for run in runs if run.arm == name), key=lambda run: run.seed) for name in names}
    for name, own in by_arm.items():
        _require_pairs(name, own, by_arm[baseline])
    others = [name for name in names if name != baseline]
    pairs = {name: _Pairs(by_arm[name], by_arm[baseline]) for name in others}
    adjusted = dict(zip(others, holm(np.array([pairs[name].p(primary, directions) for name in others])), strict=True))
    scores = [score for score in directions if score != primary]
    number = len(by_arm[baseline])
    unpaired = any(pairs[name].differing for name in others)
    flips = number >= MIN_SEEDS_OF_FLIPS and not unpaired
    secondary = _secondary(pairs, scores, directions, flips=flips) if scores and number >= MIN_SEEDS else {}
    return tuple(
        _comparison(
            name, baseline, pairs[name], primary, directions, confidence, adjusted[name], secondary.get(name, {})
        )
        for name in others
    ), "westfall_young" if flips else "holm"


class _Pairs:
    """The runs of an arm and of the baseline, in the order of their seeds."""

    def __init__(self, arm: Sequence[ArmRun], baseline: Sequence[ArmRun]) -> None:
        self.arm, self.baseline = arm, baseline
        places = [[(run.device, run.instruction_set) for run in runs] for runs in (arm, baseline)]
        # Runs that round differently have nothing in common that would cancel.
        self.differing = sum(one != other for one, other in zip(*places, strict=True))
        self.same = [run.scores for run in arm] == [run.scores for run in baseline]

    def values(self, score: str, directions: Mapping[str, Direction]) -> tuple[Array, Array]:
        """Return arm and baseline, shape [S] each, turned so that less is better."""
        sign = 1 if directions[score] == "lower" else -1
        arm, baseline = ([sign * run.scores[score] for run in runs] for runs in (self.arm, self.baseline))
        return np.array(arm), np.array(baseline)

    def gains(self, score: str, directions: Mapping[str, Direction]) -> Array:
        arm_S, baseline_S = self.values(score, directions)
        return np.asarray(baseline_S - arm_S)

    def p(self, score: str, directions: Mapping[str, Direction]) -> float:
        """Return the p-value of the mean gain; 1 where there are too few seeds for one."""
        if len(self.arm) < MIN_SEEDS:
            return 1.0
        if not self.differing:
            return float(p_values(self.gains(score, directions)[None])[0])
        arm_S, baseline_S = self.values(score, directions)
        return float(ttest_ind(arm_S, baseline_S, equal_var=False).pvalue)

    def interval(self, score: str, directions: Mapping[str, Direction], confidence: float) -> Interval:
        arm_S, baseline_S = self.values(score, directions)
        if len(arm_S) < MIN_SEEDS or self.same:
            return Interval(gain=float((baseline_S - arm_S).mean()))
        if self.differing:
            return unpaired_interval(arm_S, baseline_S, confidence)
        return paired_interval(baseline_S - arm_S, confidence)


def _secondary(
    pairs: Mapping[str, _Pairs], scores: Sequence[str], directions: Mapping[str, Direction], *, flips: bool
) -> dict[str, dict[str, SecondaryScore]]:
    """Return the secondary scores of every arm; all of them together are one family."""
    keys = [(name, score) for name in pairs for score in scores]
    gains_KS = np.array([pairs[name].gains(score, directions) for name, score in keys])
    p_K = np.array([pairs[name].p(score, directions) for name, score in keys])
    adjusted_K = westfall_young(gains_KS) if flips else holm(p_K)
    found: dict[str, dict[str, SecondaryScore]] = {}
    for (name, score), gains_S, *told in zip(keys, gains_KS, p_K, adjusted_K, benjamini_hochberg(p_K), strict=True):
        p, adjusted, screening = map(float, told)
        one = SecondaryScore(gain=float(gains_S.mean()), p=p, adjusted=adjusted, screening=screening)
        found.setdefault(name, {})[score] = one
    return found


def _comparison(
    name: str,
    baseline: str,
    pairs: _Pairs,
    primary: str,
    directions: Mapping[str, Direction],
    confidence: float,
    adjusted: float,
    secondary: Mapping[str, SecondaryScore],
) -> ArmComparison:
    interval, gains_S = pairs.interval(primary, directions, confidence), pairs.gains(primary, directions)
    number = len(gains_S)
    enough = number >= MIN_SEEDS and not pairs.same
    spread = float(gains_S.std(ddof=1))
    detectable = detectable_effect(spread, number, confidence=confidence) if enough and not pairs.differing else None
    claim = interval.above_zero and adjusted < 1 - confidence
    return ArmComparison(
        **interval.model_dump(),
        arm=name,
        claim=claim,
        test="unpaired" if pairs.differing else "paired",
        adjusted=adjusted if enough else None,
        detectable=detectable,
        differences=tuple(gains_S.tolist()),
        statement=_same(name, baseline)
        if pairs.same
        else _statement(name, baseline, primary, interval, number, confidence, adjusted, detectable),
        secondary=secondary,
    )


def _same(name: str, baseline: str) -> str:
    return f"No claim: every run of {name} gave what {baseline}'s gave, so nothing was compared. Make the arms differ."


def _statement(
    name: str,
    baseline: str,
    primary: str,
    interval: Interval,
    seeds: int,
    confidence: float,
    adjusted: float,
    detectable: float | None,
) -> str:
    if interval.lower is None or interval.upper is None:
        return (
            f"No claim: {counted(seeds, 'seed')} are too few for one; {MIN_SEEDS} are needed (num_seeds). Measured gain of "
            f"{name} over {baseline}: {signed(interval.gain)} in {primary}."
        )
    ends = (
        f"{percent(confidence)} interval {signed(interval.lower)} to {signed(interval.upper)}, {counted(seeds, 'seed')}"
    )
    if interval.above_zero and adjusted < 1 - confidence:
        return f"Claim: {name} beats {baseline} in {primary} by {signed(interval.gain).removeprefix('+')} ({ends})."
    if interval.below_zero and adjusted < 1 - confidence:
        loss = signed(-interval.gain).removeprefix("+")
        return f"No gain: {name} is worse than {baseline} in {primary} by {loss} ({ends})."
    why = (
        ""
        if detectable is None
        else f" A gain of {detectable:.4f} would have been found in four of five such comparisons."
    )
    return f"No difference shown between {name} and {baseline} in {primary}: {signed(interval.gain)} ({ends}).{why}"


def _require_pairs(name: str, own: Sequence[ArmRun], baseline: Sequence[ArmRun]) -> None:
    if [run.seed for run in own] != [run.seed for run in baseline]:
        raise EvidenceError(
            f"{name}: its seeds are not the baseline's, so that nothing is paired. Run every arm with them."
        )
    if len({tuple(run.scores.values()) for run in own}) < len(own):
        raise EvidenceError(
            f"{name}: {len(own)} seeds gave fewer different results; copies are no evidence. Run seeds that differ."
        )
