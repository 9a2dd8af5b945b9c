"""A classifier of fastText that is trained on examples: DCLM's recipe (arXiv 2406.11794), examples named by the user.

Positives and negatives are records of files, or documents of the pool, by source or by id. Where no negatives are named,
they are as many documents of the pool as there are positives, chosen by a hash of their ids.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from tasks.core.errors import DataError
from tasks.curate.annotators.method import existing_file
from tasks.curate.decontaminate.benchmarks import named_files, read_benchmark
from tasks.curate.fasttext_model import load_model, probabilities
from tasks.curate.fasttext_training import POSITIVE, FastTextTraining, examples_of, lowest, train
from tasks.curate.fasttext_words import told_apart, told_words
from tasks.curate.scorers.method import Documents, Files, Given, LearningPass, ScorerMethod, ScorerParams, Target
from tasks.curate.statistics.texts import Columns

MODEL = "model.bin"
_CLASSES, _WAYS = ("positive", "negative"), ("files", "sources", "ids")
# DCLM has 200,000 of each; of fewer than these, a warning. A guess.
_FEW_EXAMPLES = 1_000
# Of examples that it was trained on; a guess.
_HARDLY_APART = 0.02

Names = Annotated[tuple[str, ...], Field(min_length=1)]


class FastTextTrained(ScorerParams):
    """P(positive) under a classifier that is trained on examples.

    Attributes:
        positive_files: JSONL files, paths or globs; each record is a positive.
        positive_sources: documents of these sources are positives.
        positive_ids: a file of ids of documents, one a line, which are positives.
        negative_files, negative_sources, negative_ids: negatives, in the same way; none of them: documents of the pool.
        fields: the fields of a record that are its text; None: every string.
        max_examples: of more positives, or negatives, a hash chooses so many.
        training: how the classifier is trained.
        seed: of the choices and of the training.
    """

    kind: Literal["fasttext_trained"] = "fasttext_trained"
    positive_files: Names | None = None
    positive_sources: Names | None = None
    positive_ids: str | None = None
    negative_files: Names | None = None
    negative_sources: Names | None = None
    negative_ids: str | None = None
    fields: Names | None = None
    max_examples: Annotated[int, Field(ge=1)] = 200_000
    training: FastTextTraining = FastTextTraining()
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    def mistakes(self) -> Iterator[str]:
        """Return what is wrong with the examples."""
        if not self.named("positive"):
            yield "no positives: name positive_files, positive_sources or positive_ids"
        if both := {*(self.positive_sources or ())} & {*(self.negative_sources or ())}:
            yield f"source {min(both)!r} is both positive and negative: leave one out"

    def named(self, which: str) -> list[str]:
        """Return which of the settings name examples of a class."""
        settings = [f"{which}_{how}" for how in _WAYS]
        return [setting for setting in settings if getattr(self, setting) is not None]


# ---- Which documents of a shard are examples. An id says more than a source.


def _load_ids(config: FastTextTrained, given: Given) -> Mapping[str, frozenset[str]]:
    """Return the ids that the user's files name, by class."""
    ids = {which: _ids(given.files.get(f"{which}_ids"), f"scorer {config.name}") for which in _CLASSES}
    if both := ids["positive"] & ids["negative"]:
        raise DataError(
            f"scorer {config.name}: {len(both):,} ids stand in positive_ids and in negative_ids, such as {min(both)}. Take "
            "them out of one."
        )
    return ids


def _ids(path: Path | None, setting: str) -> frozenset[str]:
    if path is None:
        return frozenset()
    try:
        found = frozenset(path.read_text(encoding="utf-8-sig").split("\n")) - {""}
    except ValueError as error:
        raise DataError(f"{setting}: {path} is no UTF-8 text: {error}. Name a file with one id a line.") from error
    if not found:
        raise DataError(f"{setting}: there is no id in {path}. Name a file with one id a line.")
    return found


def _look(config: FastTextTrained, documents: Documents, ids: Mapping[str, frozenset[str]]) -> pa.Table:
    names, sources = (documents.table[name].to_pylist() for name in ("id", "source"))
    found = [_class_of(config, ids, name, source) for name, source in zip(names, sources, strict=True)]
    rows = [row for row, positive in enumerate(found) if positive is not None]
    every = documents.table.take(pa.array(rows, pa.int64()))
    examples = examples_of(every["id"].to_pylist(), every["text"], [bool(found[row]) for row in rows], config.seed)
    by_id = [names[row] in ids["positive"] or names[row] in ids["negative"] for row in rows]
    columns = {"id": every["id"], "source": every["source"], "by_id": pa.array(by_id, pa.bool_())}
    for name, values in columns.items():
        examples = examples.append_column(name, values)
    return _chosen(examples, config.max_examples)


def _class_of(config: FastTextTrained, ids: Mapping[str, frozenset[str]], name: str, source: str) -> bool | None:
    """Return whether a document is a positive; None: it is no example."""
    if name in ids["positive"] or name in ids["negative"]:
        return name in ids["positive"]
    if source in (config.positive_sources or ()):
        return True
    return False if not config.named("negative") or source in (config.negative_sources or ()) else None


def _chosen(examples: pa.Table, number: int) -> pa.Table:
    """Return the examples of a class that were named by their ids, and of the others the first `number` by their hash."""
    positive_N, by_id_N = (examples[name].to_numpy() for name in ("positive", "by_id"))
    order = np.argsort(examples["order"].to_numpy(), kind="stable")
    rows = [order[(positive_N[order] == which) & ~by_id_N[order]][:number] for which in (True, False)]
    return examples.take(pa.array(np.sort(np.concatenate([np.flatnonzero(by_id_N), *rows]))))


# ---- What is learned of them.


def _learn(config: FastTextTrained, looks: Iterable[pa.Table], files: Files, folder: Path) -> Mapping[str, Any]:
    pool = _merged(looks, config.max_examples)
    told: dict[str, Any] = {}
    for which in _CLASSES:
        told |= _require_named(config, pool.filter(_is(pool, which)), files, which)
    every = {which: _examples(config, pool, files, which) for which in _CLASSES}
    positives, negatives = lowest(every["positive"], config.max_examples), every["negative"]
    distinct = negatives.filter(pc.invert(pc.is_in(negatives["text"], positives["text"].combine_chunks())))
    wanted = config.max_examples if config.named("negative") else positives.num_rows
    chosen = {"positive": positives, "negative": lowest(distinct, wanted)}
    for which, examples in chosen.items():
        if not examples.num_rows:
            raise DataError(
                f"scorer {config.name}: there is no {which} example with a word in it, and two classes are told apart. Name "
                f"others ({which}_files, {which}_sources, {which}_ids)."
            )
    examples = pa.concat_tables(chosen.values())
    train(examples, config.training, config.seed, folder / MODEL, f"scorer {config.name}")
    told |= {f"{which}_examples": own.num_rows for which, own in chosen.items()}
    told["negatives_that_are_positives"] = negatives.num_rows - distinct.num_rows
    told |= told_words(folder / MODEL) | {"told_apart": told_apart(folder / MODEL, examples)}
    warnings = []
    if (fewest := min(own.num_rows for own in chosen.values())) < _FEW_EXAMPLES:
        warnings.append(f"{fewest:,} examples of a class say little: DCLM takes 200,000")
    if not told["told_apart"] > _HARDLY_APART:
        warnings.append(
            f"P(positive) of its own positives is only {told['told_apart']:.2g} above that of its negatives: it has hardly "
            "learned; raise training.epochs or training.learning_rate, or name more examples"
        )
    return told | ({"warning": "; ".join(warnings)} if warnings else {})


def _merged(looks: Iterable[pa.Table], number: int) -> pa.Table:
    merged: pa.Table | None = None
    for look in looks:
        merged = look if merged is None else _chosen(pa.concat_tables([merged, look]), number)
    assert merged is not None
    return merged


def _is(examples: pa.Table, which: str) -> Any:
    return examples["positive"] if which == "positive" else pc.invert(examples["positive"])


def _require_named(config: FastTextTrained, found: pa.Table, files: Files, which: str) -> dict[str, int]:
    """Return how many named documents are not there; raise DataError where none is, or none of a source."""
    missing = {*(getattr(config, f"{which}_sources") or ())} - {*found["source"].to_pylist()}
    if missing:
        raise DataError(
            f"scorer {config.name}, {which}_sources: no document is of the source {min(missing)!r}. Name sources of ingest."
        )
    wanted = _ids(files.get(f"{which}_ids"), f"scorer {config.name}")
    strangers = wanted - {*found.filter(found["by_id"])["id"].to_pylist()}
    if wanted and strangers == wanted:
        raise DataError(
            f"scorer {config.name}, {which}_ids: none of its {len(wanted):,} ids is that of a document, such as "
            f"{min(wanted)}. Name ids as `mixwright scores` writes them."
        )
    return {f"{which}_ids_not_there": len(strangers)} if strangers else {}


def _examples(config: FastTextTrained, pool: pa.Table, files: Files, which: str) -> pa.Table:
    """Return every example of a class that has a text: of the user's files, and of the pool."""
    named = {name: path for name, path in files.items() if name.startswith(f"{which}.")}
    records = [read_benchmark(name, path, config.fields) for name, path in named.items()]
    texts = ["\n".join(item) for record in records for item in record.items]
    of_files = examples_of(texts, texts, [which == "positive"] * len(texts), config.seed)
    every = pa.concat_tables([of_files, pool.filter(_is(pool, which)).select(of_files.column_names)])
    return every.filter(pc.not_equal(pc.utf8_trim_whitespace(every["text"]), ""))


def _user_files(config: FastTextTrained) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for which in _CLASSES:
        setting = f"scorer {config.name}, {which}"
        named = named_files(getattr(config, f"{which}_files") or (), f"{setting}_files")
        found |= {f"{which}.{name}": path for name, path in named.items()}
        if (ids := getattr(config, f"{which}_ids")) is not None:
            found[f"{which}_ids"] = existing_file(ids, f"{setting}_ids", "a file of ids, one a line")
    return found


def _load(config: FastTextTrained, given: Given) -> Any:
    assert given.learned is not None
    return load_model(given.learned / MODEL, f"scorer {config.name}")


def _score(config: FastTextTrained, documents: Documents, held: Any) -> Columns:
    return {"": probabilities(held, POSITIVE, documents.to_list())}


def _target(config: FastTextTrained, files: Iterable[str]) -> Target:
    return Target(tuple(name for name in files if name.startswith("positive.")), config.fields)


METHOD = ScorerMethod(
    ("",),
    _score,
    _load,
    user_files=_user_files,
    file_fields=tuple(f"{which}_{how}" for which in _CLASSES for how in ("files", "ids")),
    learning=LearningPass(
        _look,
        _learn,
        looks_at_files=True,
        load=_load_ids,
        look_fields=("positive_sources", *(f"negative_{how}" for how in _WAYS), "max_examples", "seed"),
        publishes=(MODEL,),
    ),
    target=_target,
)
