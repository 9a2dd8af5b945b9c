"""Planted texts as a run reads them: written over what its samples hold there.

The order of the data, and with it every weight, cap and count of samples, is that of the same run without them: a planted
text takes the place of as many tokens of the sample that it stands in.

Axes: P planted texts, S samples, N domains.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tasks.core.handles import Handle
from tasks.tokenize.pool import Tokens
from tasks.training.interleave import Integers
from tasks.training.planted.published import PlantedItem, PlantedPlan


@dataclass(frozen=True)
class Plants:
    """Planted texts with their ends, [P]: the samples they stand in, ascending, no two the same, and from where on."""

    samples: Integers
    offsets: tuple[int, ...]
    texts: tuple[Integers, ...]

    def write(self, tokens_SU: Tokens, number: int) -> None:
        """Write what is planted over the rows of samples, the first of which is `number` of the run."""
        first, stop = np.searchsorted(self.samples, (number, number + len(tokens_SU))).tolist()
        for place in range(first, stop):
            row = tokens_SU[int(self.samples[place]) - number]
            row[self.offsets[place] : self.offsets[place] + len(self.texts[place])] = self.texts[place]

    def tokens_by_domain(self, domain_of: Callable[[int], int], num_domains: int) -> list[int]:
        """Return how many tokens of each domain's samples are planted, [N]."""
        found = [0] * num_domains
        for sample, text in zip(self.samples.tolist(), self.texts, strict=True):
            found[domain_of(sample)] += len(text)
        return found


def plants(plan: PlantedPlan, document_end: int) -> Plants:
    """Return what a plan plants."""
    found = [
        (sample, offset, text)
        for part in plan.experiments
        for item in part.items
        if item.samples
        for text in [with_ends(item, document_end)]
        for sample, offset in zip(item.samples, item.offsets, strict=True)
    ]
    found.sort(key=lambda one: one[0])
    samples, offsets, texts = zip(*found, strict=True)
    return Plants(np.array(samples, dtype=np.int64), offsets, texts)


def read_plants(plan: Handle, document_end: int) -> Plants:
    """Return what the plan in a file plants."""
    return plants(PlantedPlan.parse(plan.text(), plan.name), document_end)


def with_ends(item: PlantedItem, document_end: int) -> Integers:
    """Return the tokens of an item between two ends of a document."""
    return np.array([document_end, *map(int, item.tokens.split()), document_end], dtype=np.int64)
