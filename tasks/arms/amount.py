"""How much text an arm reads: so many epochs of the domains it has weights for, or of a part of these."""

from collections.abc import Callable, Mapping

from tasks.arms.config import Arm, ArmStage
from tasks.core.errors import ConfigError
from tasks.tokenize.pool import TokenPool
from tasks.training.config import TrainingConfig
from tasks.training.rows import SPLIT, DomainRows
from tasks.training.sample_counts import usable_rows
from tasks.training.segments import Layout

RowsOf = Callable[[Layout], tuple[DomainRows, ...]]


def row_share_of(arm: Arm, pool: TokenPool) -> float | None:
    """Return which share of each domain's rows an arm may read; None = all.

    Raises:
        ConfigError: the pool has fewer tokens than it is to read of it.
    """
    if arm.distinct_tokens is None:
        return None
    if (there := int(pool.tokens(SPLIT).sum())) < arm.distinct_tokens:
        raise ConfigError(
            f"arm {arm.name}: distinct_tokens {arm.distinct_tokens:,}, and its pool has {there:,} to train on. Lower it."
        )
    return arm.distinct_tokens / there


def tokens_of_epochs(
    arm: Arm, training: TrainingConfig, pool: TokenPool, rows: RowsOf, row_share: float | None
) -> int | None:
    """Return the tokens of an arm's epochs, whole steps, at least one; None = it does not say how many it has.

    They are rounded down, so that no domain of a natural mixture is repeated more often than that.
    """
    if arm.epochs is None:
        return None
    there = [each.distinct for each in rows(Layout(training.model.sequence_length))]
    used = usable_rows(there, 1.0 if row_share is None else row_share)
    read = _domains(arm, pool)
    distinct = sum(count for name, count in zip(pool.names, used, strict=True) if name in read)
    return max(1, int(arm.epochs * distinct) // training.sequences_per_step) * training.tokens_per_step


def _domains(arm: Arm, pool: TokenPool) -> set[str]:
    """Return the domains that an arm has a weight for in some stage."""
    found = set[str]()
    for stage in arm.stages or (ArmStage(share=1.0),):
        weights = arm.weights if stage.weights is None else stage.weights
        named = [name for name, weight in weights.items() if weight > 0] if isinstance(weights, Mapping) else pool.names
        found |= {*named} - {*stage.without}
    return found
