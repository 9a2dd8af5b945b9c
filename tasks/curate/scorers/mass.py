"""MASS: documents near to skills of a reference set and to skills that go together there (Li et al. 2025, arXiv 2503.14917).

A graph of skills: how often each is asked for, and how often two are by one item, each normalised to 1 apart. How the paper
adds up a document's similarities over the graph could not be verified: both readings are here, and one has to be named.
Axes: N documents, S skills, D dimensions, I items.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tasks.core.digest import digest_json
from tasks.core.errors import DataError
from tasks.core.json_lines import read_lines
from tasks.core.ranks import rank_correlation
from tasks.core.rng import generator
from tasks.curate.scorers.examples import example_text
from tasks.curate.scorers.method import EmbeddedPass, Files, Given, ScorerMethod
from tasks.curate.scorers.targets import TargetParams, no_words, target_files, target_of
from tasks.curate.statistics.texts import Columns
from tasks.embedding.documents import EmbeddedDocuments, cosines, whole_numbers
from tasks.embedding.kinds import Embed
from tasks.embedding.nearest import centres, nearest_means

_GRAPH = "graph.npz"
_SENTENCE_ENDS = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
_SHUFFLED_OVER = 2_000
Floats = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]


class Mass(TargetParams):
    """How near a document is to the skills of `target`.

    Attributes:
        form: s' A s (`quadratic`) or 1' A s (`linear`), s being the cosines of the document with the skills.
        skills: the field of an item with the names of its skills, as a model gave them; None: clusters of items' sentences.
        num_skills: clusters of sentences.
        merge_from: names with at least this cosine are one skill; None: each is its own.
    """

    kind: Literal["mass"] = "mass"
    form: Literal["quadratic", "linear"]
    skills: Annotated[str, Field(min_length=1)] | None = None
    num_skills: Annotated[int, Field(ge=2)] = 100
    merge_from: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True)
class SkillGraph:
    """Vectors of S skills, and the graph: what is on its diagonal sums to 1, and so does all else (or 0)."""

    skills_SD: Vectors
    graph_SS: Floats


def graph_of(skills_of_items: Sequence[frozenset[int]], num_skills: int) -> Floats:
    """Return the graph, float64 [S, S], symmetric: an edge is half of a pair's share of all pairs, on each side.

    >>> graph_of([frozenset({0, 1}), frozenset({1})], 2).round(2).tolist()
    [[0.33, 0.5], [0.5, 0.67]]
    """
    graph_SS = np.zeros((num_skills, num_skills))
    for own in skills_of_items:
        for one, other in combinations(sorted(own), 2):
            graph_SS[one, other] += 1
            graph_SS[other, one] += 1
    counts_S = np.bincount([one for own in skills_of_items for one in own], minlength=num_skills)
    if graph_SS.any():
        graph_SS /= graph_SS.sum()
    np.fill_diagonal(graph_SS, counts_S / counts_S.sum())
    return graph_SS


def shuffled(graph_SS: Floats, seed: int) -> Floats:
    """Return the graph with its edges at other pairs; how often each skill is asked for stays."""
    upper = np.triu_indices(len(graph_SS), 1)
    edges = generator(seed, "mass", "edges").permutation(graph_SS[upper])
    found = np.diag(np.diag(graph_SS))
    found[upper] = edges
    found.T[upper] = edges
    return found


def scores_of(graph: SkillGraph, form: Literal["quadratic", "linear"], vectors_ND: Vectors) -> Floats:
    """Return the score of every document, NaN where nothing is known of it."""
    similarities_NS = cosines(whole_numbers(vectors_ND) @ whole_numbers(graph.skills_SD).T)
    if form == "linear":
        found_N: Floats = (similarities_NS * graph.graph_SS.sum(axis=0)).sum(axis=1)
    else:
        # Row by row, so that a score does not depend on the documents around it.
        found_N = np.array([float(row_S @ (graph.graph_SS @ row_S)) for row_S in similarities_NS], np.float64)
    found_N[~np.any(vectors_ND != 0, axis=1)] = np.nan
    return found_N


def sentences(text: str) -> list[str]:
    r"""Return the sentences and lines of a text that have a letter.

    >>> sentences("Add 2. Then halve it!\n3 4")
    ['Add 2.', 'Then halve it!']
    """
    return [part for one in _SENTENCE_ENDS.split(text) if any(map(str.isalpha, part := one.strip()))]


def _learn(config: Mass, documents: EmbeddedDocuments, embed: Embed, files: Files, folder: Path) -> Mapping[str, Any]:
    items = sorted((own for path in files.values() for own in _items(config, path)), key=digest_json)
    names = sorted({name for own in items for name in own})
    if not names:
        what = "sentence" if config.skills is None else f"name in the field {config.skills}"
        raise DataError(f"scorer {config.name}: there is no {what} in its target ({', '.join(files)}).")
    vectors_MD = embed(names)
    known_M = np.any(vectors_MD != 0, axis=1)
    if known_M.sum() < 2:
        raise no_words(config, f"fewer than two of {len(names):,} skills or sentences")
    found, skill_M = _skills(config, vectors_MD[known_M])
    skill_of = dict(
        zip((name for name, there in zip(names, known_M.tolist(), strict=True) if there), skill_M, strict=True)
    )
    own = [frozenset(int(skill_of[name]) for name in item if name in skill_of) for item in items]
    graph = SkillGraph(found, graph_of(own, len(found)))
    np.savez(folder / _GRAPH, skills=graph.skills_SD, graph=graph.graph_SS)
    edges = int(np.count_nonzero(np.triu(graph.graph_SS, 1)))
    return {
        "items": len(items),
        "skills": len(found),
        "edges": edges,
        "form": config.form,
        "rank_correlation_with_shuffled_edges": _shuffle_check(config, graph, documents),
    }


def _items(config: Mass, path: Path) -> Iterator[list[str]]:
    for where, item in read_lines([path]):
        if config.skills is None:
            yield sentences(example_text(item, config.fields))
            continue
        names = item.get(config.skills)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DataError(
                f"{where}: {config.skills!r} is {names!r:.80}, which is no list of names. Give each item "
                "its skills, or leave `skills` out."
            )
        yield [name.strip() for name in names if name.strip()]


def _skills(config: Mass, vectors_MD: Vectors) -> tuple[Vectors, npt.NDArray[np.int64]]:
    """Return the vectors of skills, of length 1, and which skill each name or sentence is."""
    if config.skills is None:
        means_SD = centres(vectors_MD, config.num_skills, config.seed)
        there, skill_M = np.unique(nearest_means(means_SD, vectors_MD), return_inverse=True)
        means_SD = means_SD[there]
        return (means_SD / np.linalg.norm(means_SD, axis=1, keepdims=True)).astype(np.float32), skill_M.astype(np.int64)
    if config.merge_from is None:
        return vectors_MD, np.arange(len(vectors_MD))
    alike_MM = cosines(whole_numbers(vectors_MD) @ whole_numbers(vectors_MD).T) >= config.merge_from
    # The first name of each that is like an earlier one stands for it.
    first_M = np.argmax(alike_MM, axis=1)
    there, skill_M = np.unique(first_M, return_inverse=True)
    return vectors_MD[there], skill_M.astype(np.int64)


def _shuffle_check(config: Mass, graph: SkillGraph, documents: EmbeddedDocuments) -> float | None:
    """Return how the order of documents agrees with that by shuffled edges: at 1 the edges say nothing of these."""
    vectors_ND = documents.vectors_ND[np.any(documents.vectors_ND != 0, axis=1)]
    vectors_ND = vectors_ND[:: max(1, len(vectors_ND) // _SHUFFLED_OVER)]
    if len(vectors_ND) < 3:
        return None
    other = SkillGraph(graph.skills_SD, shuffled(graph.graph_SS, config.seed))
    rank = rank_correlation(*(scores_of(one, config.form, vectors_ND) for one in (graph, other)))
    return None if rank is None else round(rank, 4)


def _load(config: Mass, given: Given) -> SkillGraph:
    assert given.learned is not None
    with np.load(given.learned / _GRAPH, allow_pickle=False) as found:
        return SkillGraph(found["skills"], found["graph"])


def _score(config: Mass, documents: EmbeddedDocuments, held: SkillGraph) -> Columns:
    return {"": scores_of(held, config.form, documents.vectors_ND)}


METHOD = ScorerMethod(
    ("",),
    _score,
    _load,
    user_files=target_files,
    file_fields=("target",),
    target=target_of,
    learning=EmbeddedPass(_learn),
)
