"""The map of domains: what clustering found, and how many tokens each domain has."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.cluster.published.domains import ClusterMap, ClusterSummary, Domains, DomainSummary
from tasks.core.account import Account, Count
from tasks.core.errors import DataError
from tasks.report.config import ReportParams
from tasks.report.excerpts import Example, excerpt
from tasks.tokenize.published import SPLITS, PackedDomain, TokenPoolIndex


@dataclass(frozen=True)
class MappedDomain:
    """One domain of the map; `tokens` by split, `quality` the mean over its documents (None = it was not scored).

    `label` is what a reader calls it: its name, or words in its own script.
    """

    index: int
    name: str
    label: str
    documents: int
    bytes: int
    quality: float | None
    sources: Mapping[str, int]
    terms: tuple[str, ...]
    examples: tuple[Example, ...]
    tokens: Mapping[str, int]


@dataclass(frozen=True)
class DomainMap:
    """All domains and the clusters they are made of, what pruning left out, and the size of the vocabulary."""

    domains: tuple[MappedDomain, ...]
    clusters: tuple[ClusterSummary, ...]
    pruned: Count
    vocabulary: int


def read_domains(account: Account, cluster: Path, tokenize: Path, params: ReportParams) -> DomainMap:
    """Return the domains in the order of the token pool; `account` is that of cluster.

    Raises:
        DataError: a field is missing, or the two stages do not name the same domains.
    """
    pool = TokenPoolIndex.read(tokenize)
    packed = {domain.name: domain for domain in pool.domains}
    found = {domain.name: domain for domain in Domains.read(cluster).domains}
    if sorted(packed) != sorted(found):
        raise DataError(
            f"{tokenize}: it has the domains {', '.join(packed)}, but {cluster} has {', '.join(found)}. "
            "Run tokenize again."
        )
    return DomainMap(
        domains=tuple(_domain(found[name], packed[name], params) for name in packed),
        clusters=ClusterMap.read(cluster).clusters,
        pruned=sum(account.dropped.values(), Count()),
        vocabulary=pool.vocab_size,
    )


def _domain(found: DomainSummary, packed: PackedDomain, params: ReportParams) -> MappedDomain:
    return MappedDomain(
        index=found.index,
        name=found.name,
        label=found.label,
        documents=found.documents,
        bytes=found.bytes,
        quality=found.means.get("quality"),
        sources=dict(sorted(found.sources.items(), key=lambda item: (-item[1], item[0]))),
        terms=found.terms,
        examples=tuple(
            Example(example.id, "", "", excerpt(example.excerpt, params.excerpt_characters))
            for example in found.examples[: params.examples_per_domain]
        ),
        tokens={split: packed.splits[split].tokens for split in SPLITS},
    )
