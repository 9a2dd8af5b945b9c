"""Is a difference real? Paired differences over seeds, a t interval, and a claim only where it excludes zero.

Models with the same seed share initialisation and document order, so that what they have in common cancels in the
difference. That holds while they round alike: where the two runs of a seed were trained on different devices or
instruction sets, the two groups of runs are compared by Welch's test instead. Fewer than three pairs are told as they
came out, without an interval and without a claim.
Axes: S seeds, D domains.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from tasks.core.errors import EvidenceError
from tasks.core.words import counted, percent, signed
from tasks.evaluation.published import Comparison, Interval, MeasuredModel
from tasks.mixture.published import BaselineName
from tasks.mixture.runs import IN_WORDS, LossUnit

Array = npt.NDArray[np.float64]

# With two seeds a 95 % interval is 13 standard errors wide: that is no measurement. With one there is none at all.
MIN_SEEDS = 3
SEARCHED: Literal["searched"] = "searched"
NATURAL: Literal["natural"] = "natural"


@dataclass(frozen=True)
class _Pairs:
    """The searched models and a baseline's, in the order of their seeds."""

    searched: tuple[MeasuredModel, ...]
    baseline: tuple[MeasuredModel, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(model.seed for model in self.searched)

    def differing(self) -> list[tuple[str, str]]:
        """Return where the two runs of a seed were trained, for those that were trained on different machines."""
        places = [tuple(f"{model.device} {model.instruction_set}" for model in pair) for pair in self._pairs()]
        return [(ours, theirs) for ours, theirs in places if ours != theirs]

    def means(self) -> tuple[Array, Array]:
        """Return the objective of the searched models and of the baseline's, shape [S] each."""
        return _array(model.mean for model in self.searched), _array(model.mean for model in self.baseline)

    def domain(self, name: str) -> tuple[Array, Array]:
        """Return bits per byte on a domain, as `means` does."""
        return _array(model.bpb[name] for model in self.searched), _array(model.bpb[name] for model in self.baseline)

    def task(self, name: str) -> tuple[Array, Array]:
        """Return a score of a task, as `means` does."""
        groups = (self.searched, self.baseline)
        searched_S, baseline_S = (_array(model.task_losses[name] for model in group) for group in groups)
        return searched_S, baseline_S

    def _pairs(self) -> Iterable[tuple[MeasuredModel, MeasuredModel]]:
        return zip(self.searched, self.baseline, strict=True)


def compare(
    models: Sequence[MeasuredModel],
    baseline: BaselineName,
    *,
    confidence: float,
    same_weights: bool = False,
    unit: LossUnit = "bits per byte",
) -> Comparison:
    """Compare the searched mixture with a baseline, seed by seed; `same_weights`: the search kept the baseline's.

    `unit` is that of the objective.

    With fewer than 3 pairs there is no interval, so no claim. A mixture that is the baseline itself was compared with
    nothing: it has no interval either.

    Raises:
        EvidenceError: no pair at all, seeds that have no partner, or results that are no measurements.
    """
    pairs = _pairs(models, baseline)
    differing = pairs.differing()

    def interval(searched_S: Array, baseline_S: Array) -> Interval:
        if same_weights or len(searched_S) < MIN_SEEDS:
            return Interval(gain=float((baseline_S - searched_S).mean()))
        if differing:
            return unpaired_interval(searched_S, baseline_S, confidence)
        return paired_interval(baseline_S - searched_S, confidence)

    searched_S, baseline_S = pairs.means()
    overall = interval(searched_S, baseline_S)
    return Comparison(
        **overall.model_dump(),
        baseline=baseline,
        claim=overall.above_zero,
        test="unpaired" if differing else "paired",
        statement=_no_claim(baseline, overall, pairs, same_weights, IN_WORDS[unit])
        or _statement(baseline, overall, _evidence(overall, len(pairs.seeds), confidence, differing), IN_WORDS[unit]),
        differences=tuple((baseline_S - searched_S).tolist()),
        seeds=pairs.seeds,
        per_domain={name: interval(*pairs.domain(name)) for name in pairs.searched[0].bpb},
        per_task={name: interval(*pairs.task(name)) for name in pairs.searched[0].task_losses},
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
    return Interval(gain=mean, lower=mean - half_width, upper=mean + half_width)


def unpaired_interval(searched_S: Array, baseline_S: Array, confidence: float) -> Interval:
    """Return the difference of two means and its interval by Welch's test: runs of different variance, not paired.

    The degrees of freedom are those of Welch and Satterthwaite.

    Raises:
        EvidenceError: a group has fewer than 3 results.
    """
    number = min(len(searched_S), len(baseline_S))
    if number < MIN_SEEDS:
        raise EvidenceError(
            f"{counted(number, 'seed')} cannot tell a difference from noise; {MIN_SEEDS} are needed. Raise train.num_seeds."
        )
    gain = float(baseline_S.mean() - searched_S.mean())
    squares = [float(values_S.var(ddof=1)) / len(values_S) for values_S in (searched_S, baseline_S)]
    if not sum(squares):
        return Interval(gain=gain, lower=gain, upper=gain)
    parts = [
        square**2 / (len(values_S) - 1) for square, values_S in zip(squares, (searched_S, baseline_S), strict=True)
    ]
    half_width = float(student.ppf(0.5 + confidence / 2, sum(squares) ** 2 / sum(parts))) * sum(squares) ** 0.5
    return Interval(gain=gain, lower=gain - half_width, upper=gain + half_width)


def headline(comparisons: Mapping[BaselineName, Comparison]) -> tuple[bool, str]:
    """Return whether the search may claim to beat natural, and one sentence about every baseline.

    Natural is what one gets without a search, so it decides; the other baselines are told beside it.
    """
    first = comparisons[NATURAL] if NATURAL in comparisons else next(iter(comparisons.values()))
    others = [comparison.statement for comparison in comparisons.values() if comparison is not first]
    return first.claim, " ".join([first.statement, *others])


def _pairs(models: Sequence[MeasuredModel], baseline: BaselineName) -> _Pairs:
    by_mixture: dict[str, dict[int, MeasuredModel]] = {SEARCHED: {}, baseline: {}}
    for model in models:
        if model.mixture in by_mixture:
            by_mixture[model.mixture][model.seed] = model
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
        different = {(*model.bpb.values(), *model.task_losses.values()) for model in results.values()}
        if len(different) < len(seeds):
            raise EvidenceError(
                f"{mixture}: {len(seeds)} seeds gave {len(different)} different result(s); copies of one run are no "
                "evidence. Train with seeds that differ."
            )
    return _Pairs(tuple(searched[seed] for seed in seeds), tuple(other[seed] for seed in seeds))


def _array(values: Iterable[float]) -> Array:
    return np.array(list(values), dtype=np.float64)


def _require_finite(differences_S: Array) -> None:
    lost = int((~np.isfinite(differences_S)).sum())
    if lost:
        raise EvidenceError(
            f"{lost} of {len(differences_S)} differences are no finite numbers. Measure those models again."
        )


def _no_claim(baseline: str, overall: Interval, pairs: _Pairs, same_weights: bool, unit: str) -> str | None:
    """Return why nothing can be claimed whatever was measured, if that is so."""
    seeds = len(pairs.seeds)
    if same_weights:
        return f"No claim: the search kept {baseline}."
    if seeds < MIN_SEEDS:
        return (
            f"No claim: {counted(seeds, 'seed')} {'is' if seeds == 1 else 'are'} too few for one over {baseline}; "
            f"{MIN_SEEDS} needed (train.num_seeds). Measured gain {signed(overall.gain)} {unit}."
        )
    return None


def _evidence(overall: Interval, seeds: int, confidence: float, differing: Sequence[tuple[str, str]]) -> str:
    """Return the interval in words, and what it rests on."""
    if overall.lower is None or overall.upper is None:
        return ""
    interval = f"{percent(confidence)} interval {signed(overall.lower)} to {signed(overall.upper)}"
    if not differing:
        return f"{interval}, {counted(seeds, 'paired seed')}"
    ours, theirs = differing[0]
    return (
        f"{interval}, {counted(seeds, 'seed')} by Welch's unpaired test, because in {len(differing)} of them the two runs "
        f"were trained on different instruction sets or devices: {ours} and {theirs}"
    )


def _statement(baseline: str, overall: Interval, evidence: str, unit: str) -> str:
    if overall.above_zero:
        gain = signed(overall.gain).removeprefix("+")
        return f"Claim: the searched mixture beats {baseline} by {gain} {unit} ({evidence})."
    if overall.below_zero:
        loss = signed(-overall.gain).removeprefix("+")
        return f"No gain: the searched mixture is worse than {baseline} by {loss} {unit} ({evidence})."
    return f"No claim: the gain over {baseline} of {signed(overall.gain)} {unit} may be chance ({evidence})."
