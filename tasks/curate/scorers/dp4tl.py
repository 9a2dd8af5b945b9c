"""DP4TL: classes of the pool that a target's texts are nearest to (Zhang et al. 2023, arXiv 2310.08782).

Classes of text are sources, or clusters by k-means. Feature mapping gives every text of the target to the class with the
nearest mean; label mapping to the class that a classifier of the pool's classes finds. A class counts for the texts it was
given. Axes: N documents, C classes, D dimensions.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tasks.curate.scorers.linear_head import fit, predict
from tasks.curate.scorers.method import EmbeddedPass, Files, Given, ScorerMethod
from tasks.curate.scorers.targets import TargetParams, no_words, target_files, target_of, target_told, target_vectors
from tasks.curate.statistics.texts import Columns
from tasks.embedding.documents import EmbeddedDocuments
from tasks.embedding.kinds import Embed
from tasks.embedding.nearest import centres, nearest_means

_CLASSES, _CENTRES = "classes.json", "centres.npy"
_RIDGE = 0.01
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class Dp4tl(TargetParams):
    """The share of the target that a document's class was given, and the rank of that class (1: the largest share).

    Attributes:
        classes: what documents are told apart by.
        num_clusters: clusters, where these are the classes.
        mapping: `feature` (nearest class mean) or `label` (a ridge classifier of the pool's classes).
    """

    kind: Literal["dp4tl"] = "dp4tl"
    classes: Literal["source", "cluster"] = "source"
    num_clusters: Annotated[int, Field(ge=2)] = 100
    mapping: Literal["feature", "label"] = "feature"
    seed: Annotated[int, Field(ge=0)] = 0


def class_shares(
    target_MD: Floats, vectors_ND: Floats, class_N: Ints, num_classes: int, mapping: Literal["feature", "label"]
) -> npt.NDArray[np.float64]:
    """Return which share of the target is given to each class, float64 [C]."""
    if mapping == "feature":
        means_CD = np.stack([vectors_ND[class_N == one].mean(axis=0, dtype=np.float64) for one in range(num_classes)])
        given_M = nearest_means(means_CD.astype(np.float32), target_MD)
    else:
        heads = [fit(vectors_ND, (class_N == one).astype(np.float64), _RIDGE) for one in range(num_classes)]
        given_M = np.argmax(np.stack([predict(head, target_MD) for head in heads]), axis=0)
    shares_C: npt.NDArray[np.float64] = np.bincount(given_M, minlength=num_classes) / len(target_MD)
    return shares_C


def ranks_of(shares_C: npt.NDArray[np.float64], names: Sequence[str]) -> list[int]:
    """Return the rank of each class: 1 has the largest share; of equals, the first by name.

    >>> ranks_of(np.array([0.2, 0.6, 0.2]), ["b", "a", "c"])
    [2, 1, 3]
    """
    order = sorted(range(len(names)), key=lambda one: (-shares_C[one], names[one]))
    return [order.index(one) + 1 for one in range(len(names))]


def _learn(config: Dp4tl, documents: EmbeddedDocuments, embed: Embed, files: Files, folder: Path) -> Mapping[str, Any]:
    target_MD = target_vectors(config, files, embed)
    known = np.any(documents.vectors_ND != 0, axis=1)
    vectors_ND = documents.vectors_ND[known]
    if len(vectors_ND) < 2:
        raise no_words(
            config, f"words of {len(vectors_ND):,} of the {len(documents):,} documents, and two are the fewest"
        )
    if config.classes == "cluster":
        centres_CD = centres(vectors_ND, config.num_clusters, config.seed)
        np.save(folder / _CENTRES, centres_CD)
        names, class_N = [f"cluster {one}" for one in range(len(centres_CD))], nearest_means(centres_CD, vectors_ND)
        # A cluster that holds none when vectors are compared as whole numbers is none.
        there, class_N = np.unique(class_N, return_inverse=True)
        names = [names[one] for one in there.tolist()]
    else:
        sources = [source for source, one in zip(documents.sources, known.tolist(), strict=True) if one]
        found, class_N = np.unique(np.array(sources, object), return_inverse=True)
        names = found.tolist()
    shares_C = class_shares(target_MD, vectors_ND, class_N.astype(np.int64), len(names), config.mapping)
    ranks = ranks_of(shares_C, names)
    classes = {name: (float(share), rank) for name, share, rank in zip(names, shares_C, ranks, strict=True)}
    (folder / _CLASSES).write_text(json.dumps(classes, ensure_ascii=False), encoding="utf-8")
    best = sorted(classes, key=lambda name: classes[name][1])[:10]
    return {
        **target_told(target_MD),
        "classes": len(names),
        "classes_given_nothing": int((shares_C == 0).sum()),
        "largest_shares": {name: round(classes[name][0], 4) for name in best},
    }


def _load(config: Dp4tl, given: Given) -> tuple[Mapping[str, tuple[float, int]], Floats | None]:
    assert given.learned is not None
    classes = json.loads((given.learned / _CLASSES).read_text(encoding="utf-8"))
    return classes, np.load(given.learned / _CENTRES) if config.classes == "cluster" else None


def _score(
    config: Dp4tl, documents: EmbeddedDocuments, held: tuple[Mapping[str, tuple[float, int]], Floats | None]
) -> Columns:
    classes, centres_CD = held
    names: Sequence[str] = documents.sources
    if centres_CD is not None:
        known = np.any(documents.vectors_ND != 0, axis=1).tolist()
        nearest = nearest_means(centres_CD, documents.vectors_ND).tolist()
        names = [f"cluster {one}" if there else "" for one, there in zip(nearest, known, strict=True)]
    found = np.array([classes.get(name, (np.nan, np.nan)) for name in names], np.float64).reshape(-1, 2)
    return {"": found[:, 0], "rank": found[:, 1]}


METHOD = ScorerMethod(
    ("", "rank"),
    _score,
    _load,
    user_files=target_files,
    file_fields=("target",),
    target=target_of,
    learning=EmbeddedPass(_learn),
)
