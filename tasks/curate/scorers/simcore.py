"""SimCore: a coreset near to a target, whose size follows from how fast nearness falls (Kim et al. 2023, arXiv 2303.11101).

The target is summed up by k-means; in each round every centre takes the nearest document that is not taken, until a round's
mean cosine has fallen below a share of that of an early round. Axes: N documents, K centres, D dimensions.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveInt

from tasks.core.errors import ConfigError
from tasks.curate.scorers.method import EmbeddedPass, Files, Given, ScorerMethod
from tasks.curate.scorers.targets import TargetParams, no_words, target_files, target_of, target_told, target_vectors
from tasks.curate.statistics.texts import Columns
from tasks.embedding.documents import EmbeddedDocuments, cosines, whole_numbers
from tasks.embedding.kinds import Embed
from tasks.embedding.nearest import centres

_TAKEN = "taken.json"
# Of each centre and document 8 bytes are held: 4 GB.
_MOST_PAIRS = 1 << 29
Floats = npt.NDArray[np.float32]


class SimCore(TargetParams):
    """1 / the round in which a document was taken, with the cosine to the centre that took it; no score if it never was.

    Attributes:
        num_centres: centres of the target by k-means, each scaled to length 1; None: every text of the target is one.
        stop_below: the rounds end before the one whose mean cosine is less than this share of that of `reference_round`.
        reference_round: the paper's 20.
        most_per_target: documents that are taken, at most, for each text of the target.
    """

    kind: Literal["simcore"] = "simcore"
    num_centres: PositiveInt | None = 100
    stop_below: Annotated[float, Field(gt=0, lt=1)] = 0.95
    reference_round: PositiveInt = 20
    most_per_target: Annotated[float, Field(gt=0)] = 50.0
    seed: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True)
class Taken:
    """What was taken: rows of documents, the round of each, its cosine; and why the rounds ended."""

    rows: tuple[int, ...]
    rounds: tuple[int, ...]
    cosines: tuple[float, ...]
    ended: str


def taken(centres_KD: Floats, documents_ND: Floats, config: SimCore, most: int) -> Taken:
    """Return the documents that centres take in turn, each the nearest that is left; of equals, the first row."""
    products_KN = whole_numbers(centres_KD) @ whole_numbers(documents_ND).T
    order_KN = np.stack([np.argsort(-products_N, kind="stable").astype(np.int32) for products_N in products_KN])
    places, free = [0] * len(order_KN), np.ones(len(documents_ND), np.bool_)
    rows, rounds, found = list[int](), list[int](), list[float]()
    reference, number = 0.0, 0
    while len(rows) < most:
        number, own = number + 1, list[tuple[int, float]]()
        for centre, order_N in enumerate(order_KN):
            while places[centre] < len(order_N) and not free[order_N[places[centre]]]:
                places[centre] += 1
            if places[centre] < len(order_N):
                row = int(order_N[places[centre]])
                free[row] = False
                own.append((row, float(cosines(products_KN[centre, row : row + 1])[0])))
        if not own:
            return Taken(tuple(rows), tuple(rounds), tuple(found), "no document was left")
        mean = sum(cosine for _, cosine in own) / len(own)
        if number == config.reference_round:
            reference = mean
        if number > config.reference_round and mean < config.stop_below * reference:
            return Taken(tuple(rows), tuple(rounds), tuple(found), "nearness fell")
        own = own[: most - len(rows)]
        rows += [row for row, _ in own]
        rounds += [number] * len(own)
        found += [cosine for _, cosine in own]
    return Taken(tuple(rows), tuple(rounds), tuple(found), "as many as asked for")


def _learn(
    config: SimCore, documents: EmbeddedDocuments, embed: Embed, files: Files, folder: Path
) -> Mapping[str, Any]:
    target_MD = target_vectors(config, files, embed)
    known = np.flatnonzero(np.any(documents.vectors_ND != 0, axis=1))
    if not len(known):
        raise no_words(config, f"no word of the {len(documents):,} documents")
    means_KD = target_MD if config.num_centres is None else centres(target_MD, config.num_centres, config.seed)
    lengths_K1 = np.linalg.norm(means_KD, axis=1, keepdims=True)
    centres_KD = (means_KD / np.where(lengths_K1 > 0, lengths_K1, 1)).astype(np.float32)
    if len(centres_KD) * len(known) > _MOST_PAIRS:
        raise ConfigError(
            f"scorer {config.name}: {len(centres_KD):,} centres times {len(known):,} documents are more than "
            f"{_MOST_PAIRS:,} pairs. Set num_centres to at most {_MOST_PAIRS // len(known):,}."
        )
    most = max(1, int(config.most_per_target * len(target_MD)))
    found = taken(centres_KD, documents.vectors_ND[known], config, most)
    ids = [documents.ids[row] for row in known[list(found.rows)].tolist()]
    by_id = dict(zip(ids, zip(found.rounds, found.cosines, strict=True), strict=True))
    (folder / _TAKEN).write_text(json.dumps(by_id, ensure_ascii=False), encoding="utf-8")
    return {
        **target_told(target_MD),
        "centres": len(centres_KD),
        "taken": len(found.rows),
        "rounds": max(found.rounds, default=0),
        "ended": found.ended,
    }


def _load(config: SimCore, given: Given) -> Mapping[str, tuple[int, float]]:
    assert given.learned is not None
    found: Mapping[str, tuple[int, float]] = json.loads((given.learned / _TAKEN).read_text(encoding="utf-8"))
    return found


def _score(config: SimCore, documents: EmbeddedDocuments, held: Mapping[str, tuple[int, float]]) -> Columns:
    found = np.array([held.get(name, (np.nan, np.nan)) for name in documents.ids], np.float64).reshape(-1, 2)
    return {"": 1 / found[:, 0], "cosine": found[:, 1]}


METHOD = ScorerMethod(
    ("", "cosine"),
    _score,
    _load,
    user_files=target_files,
    file_fields=("target",),
    target=target_of,
    learning=EmbeddedPass(_learn),
)
