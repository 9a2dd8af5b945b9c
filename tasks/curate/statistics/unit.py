"""A unit of work: the statistics of one shard. It knows no threshold, so a changed one recomputes nothing here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.core.handles import Handle
from tasks.core.results import Here, UnitResult
from tasks.curate.annotators import kinds
from tasks.curate.annotators.kinds import Annotator
from tasks.curate.annotators.method import Documents, Reading
from tasks.curate.published.documents import write_annotations
from tasks.curate.statistics.pretokens import pretokens
from tasks.curate.statistics.shards import TextSource
from tasks.curate.statistics.texts import Columns, texts_of

ANNOTATIONS_FILE = "annotations.parquet"


@dataclass(frozen=True)
class Selection:
    """Whose documents have which annotators run over them: kinds `of_all` sources, and by source; how each is read."""

    of_all: tuple[str, ...]
    of_source: Mapping[str, tuple[str, ...]]
    readings: Mapping[str, Reading]

    def rows(self, kind: str, sources: list[str]) -> NDArray[np.int64]:
        """Return the rows whose documents an annotator is run over."""
        if kind in self.of_all:
            return np.arange(len(sources))
        return np.flatnonzero([kind in self.of_source[source] for source in sources])


@dataclass(frozen=True)
class ChosenAnnotator:
    """An annotator of the run, and the user's files that its config names, by field; the fields themselves are empty."""

    config: Annotator
    files: Mapping[str, Handle]

    def ready(self) -> Annotator:
        """Return the config with the files as they lie on this machine."""
        return self.config.model_copy(update={name: str(file.local()) for name, file in self.files.items()})


@dataclass(frozen=True)
class AnnotateArgs:
    """The shard to annotate, after the steps that change texts; the annotators in the order of their columns.

    Every shard has the columns of every annotator, null where it was not run.
    """

    texts: TextSource
    annotators: tuple[ChosenAnnotator, ...]
    selection: Selection


def annotate_shard(args: AnnotateArgs, here: Here) -> UnitResult:
    """Write the size of every document as it was ingested, and its statistics after the steps that change texts."""
    documents = args.texts.read(("id", "source", "url", "text"))
    before = TextSource(args.texts.documents).read(("text",)) if args.texts.steps else documents
    ingested = texts_of(before["text"])
    columns: dict[str, Any] = {
        "id": documents["id"],
        "source": documents["source"],
        "bytes": ingested.bytes_N,
        "pretokens": pretokens(ingested),
    }
    sources = documents["source"].to_pylist()
    for annotator in args.annotators:
        rows = args.selection.rows(annotator.config.kind, sources)
        readings = [args.selection.readings[sources[row]] for row in rows.tolist()]
        chosen = documents if len(rows) == documents.num_rows else documents.take(rows)
        given = Documents(texts_of(chosen["text"]), chosen["url"], readings)
        columns |= spread(_annotated(annotator.ready(), given, here.held), rows, documents.num_rows)
    write_annotations(pa.table(columns), here.folder / ANNOTATIONS_FILE)
    return UnitResult(summary={"documents": documents.num_rows})


def held_annotator(args: AnnotateArgs) -> ChosenAnnotator | None:
    """Return the annotator of which a worker keeps what it loads."""
    return next((one for one in args.annotators if kinds.method(one.config).load is not None), None)


def load_held(annotator: ChosenAnnotator | None) -> Any:
    """Return what a worker keeps."""
    load = None if annotator is None else kinds.method(annotator.config).load
    return None if annotator is None or load is None else load(annotator.ready())


def _annotated(config: Annotator, documents: Documents, held: Any) -> Columns:
    return kinds.method(config).annotate(config, documents, held)


def spread(columns: Columns, rows: NDArray[np.int64], number: int) -> dict[str, pa.Array]:
    """Return columns over all documents of a shard, null where a statistic was not taken."""
    if len(rows) == number:
        return {name: pa.array(values) for name, values in columns.items()}
    place = np.full(number, -1, np.int64)
    place[rows] = np.arange(len(rows))
    index = pa.array(place, mask=place < 0)
    return {name: pa.array(values).take(index) for name, values in columns.items()}
