"""The part of a domain's documents that a stage is of: a range of them, by a number of each or at random.

Documents are ranked, and one belongs to a range if the middle of its tokens does, counted over the domain in that order.
Ranges that meet share no document, and a range from 0 to 1 has all.

Axes: D documents.
"""

from collections.abc import Iterator

import numpy as np
from pydantic import Field

from tasks.core.params import Params
from tasks.core.rng import seed_of
from tasks.training.interleave import Floats, Integers
from tasks.training.permutation import mixed


class DocumentRange(Params):
    """Documents between two shares of a domain's tokens, ranked ascending by a number; without one, at random."""

    by: str | None = Field(
        default=None, min_length=1, description="column of the token pool (tokenize.document_columns); null = at random"
    )
    low: float = Field(
        default=0.0, ge=0, le=1, description="share of the domain's tokens that come before in the ranking"
    )
    high: float = Field(default=1.0, ge=0, le=1, description="share at which the range ends")
    seed: int = Field(default=0, ge=0, description="of a ranking at random")
    domains: tuple[str, ...] = Field(
        default=(), description="whose documents these are; all of the others; none = of every"
    )

    def mistakes(self) -> Iterator[str]:
        """Yield what leaves no document."""
        if not self.low < self.high:
            yield f"documents: the range from {self.low:g} to {self.high:g} has none; let low be below high"

    @property
    def words(self) -> str:
        """Which documents these are, for people."""
        ranked = "at random" if self.by is None else f"by {self.by}"
        whose = f" of {', '.join(self.domains)}" if self.domains else ""
        return f"documents from {self.low:.4g} to {self.high:.4g} of the tokens{whose}, ranked {ranked}"

    def is_of(self, domain: str) -> bool:
        """Return whether a domain has these documents alone; of another domain there are all."""
        return not self.domains or domain in self.domains


def inside(config: DocumentRange, lengths_D: Integers, numbers_D: Floats | None) -> Integers:
    """Return 1 for each document of the range, else 0, shape [D]; `numbers_D` rank them, None = a hash of their places.

    >>> best = DocumentRange(by="quality", low=0.5)
    >>> inside(best, np.array([10, 10, 20]), np.array([0.1, 0.9, 0.5])).tolist()
    [0, 1, 1]
    """
    key = np.uint64(seed_of(config.seed, "document range") % (1 << 64))
    ranks = mixed(np.arange(len(lengths_D), dtype=np.uint64) ^ key) if numbers_D is None else numbers_D
    order = np.argsort(ranks, kind="stable")
    ends = np.cumsum(lengths_D[order])
    middles = (ends - lengths_D[order] / 2) / max(int(lengths_D.sum()), 1)
    found_D = np.zeros(len(lengths_D), dtype=np.int64)
    found_D[order] = (middles >= config.low) & (middles < config.high)
    return found_D
