"""How many samples of each domain there are in a phase, and how many there may be."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tasks.core.errors import ConfigError
from tasks.training.types import Phase

# Shares are 64-bit floats, whole numbers up to here.
_MOST_SAMPLES = 1 << 53


def usable_rows(rows: Sequence[int], share: float) -> tuple[int, ...]:
    """Return how many of a domain's rows may be used: their share, rounded, at least one where there is one.

    A proxy with the share (its tokens / its target's tokens) repeats every domain as often as the target will.

    >>> usable_rows([1000, 30, 0], 1 / 64)
    (16, 1, 0)
    """
    return tuple(max(min(count, 1), min(count, round(count * share))) for count in rows)


def phase_counts(phase: Phase, index: int, names: Sequence[str], sequence_length: int) -> tuple[int, ...]:
    """Return the samples per domain of a phase."""
    if len(phase.weights) != len(names):
        raise ConfigError(
            f"phase {index}: {len(phase.weights)} weights for {len(names)} domains. The recipe was made for another "
            "pool; run search again."
        )
    samples, rest = divmod(phase.num_tokens, sequence_length)
    if rest:
        raise ConfigError(
            f"phase {index}: {phase.num_tokens:,} tokens end within a sample of {sequence_length}; the nearest values "
            f"are {samples * sequence_length:,} and {(samples + 1) * sequence_length:,}."
        )
    if samples > _MOST_SAMPLES:
        raise ConfigError(
            f"phase {index}: {samples:,} samples cannot be shared exactly; a phase has at most {_MOST_SAMPLES:,}."
        )
    return largest_remainder(phase.mean_weights, samples)


def first_densities(phase: Phase) -> tuple[float, ...] | None:
    """Return each domain's weight at the start of a phase over its mean weight there; None where all are constant.

    >>> first_densities(Phase(80, (1.0, 0.0), (0.5, 0.5)))
    (1.3333333333333333, 0.0)
    """
    if phase.end_weights is None:
        return None
    pairs = zip(phase.weights, phase.mean_weights, strict=True)
    return tuple(first / mean if mean else 1.0 for first, mean in pairs)


def largest_remainder(weights: Sequence[float], total: int) -> tuple[int, ...]:
    """Return whole numbers that sum to `total`, each its exact share rounded down or up (Hamilton's method).

    >>> largest_remainder([0.5, 0.3, 0.2], 7)
    (4, 2, 1)
    """
    shares = np.array(weights, dtype=np.float64) / sum(weights) * total
    # A share that is whole up to rounding stays whole, so that a weight at its cap is not lifted over it.
    counts = np.floor(shares + 1e-9).astype(np.int64)
    ranks = np.argsort(-(shares - counts), kind="stable")
    counts[ranks[: total - int(counts.sum())]] += 1
    return tuple(counts.tolist())


def weight_caps(rows: Sequence[int], num_samples: int, max_epochs: float) -> npt.NDArray[np.float64]:
    """Return the largest weight per domain, shape [N], that `check_caps` accepts in a run of one phase.

    >>> weight_caps([10, 100], 80, 4.0).tolist()
    [0.5, 1.0]
    """
    return np.minimum(np.floor(max_epochs * np.array(rows, dtype=np.float64)) / num_samples, 1.0)
