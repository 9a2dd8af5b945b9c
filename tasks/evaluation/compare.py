"""Is a difference real? Paired differences over seeds, a t interval, and a claim only where it excludes zero.

Models with the same seed share initialisation and document order, so that what they have in common cancels in the
difference. Fewer than three pairs are told as they came out, without an interval and without a claim.
Axes: S seeds, D domains.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from tasks.core.errors import EvidenceError
from tasks.core.words import counted, percent, signed

Array = npt.NDArray[np.float64]

# With two seeds a 95 % interval is 13 standard errors wide: that is no measurement. With one there is none at all.
MIN_SEEDS = 3
SEARCHED, NATURAL = "searched", "natural"


@dataclass(frozen=True)
class Measured:
    """One model's bits per byte on every domain of the test split."""

    mixture: str
    seed: int
    bpb: tuple[float, ...]


@dataclass(frozen=True)
class Interval:
    """A mean difference and its confidence interval; None where too few pairs were measured for one."""

    gain: float
    lower: float | None = None
    upper: float | None = None

    @property
    def above_zero(self) -> bool:
        """Whether there is an interval and all of it is a gain."""
        return self.lower is not None and self.lower > 0

    @property
    def below_zero(self) -> bool:
        """Whether there is an interval and all of it is a loss."""
        return self.upper is not None and self.upper < 0


@dataclass(frozen=True)
class Comparison:
    """The searched mixture against one baseline; gains are baseline - searched, so more is better."""

    baseline: str
    claim: bool
    overall: Interval
    differences: tuple[float, ...]
    seeds: tuple[int, ...]
    per_domain: tuple[Interval, ...]
    statement: str

    def to_json(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the comparison as it stands in `decision.json`."""
        return {
            "verdict": verdict(self.claim),
            "claim": self.claim,
            "statement": self.statement,
            **vars(self.overall),
            "differences": list(self.differences),
            "seeds": list(self.seeds),
            "per_domain": {name: vars(part) for name, part in zip(names, self.per_domain, strict=True)},
        }


def verdict(claim: bool) -> str:
    """Return the verdict in words: "claim" or "no claim"."""
    return "claim" if claim else "no claim"


def compare(
    models: Sequence[Measured], baseline: str, objective_D: Array, *, confidence: float, same_weights: bool = False
) -> Comparison:
    """Compare the searched mixture with a baseline, seed by seed.

    `objective_D` are the domains' shares of the mean; `same_weights` says that the search kept the baseline's weights.

    With fewer than 3 pairs there is no interval, so no claim. A mixture that is the baseline itself was compared with
    nothing: it has no interval either.

    Raises:
        EvidenceError: no pair at all, seeds that have no partner, or results that are no measurements.
    """
    seeds, searched_SD, baseline_SD = _pairs(models, baseline)
    gains_SD = baseline_SD - searched_SD
    differences_S = gains_SD @ objective_D
    _require_finite(differences_S)
    told = _mean if same_weights or len(seeds) < MIN_SEEDS else partial(paired_interval, confidence=confidence)
    overall = told(differences_S)
    return Comparison(
        baseline=baseline,
        claim=overall.above_zero,
        overall=overall,
        differences=tuple(differences_S.tolist()),
        seeds=seeds,
        per_domain=tuple(told(column_S) for column_S in gains_SD.T),
        statement=_statement(baseline, overall, len(seeds), confidence, same_weights),
    )


def paired_interval(differences_S: Array, confidence: float) -> Interval:
    """Return mean and t interval of paired differences: mean -+ t(S - 1) sd / sqrt(S).

    >>> interval = paired_interval(np.array([1.0, 2.0, 3.0]), 0.95)
    >>> round(interval.lower, 3), round(interval.upper, 3)
    (-0.484, 4.484)

    Raises:
        EvidenceError: fewer than 3 differences, or one that is no finite number.
    """
    number = len(differences_S)
    if number < MIN_SEEDS:
        raise EvidenceError(
            f"{counted(number, 'paired seed')} cannot tell a difference from noise; {MIN_SEEDS} are needed. "
            "Raise train.num_seeds."
        )
    _require_finite(differences_S)
    mean, spread = float(differences_S.mean()), float(differences_S.std(ddof=1))
    half_width = float(student.ppf(0.5 + confidence / 2, number - 1)) * spread / number**0.5
    return Interval(mean, mean - half_width, mean + half_width)


def headline(comparisons: Mapping[str, Comparison]) -> tuple[bool, str]:
    """Return whether the search may claim to beat natural, and one sentence about every baseline.

    Natural is what one gets without a search, so it decides; the other baselines are told beside it.
    """
    first = comparisons[NATURAL] if NATURAL in comparisons else next(iter(comparisons.values()))
    others = [comparison.statement for comparison in comparisons.values() if comparison is not first]
    return first.claim, " ".join([first.statement, *others])


def _pairs(models: Sequence[Measured], baseline: str) -> tuple[tuple[int, ...], Array, Array]:
    by_mixture: dict[str, dict[int, tuple[float, ...]]] = {SEARCHED: {}, baseline: {}}
    for model in models:
        if model.mixture in by_mixture:
            by_mixture[model.mixture][model.seed] = model.bpb
    searched, other = by_mixture[SEARCHED], by_mixture[baseline]
    if unpaired := sorted({*searched} ^ {*other}):
        raise EvidenceError(
            f"{len(unpaired)} seeds of {SEARCHED} and {baseline} have no partner; first: seed {unpaired[0]}. Train "
            "every mixture with the same seeds."
        )
    seeds = tuple(sorted(searched))
    if not seeds:
        raise EvidenceError(
            f"there is no model of {SEARCHED} and none of {baseline}, so nothing to compare. Train both."
        )
    for mixture, results in by_mixture.items():
        if len({*results.values()}) < len(seeds):
            raise EvidenceError(
                f"{mixture}: {len(seeds)} seeds gave {len({*results.values()})} different result(s); copies of one run "
                "are no evidence. Train with seeds that differ."
            )
    return seeds, np.array([searched[seed] for seed in seeds]), np.array([other[seed] for seed in seeds])


def _mean(differences_S: Array) -> Interval:
    return Interval(float(differences_S.mean()))


def _require_finite(differences_S: Array) -> None:
    lost = int((~np.isfinite(differences_S)).sum())
    if lost:
        raise EvidenceError(
            f"{lost} of {len(differences_S)} differences are no finite numbers. Measure those models again."
        )


def _statement(baseline: str, overall: Interval, seeds: int, confidence: float, same_weights: bool) -> str:
    if same_weights:
        return f"No claim: the search kept {baseline}."
    if overall.lower is None or overall.upper is None:
        return (
            f"No claim: {counted(seeds, 'seed')} {'is' if seeds == 1 else 'are'} too few for one over {baseline}; "
            f"{MIN_SEEDS} needed (train.num_seeds). Measured gain {signed(overall.gain)} bits per byte."
        )
    interval = f"{percent(confidence)} interval {signed(overall.lower)} to {signed(overall.upper)}"
    told = f"{interval}, {counted(seeds, 'paired seed')}"
    if overall.above_zero:
        gain = signed(overall.gain).removeprefix("+")
        return f"Claim: the searched mixture beats {baseline} by {gain} bits per byte ({told})."
    if overall.below_zero:
        loss = signed(-overall.gain).removeprefix("+")
        return f"No claim: {baseline} beats the searched mixture by {loss} bits per byte ({told})."
    return f"No claim: the gain over {baseline} of {signed(overall.gain)} bits per byte may be chance ({told})."
