"""What each selection kept, in numbers: documents, tokens, epochs, sources, languages, hits of benchmarks, and overlaps."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from tasks.core.handles import Tree
from tasks.core.tables import read_table
from tasks.curate.decontaminate.benchmarks import Decontaminate, benchmark_files
from tasks.curate.decontaminate.unit import CONTAMINATION, DecontaminateArgs, IndexArgs
from tasks.curate.published.documents import KEPT
from tasks.curate.statistics.shards import TextSource
from tasks.curate.steps import DECONTAMINATE, INDEX
from tasks.leaderboard.diversity import DIVERSITY, DiversityArgs
from tasks.leaderboard.published import Kept
from tasks.runtime.context import Workshop
from tasks.runtime.files import file_handles
from tasks.runtime.stages import StageInput, stage_input
from tasks.tokenize.published_documents import DOCUMENTS_FILE, read_documents
from tasks.training.rows import SPLIT

_UNKNOWN = "unknown"


@dataclass(frozen=True)
class BaseDocuments:
    """What is known of the documents that selectors choose from, by id; `contaminated` is None where nobody asked."""

    sources: Mapping[str, str]
    languages: Mapping[str, str]
    contaminated: frozenset[str] | None


def base_documents(workshop: Workshop, shards: Tree, benchmarks: Decontaminate | None) -> BaseDocuments:
    """Return what is known of all documents, as ingest publishes them."""
    rows = [row for one in shards for row in read_table(one.local(), ("id", "source", "lang")).to_pylist()]
    sources = {row["id"]: row["source"] for row in rows}
    languages = {row["id"]: row["lang"] or _UNKNOWN for row in rows}
    return BaseDocuments(sources, languages, _contaminated(workshop, shards, benchmarks))


def _contaminated(workshop: Workshop, shards: Tree, benchmarks: Decontaminate | None) -> frozenset[str] | None:
    if benchmarks is None:
        return None
    looked_for = benchmarks.model_copy(update={"benchmarks": (), "min_hits": 1})
    index = INDEX.one(workshop, IndexArgs(file_handles(benchmark_files(benchmarks)), looked_for))
    units = [DecontaminateArgs(TextSource(shard), index.tree, benchmarks.min_hits) for shard in shards]
    tables = [record.file(CONTAMINATION) for record in DECONTAMINATE.map(workshop, units)]
    return frozenset(name for table in tables for name in read_table(table.local(), ("id",))["id"].to_pylist())


def tokens_by_id(pool: Path) -> dict[str, int]:
    """Return the tokens of every document that a pool is trained on."""
    table = read_documents(pool / DOCUMENTS_FILE, pc.field("split") == SPLIT)
    return dict(zip(table["id"].to_pylist(), table["tokens"].to_pylist(), strict=True))


def overlap(one: Mapping[str, int], other: Mapping[str, int]) -> float:
    """Return the Jaccard index by tokens: those of documents in both, of those in either.

    >>> overlap({"a": 3, "b": 1}, {"b": 1, "c": 4})
    0.125
    """
    both = sum(one[name] for name in one.keys() & other.keys())
    return both / max(1, sum(one.values()) + sum(other.values()) - both)


def diversities(workshop: Workshop, pools: Mapping[str, Path], max_words: int) -> dict[str, Mapping[str, float]]:
    """Return the diversity of what was kept, by the name of a pool, over as many words of each."""
    curated = {
        name: stage_input(workshop, {"curate": pool.parent / "curate"}, "curate") for name, pool in pools.items()
    }
    most = min(max_words, *(_words(one) for one in curated.values()))
    units = [DiversityArgs(tuple(one.tree(f"{KEPT}/")), most) for one in curated.values()]
    records = DIVERSITY.map(workshop, units)
    return {name: record.summary for name, record in zip(curated, records, strict=True)}


def _words(curated: StageInput) -> int:
    account = curated.manifest.account
    assert account is not None, "curate counts documents"
    return max(1, account.kept.tokens)


def kept(base: BaseDocuments, tokens: Mapping[str, int], num_tokens: int, diversity: Mapping[str, float]) -> Kept:
    """Return what a model was trained on, from the tokens of each kept document."""
    total = sum(tokens.values())
    hits = base.contaminated
    return Kept(
        documents=len(tokens),
        tokens=total,
        epochs=num_tokens / total,
        sources=_shares((base.sources[name], size) for name, size in tokens.items()),
        languages=_shares((base.languages[name], size) for name, size in tokens.items()),
        diversity=diversity,
        contaminated=None if hits is None else len(hits & tokens.keys()),
    )


def _shares(sizes: Iterable[tuple[str, int]]) -> dict[str, float]:
    found: Counter[str] = Counter()
    for name, size in sizes:
        found[name] += size
    return {name: found[name] / max(1, found.total()) for name in sorted(found)}
