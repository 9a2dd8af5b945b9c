"""Domains the user brings: every source is one, under its own name. Axis: N documents, S sources."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveInt

from tasks.cluster import defaults
from tasks.cluster.grouping import Grouping
from tasks.core.digest import digest_bytes
from tasks.core.errors import ConfigError
from tasks.core.params import Params

_REMEDY = "Give their records another `source`"
# How many sources are still a mixture that can be searched, and what share of the bytes each has at least (guesses).
_FEW_SOURCES, _CLEAR_SHARE = 20, 0.01
# What a file name of the pool may not hold.
_FOREIGN = re.compile(r"[^A-Za-z0-9._-]+")


class SourceDomains(Params):
    """Domains the user brings: every source is one, under its own name. Nothing is embedded, nothing pruned."""

    kind: Literal["source"]
    min_documents: PositiveInt | None = Field(
        default=None, description="a source with fewer is refused, never joined; null = a fiftieth of all, 3 to 100"
    )


def by_source(sources: Sequence[str], bytes_N: npt.NDArray[np.int64], config: SourceDomains) -> Grouping:
    """Return the domain of every document: its source, numbered by bytes, the largest first.

    Raises:
        ConfigError: a source has too few documents, no name that a file can have, or the name of another.
    """
    documents = Counter(sources)
    _require_documents(documents, config.min_documents or defaults.min_documents(len(sources)))
    bytes_S: Counter[str] = Counter()
    for source, size in zip(sources, bytes_N.tolist(), strict=True):
        bytes_S[source] += size
    ordered = sorted(documents, key=lambda source: (-bytes_S[source], source))
    number = {source: index for index, source in enumerate(ordered)}
    domain_N = np.array([number[source] for source in sources], dtype=np.int32)
    return Grouping(domain_N, len(ordered), names=_names(ordered), labels=tuple(ordered))


def clear(sources: Sequence[str], bytes_N: npt.NDArray[np.int64]) -> tuple[str, ...]:
    """Return the sources, by name, where they would do as domains: few, and each large enough; else none."""
    documents = Counter(sources)
    bytes_S: Counter[str] = Counter()
    for source, size in zip(sources, bytes_N.tolist(), strict=True):
        bytes_S[source] += size
    few = defaults.min_documents(len(sources))
    names = {source_name(source) for source in documents} - {""}
    large = all(documents[s] >= few and bytes_S[s] >= _CLEAR_SHARE * bytes_S.total() for s in documents)
    return tuple(sorted(documents)) if large and 2 <= len(names) == len(documents) <= _FEW_SOURCES else ()


def source_name(source: str) -> str:
    """Return the name of a source's domain: itself, each run of what a file name cannot hold as one hyphen.

    A source of other scripts is named by its digest, the same wherever it comes; its label is the source itself.

    >>> source_name("wikipedia_en"), source_name("C headers (2024)"), source_name("위키백과")
    ('wikipedia_en', 'C-headers-2024', 'source-2ac42bc2')
    """
    plain = _FOREIGN.sub("-", source).lstrip("._-").rstrip("-")
    return plain or (f"source-{digest_bytes(source.encode())[:8]}" if any(map(str.isalnum, source)) else "")


def _names(ordered: Sequence[str]) -> tuple[str, ...]:
    names = [source_name(source) for source in ordered]
    if nameless := [source for source, name in zip(ordered, names, strict=True) if not name]:
        raise ConfigError(
            f"cluster.domains: {len(nameless)} of {len(ordered)} sources have no letter or digit to be named by; "
            f"first: {nameless[0]!r}. {_REMEDY}."
        )
    shared = {name: [s for s, own in zip(ordered, names, strict=True) if own == name] for name in names}
    if alike := [own for own in shared.values() if len(own) > 1]:
        raise ConfigError(
            f"cluster.domains: {' and '.join(map(repr, alike[0]))} would both be the domain {source_name(alike[0][0])}. "
            f"{_REMEDY}."
        )
    return tuple(names)


def _require_documents(documents: Mapping[str, int], min_documents: int) -> None:
    few = sorted((count, source) for source, count in documents.items() if not count >= min_documents)
    if few:
        listed = ", ".join(f"{source!r} {count:,}" for count, source in few)
        raise ConfigError(
            f"cluster.domains: {len(few)} of {len(documents)} sources have fewer than {min_documents:,} documents: "
            f"{listed}. {_REMEDY} (the same for several joins them), or lower cluster.domains.min_documents."
        )
