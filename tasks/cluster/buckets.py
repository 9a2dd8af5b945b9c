"""Domains of topic and quality: every topic cut into buckets of a score, so that a search chooses how much of each.

Axes: N documents, B buckets.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveInt, model_validator

from tasks.cluster import defaults
from tasks.cluster.grouping import PRUNED, Clusters, Grouping
from tasks.core.errors import ConfigError
from tasks.core.params import Params

_NAMES = {2: ("low", "high"), 3: ("low", "middle", "high")}


class Buckets(Params):
    """Buckets of a column of numbers of kept documents, each with as many tokens as the others.

    `within`: the edges are quantiles of all documents, so that a bucket means the same in every topic and topics may lack
    some; or of each topic alone. A bucket of a topic with fewer than `min_documents` joins its smaller neighbour.
    `edges`, in place of `num_buckets`, are scores at which the second and later buckets begin, such as tiers of risk. What
    these part is never joined: a bucket that is small is refused. `names` are what the buckets are called.
    """

    score: Annotated[str, Field(min_length=1)]
    num_buckets: Annotated[int, Field(ge=2, le=20)] = 3
    edges: Annotated[tuple[float, ...], Field(min_length=1)] | None = None
    names: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]+$")], ...] | None = None
    within: Literal["corpus", "topic"] = "corpus"
    min_documents: PositiveInt | None = Field(default=None, description="null = a fiftieth of all, 3 to 100")

    @property
    def called(self) -> tuple[str, ...]:
        """The names of the buckets, the lowest scores first."""
        return self.names or bucket_names(self.num_buckets if self.edges is None else len(self.edges) + 1)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        number = self.num_buckets if self.edges is None else len(self.edges) + 1
        if self.edges is not None and list(self.edges) != sorted({*self.edges}):
            raise ValueError("edges must ascend.")
        if self.names is not None and len({*self.names}) != number:
            raise ValueError(f"names has {len({*self.names})} different names for {number} buckets: give one each.")
        return self


@dataclass(frozen=True)
class Bucket:
    """A domain that is part of a topic: which buckets it holds, and its scores from `at_least` to below `below`.

    None: no limit on that side.
    """

    topic: int
    buckets: tuple[str, ...]
    at_least: float | None
    below: float | None


def bucket_names(number: int) -> tuple[str, ...]:
    """Return the names of buckets, the lowest scores first.

    >>> bucket_names(3), bucket_names(4)
    (('low', 'middle', 'high'), ('q1', 'q2', 'q3', 'q4'))
    """
    return _NAMES.get(number) or tuple(f"q{place}" for place in range(1, number + 1))


def edges(scores_N: npt.NDArray[np.float64], tokens_N: npt.NDArray[np.int64], number: int) -> npt.NDArray[np.float64]:
    """Return the scores at which the second and later buckets begin, shape [B - 1].

    A bucket begins at the score of the first document whose middle lies in it, counted in tokens. Documents of equal score
    are in one bucket; where many have the same, two edges may be one, and nothing lies between.

    >>> edges(np.array([3.0, 1.0, 2.0, 4.0]), np.array([1, 1, 1, 1]), 2).tolist()
    [3.0]
    """
    order = np.argsort(scores_N, kind="stable")
    tokens = np.maximum(tokens_N[order], 1).astype(np.float64)
    middle = (np.cumsum(tokens) - tokens / 2) / tokens.sum()
    places = np.searchsorted(middle, np.arange(1, number) / number)
    return np.asarray(scores_N[order][np.minimum(places, len(order) - 1)])


def bucketed(
    config: Buckets,
    topics: Grouping,
    names: Sequence[str],
    labels: Sequence[str],
    scores_N: npt.NDArray[np.float64],
    tokens_N: npt.NDArray[np.int64],
    bytes_N: npt.NDArray[np.int64],
) -> tuple[Grouping, tuple[Bucket, ...]]:
    """Return the topics cut into buckets, numbered by bytes, the largest first, and what each domain is.

    Raises:
        ConfigError: two domains would have one name.
    """
    kept_N = topics.domain_N != PRUNED
    least = config.min_documents or defaults.min_documents(int(kept_N.sum()))
    everywhere = _edges(config, scores_N[kept_N], tokens_N[kept_N])
    parts: list[tuple[Bucket, npt.NDArray[np.int64]]] = []
    for topic in range(topics.num_domains):
        own = topics.members(topic)
        cuts = everywhere if config.within == "corpus" else _edges(config, scores_N[own], tokens_N[own])
        found = _parts(topic, config.called, scores_N[own], cuts, None if config.edges is not None else least)
        # Between given edges a topic may have nothing.
        parts += [(bucket, own[rows]) for bucket, rows in found if len(rows)]
    if config.edges is not None:
        _require_documents(config, names, parts, least)
    sizes = [-int(bytes_N[rows].sum()) for _, rows in parts]
    parts = [parts[place] for place in sorted(range(len(parts)), key=sizes.__getitem__)]
    domain_N = np.full(len(scores_N), PRUNED, np.int32)
    for number, (_, rows) in enumerate(parts):
        domain_N[rows] = number
    buckets, clusters = tuple(bucket for bucket, _ in parts), topics.clusters
    if clusters is not None:
        clusters = replace(clusters, domain_K=_largest_part(clusters, domain_N, bytes_N))
    grouping = replace(
        topics,
        domain_N=domain_N,
        num_domains=len(parts),
        names=_names(config, names, buckets),
        labels=tuple(_label(config, labels[one.topic], one) for one in buckets),
        clusters=clusters,
    )
    return grouping, buckets


def _edges(
    config: Buckets, scores_N: npt.NDArray[np.float64], tokens_N: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    return edges(scores_N, tokens_N, config.num_buckets) if config.edges is None else np.array(config.edges)


def _require_documents(
    config: Buckets, topics: Sequence[str], parts: Sequence[tuple[Bucket, npt.NDArray[np.int64]]], least: int
) -> None:
    few = [(len(rows), _joined(config, topics[one.topic], one, "-", "-")) for one, rows in parts if len(rows) < least]
    if few:
        listed = ", ".join(f"{name} {count:,}" for count, name in sorted(few))
        raise ConfigError(
            f"cluster.buckets: {len(few)} of {len(parts)} domains between given edges have fewer than {least:,} documents: "
            f"{listed}. Lower cluster.buckets.min_documents, or drop these documents in curate (select)."
        )


def _largest_part(
    clusters: Clusters, domain_N: npt.NDArray[np.int32], bytes_N: npt.NDArray[np.int64]
) -> npt.NDArray[np.int32]:
    """Return the domain that has most bytes of each cluster; -1 stays -1."""
    found_K = clusters.domain_K.copy()
    for cluster in np.flatnonzero(found_K != PRUNED).tolist():
        own = np.flatnonzero(clusters.partition.labels_N == cluster)
        if len(own):
            found_K[cluster] = np.argmax(np.bincount(domain_N[own], weights=bytes_N[own]))
    return found_K


def _parts(
    topic: int, names: Sequence[str], score_N: npt.NDArray[np.float64], cuts: npt.NDArray[np.float64], least: int | None
) -> list[tuple[Bucket, npt.NDArray[np.int64]]]:
    """Return the buckets of a topic with their documents, those with fewer than `least` merged (None: none is)."""
    place_N = np.searchsorted(cuts, score_N, side="right")
    runs = [[bucket] for bucket in range(len(cuts) + 1)]
    counts = np.bincount(place_N, minlength=len(runs)).tolist()
    while least is not None and len(runs) > 1 and min(counts) < least:
        small = counts.index(min(counts))
        beside = [place for place in (small - 1, small + 1) if 0 <= place < len(runs)]
        left, right = sorted((small, min(beside, key=counts.__getitem__)))
        runs[left : right + 1] = [runs[left] + runs[right]]
        counts[left : right + 1] = [counts[left] + counts[right]]
    limits = [None, *cuts.tolist(), None]
    return [
        (
            Bucket(topic, tuple(names[bucket] for bucket in run), limits[run[0]], limits[run[-1] + 1]),
            np.flatnonzero(np.isin(place_N, run)),
        )
        for run in runs
    ]


def _names(config: Buckets, topics: Sequence[str], buckets: Sequence[Bucket]) -> tuple[str, ...]:
    names = [_joined(config, topics[one.topic], one, "-", "-") for one in buckets]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(
            f"cluster.buckets: two domains would both be called {twice[0]}. Give its source another name."
        )
    return tuple(names)


def _label(config: Buckets, topic: str, bucket: Bucket) -> str:
    return _joined(config, topic, bucket, ", ", " to ")


def _joined(config: Buckets, topic: str, bucket: Bucket, before: str, between: str) -> str:
    """Return what a topic's bucket is called: a topic of which all is one bucket keeps its own name."""
    if len(bucket.buckets) == len(config.called):
        return topic
    return f"{topic}{before}{between.join(dict.fromkeys((bucket.buckets[0], bucket.buckets[-1])))}"
