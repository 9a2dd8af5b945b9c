"""Labels that the user gives to documents of the pool, by id, or to texts of his own; and which part learns from them."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.core.errors import DataError
from tasks.core.json_lines import read_lines
from tasks.core.rng import seed_of
from tasks.embedding.documents import EmbeddedDocuments
from tasks.embedding.kinds import Embed

_HASHES = 1 << 32


@dataclass(frozen=True)
class Labelled:
    """Vectors [N, D] and their K labels, [N, K], in the order of their ids or texts.

    `test_N`: which take no part in training.
    `missing`: ids that no document has. `unknown`: documents and texts of which the embedder knows no word.
    `again`: documents and texts that have more than one label, and each counts.
    """

    vectors_ND: npt.NDArray[np.float32]
    labels_NK: npt.NDArray[np.float64]
    test_N: npt.NDArray[np.bool_]
    missing: int
    unknown: int
    again: int


def labelled(
    files: Mapping[str, Path],
    fields: Sequence[str],
    documents: EmbeddedDocuments,
    embed: Embed,
    test_share: float,
    seed: int,
    where: str,
) -> Labelled:
    """Return what is labelled: each record has all of the K `fields`, and an `id` or a `text`.

    What is called the same is on the same side of the split, which follows from `seed` and its hash.

    Raises:
        DataError: a record has no number there or neither id nor text, or no document has any of the ids.
    """
    found = sorted(record for path in files.values() for record in _records(path, fields))
    by_id = [(name, labels) for is_text, name, labels in found if not is_text]
    by_text = [(name, labels) for is_text, name, labels in found if is_text]
    rows = {name: row for row, name in enumerate(documents.ids)}
    there = [(name, labels) for name, labels in by_id if name in rows]
    missing = [name for name, _ in by_id if name not in rows]
    if not there and not by_text:
        raise DataError(
            f"{where}: no document has any of the {len(missing):,} ids that are labelled, such as {missing[0]!r}. Ids are "
            "those of `mixwright scores FOLDER --to FILE.parquet`; records may have a `text` instead."
        )
    vectors_ND = np.concatenate(
        [
            documents.vectors_ND[[rows[name] for name, _ in there]],
            embed([text for text, _ in by_text]) if by_text else documents.vectors_ND[:0],
        ]
    )
    every = [*there, *by_text]
    known_N = np.any(vectors_ND != 0, axis=1)
    test_N = np.array([seed_of(seed, "test", name) % _HASHES < test_share * _HASHES for name, _ in every], np.bool_)
    labels_NK = np.array([labels for _, labels in every], np.float64)
    unknown = int(len(every) - known_N.sum())
    again = sum(times > 1 for times in Counter((is_text, name) for is_text, name, _ in found).values())
    return Labelled(vectors_ND[known_N], labels_NK[known_N], test_N[known_N], len(missing), unknown, again)


def _records(path: Path, fields: Sequence[str]) -> Iterator[tuple[bool, str, tuple[float, ...]]]:
    """Yield (whether it is a text, the id or text, its labels)."""
    for where, item in read_lines([path]):
        for field in fields:
            label = item.get(field)
            if isinstance(label, bool) or not isinstance(label, int | float) or not math.isfinite(label):
                raise DataError(f"{where}: {field!r} is {label!r}, which is no number. Mend or remove it.")
        name, text = item.get("id"), item.get("text")
        if not isinstance(text if name is None else name, str):
            raise DataError(f"{where}: it has neither an `id` nor a `text`, each a string. Add one.")
        yield name is None, str(text if name is None else name), tuple(float(item[field]) for field in fields)
