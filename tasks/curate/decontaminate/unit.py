"""Units of work: the index of the benchmarks, made once, and the documents of one shard that hold a piece of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.core.handles import Handle, Tree
from tasks.core.results import Here, UnitResult
from tasks.core.tables import write_table
from tasks.curate.decontaminate.benchmarks import Decontaminate, read_benchmark
from tasks.curate.decontaminate.contamination import Contamination, contamination
from tasks.curate.decontaminate.index import NgramIndex, index_of, read_index, write_index
from tasks.curate.statistics.shards import TextSource
from tasks.curate.statistics.texts import texts_of

CONTAMINATION = "contamination.parquet"
CONTAMINATION_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("benchmark", pa.string(), nullable=False),
        pa.field("hits", pa.int64(), nullable=False),
        pa.field("ngram", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class IndexArgs:
    """The files of the benchmarks by name, and how they are looked for; `params` name no files themselves."""

    benchmarks: Mapping[str, Handle]
    params: Decontaminate


@dataclass(frozen=True)
class DecontaminateArgs:
    """A shard of documents after every step that changes texts, the index, and the n-grams that make a hit."""

    texts: TextSource
    index: Tree
    min_hits: int


def index_benchmarks(args: IndexArgs, here: Here) -> UnitResult:
    """Write the index; the summary says per benchmark how much of it can be found.

    Raises:
        ConfigError: a file is missing, two have the same name, or none of a file's items has text.
        DataError: a file cannot be read or holds what is no JSON object; says the line.
    """
    files = {name: file.local() for name, file in args.benchmarks.items()}
    index = index_of([read_benchmark(name, path, args.params.fields) for name, path in files.items()], args.params)
    write_index(index, here.folder)
    return UnitResult(summary={"benchmarks": [asdict(one) for one in index.coverage]})


def decontaminate_shard(args: DecontaminateArgs, here: Here) -> UnitResult:
    """Write id, benchmark (that with the most hits), hits and first n-gram of every contaminated document.

    The summary counts documents per benchmark; a document that two benchmarks hit counts for both.
    """
    index = read_index(args.index.local())
    documents = args.texts.read(("id", "text"))
    found = _enough(contamination(texts_of(documents["text"]), index), args.min_hits)
    write_table(_table(documents["id"], found, index), here.folder / CONTAMINATION)
    return UnitResult(summary=_summary(found, index, documents.num_rows))


def _enough(found: Contamination, min_hits: int) -> Contamination:
    rows = np.flatnonzero(found.hits_H >= min_hits)
    return Contamination(found.documents_H[rows], found.benchmarks_H[rows], found.hits_H[rows], found.first_H[rows])


def _table(ids: pa.ChunkedArray, found: Contamination, index: NgramIndex) -> pa.Table:
    # Of equals, the first benchmark in alphabetical order: lexsort's last key counts first.
    order = np.lexsort((found.benchmarks_H, -found.hits_H, found.documents_H))
    _, first = np.unique(found.documents_H[order], return_index=True)
    rows = order[first]
    return pa.table(
        {
            "id": ids.take(pa.array(found.documents_H[rows])),
            "benchmark": [index.coverage[number].benchmark for number in found.benchmarks_H[rows].tolist()],
            "hits": found.hits_H[rows],
            "ngram": [index.words(entry) for entry in found.first_H[rows].tolist()],
        },
        CONTAMINATION_SCHEMA,
    )


def _summary(found: Contamination, index: NgramIndex, documents: int) -> dict[str, Any]:
    per_benchmark = Counter(found.benchmarks_H.tolist())
    return {
        "documents": documents,
        "documents_hit": len(np.unique(found.documents_H)),
        "documents_hit_per_benchmark": {
            one.benchmark: per_benchmark[number] for number, one in enumerate(index.coverage)
        },
    }


def in_all(index: Mapping[str, Any], shards: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the summaries of the index and of all shards as one: what can be found, and what was."""
    per_benchmark = sum((Counter(one["documents_hit_per_benchmark"]) for one in shards), Counter())
    return {
        "benchmarks": [{**one, "documents_hit": per_benchmark[one["benchmark"]]} for one in index["benchmarks"]],
        "documents_hit": sum(one["documents_hit"] for one in shards),
    }
