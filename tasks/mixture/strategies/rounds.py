"""How many mixtures each round of a search measures, scaled to any budget."""

from collections.abc import Sequence

from tasks.core.errors import ConfigError


def in_proportion(parts: Sequence[float], num_runs: int) -> tuple[int, ...]:
    """Return `num_runs` split in proportion to `parts`, the largest remainders rounded up.

    >>> in_proportion((4, 2, 1), 48)
    (27, 14, 7)

    Raises:
        ConfigError: a round would be empty.
    """
    exact = [num_runs * part / sum(parts) for part in parts]
    counts = [int(value) for value in exact]
    for index in sorted(range(len(parts)), key=lambda index: counts[index] - exact[index])[: num_runs - sum(counts)]:
        counts[index] += 1
    if min(counts) < 1:
        raise ConfigError(f"{num_runs} runs are too few for {len(parts)} rounds: raise the number of runs.")
    return tuple(counts)


def in_batches(first: int, batch: int, num_runs: int) -> tuple[int, ...]:
    """Return `first` runs, then batches of `batch`, the last one smaller where they do not fit.

    >>> in_batches(10, 6, 24)
    (10, 6, 6, 2)
    """
    first = min(first, num_runs)
    whole, rest = divmod(num_runs - first, batch)
    return (first, *([batch] * whole), *([rest] if rest else []))
