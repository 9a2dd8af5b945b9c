"""How many workers can share the steps of a run: known from its config, before any of them is started."""

from collections.abc import Sequence

from tasks.core.errors import ConfigError
from tasks.training.config import TrainingConfig
from tasks.training.segments import Segments


def shares_steps(training: TrainingConfig, size: int) -> bool:
    """Return whether so many workers can share each step evenly.

    Of a model spread over devices each takes as many samples; in a stack each sums a subtree of the micro-batches.
    """
    if training.engine is not None:
        return training.sequences_per_step % size == 0
    return training.micro_batches % size == 0 and size & (size - 1) == 0


def smaller_worlds(training: TrainingConfig, size: int, least: int) -> tuple[int, ...]:
    """Return the numbers of workers below `size`, down to `least`, that can share each step; the largest first."""
    return tuple(each for each in range(size - 1, least - 1, -1) if shares_steps(training, each))


def require_shared(training: TrainingConfig, size: int) -> None:
    """Refuse a number of workers that cannot share a step.

    Raises:
        ConfigError: what cannot be shared by how many, and the nearest numbers that would do.
    """
    if shares_steps(training, size):
        return
    spread = training.engine is not None
    count, name = (
        (training.sequences_per_step, "sequences_per_step") if spread else (training.micro_batches, "micro_batches")
    )
    fits = [each for each in range(1, count + 1) if shares_steps(training, each)]
    near = [max(each for each in fits if each < size), *[each for each in fits if each > size][:1]]
    other = f"a multiple of {size}" if spread else "a higher power of two"
    rule = "" if spread else " (1, 2, 4, ... workers, at most as many as micro_batches)"
    raise ConfigError(
        f"{count} {name} cannot be shared evenly by {size} workers{rule}. Set MIXWRIGHT_WORLD_SIZE to "
        f"{' or '.join(str(each) for each in near)}, or {name} to {other}."
    )


def shares_segments(segments: Segments, size: int) -> bool:
    """Return whether so many workers of a model spread over devices can share the steps of all segments evenly."""
    return all(one.sequences_per_step % size == 0 for one in segments)


def require_segments_shared(segments: Segments, size: int) -> None:
    """Refuse a number of workers of a model spread over devices that cannot share the steps of a segment.

    Raises:
        ConfigError: which steps cannot be shared, and what would do.
    """
    if shares_segments(segments, size):
        return
    one = next(one for one in segments if one.sequences_per_step % size)
    fits = max(each for each in range(1, size) if shares_segments(segments, each))
    raise ConfigError(
        f"steps {one.first_step} to {one.stop_step - 1} have {one.sequences_per_step} samples of "
        f"{one.model.sequence_length} tokens, which {size} workers cannot share evenly. Set MIXWRIGHT_WORLD_SIZE to {fits}, "
        "or raise sequences_per_step."
    )


def workers_words(workers: Sequence[tuple[int, int]]) -> str:
    """Return in words how many workers made a run, from which step on.

    >>> workers_words([(0, 2), (20, 1)])
    'by 2 workers, from step 20 on by 1'
    """
    (_, size), *later = workers
    return f"by {size} worker{'' if size == 1 else 's'}" + "".join(f", from step {step} on by {n}" for step, n in later)
