"""The ledger of a run: what was consumed, per block of steps and domain. It can be rebuilt from the recipe alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.core.errors import AccountError
from tasks.training.order import DataOrder
from tasks.training.published_run import LedgerRow

BLOCK_STEPS = 10
# Steps whose samples are drawn in one call: drawing few costs nearly as much as drawing many.
_MANY_STEPS = 4096


@dataclass(frozen=True)
class Ledger:
    """Samples per step and domain. `rows` is what one epoch of a domain has; a sample has `sequence_length` tokens."""

    names: tuple[str, ...]
    rows: tuple[int, ...]
    sequence_length: int
    counts: tuple[tuple[int, ...], ...]

    @property
    def totals(self) -> tuple[int, ...]:
        """Samples per domain in the whole run."""
        return tuple(sum(column) for column in zip(*self.counts, strict=True))

    def blocks(self) -> Iterator[LedgerRow]:
        """Yield one row per block of steps and domain; `epochs` counts from the start of the run."""
        seen = [0] * len(self.names)
        for first in range(0, len(self.counts), BLOCK_STEPS):
            block = self.counts[first : first + BLOCK_STEPS]
            last = first + len(block) - 1
            for domain, (name, rows) in enumerate(zip(self.names, self.rows, strict=True)):
                samples = sum(step[domain] for step in block)
                seen[domain] += samples
                epochs = round(seen[domain] / rows if rows else 0.0, 6)
                yield LedgerRow(first, last, name, samples, samples * self.sequence_length, epochs)


def planned_ledger(order: DataOrder, sequences_per_step: int, sequence_length: int) -> Ledger:
    """Return the ledger that the recipe promises: a run of whole steps over the whole order."""
    counts = []
    for start in range(0, order.num_samples, _MANY_STEPS * sequences_per_step):
        domains = order.samples(start, min(start + _MANY_STEPS * sequences_per_step, order.num_samples)).domains
        counts += counts_per_step(domains, sequences_per_step, len(order.names))
    return Ledger(order.names, order.rows, sequence_length, tuple(counts))


def counts_per_step(
    domains_S: npt.NDArray[np.int64], sequences_per_step: int, num_domains: int
) -> list[tuple[int, ...]]:
    """Return the samples per domain of each step, from the domain of each sample."""
    steps_S = np.arange(len(domains_S)) // sequences_per_step
    shape = (int(steps_S[-1]) + 1 if len(steps_S) else 0, num_domains)
    flat = np.bincount(steps_S * num_domains + domains_S, minlength=shape[0] * shape[1])
    return [tuple(step) for step in flat.reshape(shape).tolist()]


def consumed_ledger(order: DataOrder, sequence_length: int, counts: Sequence[Sequence[int]]) -> Ledger:
    """Return the ledger of what the steps counted while they ran."""
    return Ledger(order.names, order.rows, sequence_length, tuple(tuple(step) for step in counts))


def check_equal(planned: Ledger, consumed: Ledger, where: str) -> None:
    """Check that a run consumed what its recipe promised.

    Raises:
        AccountError: in how many steps it did not, and what the first of them consumed.
    """
    if planned == consumed:
        return
    pairs = zip(planned.counts, consumed.counts, strict=False)
    wrong = [step for step, (left, right) in enumerate(pairs) if left != right]
    first = f"; first: step {wrong[0]}, {planned.counts[wrong[0]]} != {consumed.counts[wrong[0]]}" if wrong else ""
    raise AccountError(
        f"{where}: the samples consumed are not those of the recipe in {len(wrong)} of {len(planned.counts)} steps "
        f"({len(consumed.counts)} were made){first}. This is a defect, please report it with the recipe."
    )
