"""The topics that a language model found (`taxonomy.json`), where `cluster.domains` is a taxonomy."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import NonNegativeInt

from tasks.core.published import Model, Published


class TopicShare(Model):
    """A topic: documents it was predicted for and their share; with labels of people, its corrected share and interval."""

    name: str
    description: str
    documents: NonNegativeInt
    predicted: float
    corrected: float | None
    low: float | None
    high: float | None


class Taxonomy(Published):
    """The topics, `other` last; `told` says of how many answers they were learned, and `labelled` how many by people."""

    FILE: ClassVar[str] = "taxonomy.json"
    format: Literal[1] = 1
    topics: tuple[TopicShare, ...]
    told: Mapping[str, int | float]
    labelled: NonNegativeInt
    labelled_not_in_pool: NonNegativeInt
