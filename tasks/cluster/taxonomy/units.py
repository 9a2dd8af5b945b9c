"""The units at both ends of a taxonomy: the sample that is labelled, and what is told of the topics of all documents.

Axes: N documents, K topics with `other` as the last.
"""

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tasks.cluster.published.taxonomy import Taxonomy, TopicShare
from tasks.cluster.taxonomy.labels import Human, read_humans
from tasks.cluster.taxonomy.reading import load_scores, topics_of
from tasks.cluster.taxonomy.shares import corrected
from tasks.core.handles import Handle, Tree
from tasks.core.results import Here, UnitResult
from tasks.core.rng import seed_of
from tasks.core.tables import write_table
from tasks.curate.published.documents import read_shard
from tasks.embedding.unit import beginnings

SAMPLE_FILE, TO_LABEL_FILE = "sample.parquet", "to_label.jsonl"


@dataclass(frozen=True)
class SampleArgs:
    """All shards, and how many documents a model and people are to label."""

    shards: tuple[Handle, ...]
    num_documents: int
    num_to_label: int
    max_chars: int
    seed: int


@dataclass(frozen=True)
class TellArgs:
    """All shards, their topics, the classifier, and labels by people."""

    shards: tuple[Handle, ...]
    topics: tuple[Handle, ...]
    learned: Tree
    labelled: Handle | None


def sample(args: SampleArgs, here: Here) -> UnitResult:
    """Write the sample for the model, and the documents that people may label, each of the lowest hashes of ids."""
    ids, texts = [], []
    for shard in args.shards:
        table = read_shard(shard.local(), ["id", "text"])
        ids += table["id"].to_pylist()
        texts += beginnings(table["text"], args.max_chars)
    chosen, others = (
        sorted(range(len(ids)), key=lambda row, what=what: (seed_of(args.seed, what, ids[row]), ids[row]))  # type: ignore[misc]
        for what in ("taxonomy", "to label")
    )
    rows = chosen[: args.num_documents]
    write_table(
        pa.table({"id": [ids[row] for row in rows], "text": [texts[row] for row in rows]}), here.folder / SAMPLE_FILE
    )
    asked = others[: args.num_to_label]
    lines = [{"id": ids[row], "topic": None, "probability": len(asked) / len(ids), "text": texts[row]} for row in asked]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (here.folder / TO_LABEL_FILE).write_text(text, encoding="utf-8")
    return UnitResult()


def tell(args: TellArgs, here: Here) -> UnitResult:
    """Write the shares of topics, corrected by labels of people where there are some.

    Raises:
        DataError: a label is of no topic, or none is of a kept document.
    """
    names, told = topics_of(args.learned)
    predicted_N = load_scores(args.topics).argmax(axis=1).astype(np.int64)
    ids = [name for shard in args.shards for name in read_shard(shard.local(), ["id"])["id"].to_pylist()]
    people = None if args.labelled is None else read_humans(args.labelled.local(), [name for name, _ in names], ids)
    shares_of = None
    if people is not None:
        shares_of = corrected(predicted_N, people.rows_n, people.topic_n, people.probability_n, len(names))
    count_K = np.bincount(predicted_N, minlength=len(names))
    Taxonomy(
        topics=tuple(
            TopicShare(
                name=name,
                description=description,
                documents=int(count_K[k]),
                predicted=float(count_K[k] / len(ids)),
                corrected=None if shares_of is None else float(shares_of.corrected_K[k]),
                low=None if shares_of is None else float(shares_of.low_K[k]),
                high=None if shares_of is None else float(shares_of.high_K[k]),
            )
            for k, (name, description) in enumerate(names)
        ),
        told=told,
        labelled=_number(people),
        labelled_not_in_pool=0 if people is None else people.not_in_pool,
    ).write(here.folder)
    return UnitResult()


def _number(people: Human | None) -> int:
    return 0 if people is None else len(people.rows_n)
