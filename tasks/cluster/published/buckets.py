"""Which domains are buckets of which topics (`buckets.json`), where `cluster.buckets` is set."""

from typing import ClassVar, Literal

from pydantic import NonNegativeInt

from tasks.core.published import Model, Published


class DomainBucket(Model):
    """A domain: its topic, the buckets in it (several: merged), and its scores, `at_least` to `below` (null: open)."""

    domain: str
    topic: str
    buckets: tuple[str, ...]
    at_least: float | None
    below: float | None
    documents: NonNegativeInt
    tokens: NonNegativeInt


class DomainBuckets(Published):
    """The score, over what its quantiles were counted, and the domains in the order of their index."""

    FILE: ClassVar[str] = "buckets.json"
    format: Literal[1] = 1
    score: str
    within: Literal["corpus", "topic"]
    domains: tuple[DomainBucket, ...]
