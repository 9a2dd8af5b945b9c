"""The leaderboards of the study of scorers: which documents, which text is held out, who is ranked.

Two pools. In `targeted` the shared corpus is the pool, scorers see the first half of PubMedQA, and what counts is bits per
byte of its second half; a suite of other benchmarks is held out. In `planted` most documents have some of their words
shuffled, what counts is bits per byte of clean documents, and ratings say how much was shuffled.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.studies.ordered_models import train_ordered
from benchmarks.studies.workspace import STAGES, sampled, write_lines
from tasks.core.rng import generator, seed_of
from tasks.curate.scorers.examples import example_text

Scorers = Sequence[Mapping[str, Any]]
TARGET, SUITE, CLEAN = "pubmed", "suite", "clean"
# Benchmarks whose items are measured and selected by nobody; and those that the held-out arm selects by instead.
_SUITE = ("arc_challenge", "openbook_qa", "commonsense_qa")
_DISJOINT = ("boolq", "mmlu", "siqa")
_ITEMS = 300
_PAIRS = 4_000
_PROSE, _PIECE_WORDS = ("books", "news", "wikipedia"), 200
_EMBEDDING = {"embedder": {"kind": "wordllama"}}
# What fastText needs 800 MB for by default.
_TRAINING = {"num_buckets": 200_000}
# Five epochs of a few hundred examples teach a classifier little.
_LONGER = _TRAINING | {"epochs": 50}


@dataclass(frozen=True)
class Check:
    """A leaderboard: its pool, what it says beside what all say, and the stage that prepares more than the pool's input."""

    pool: str
    board: Callable[[Path], dict[str, Any]]
    prepare: Callable[[Path], None] | None = None


def _held_out(*domains: str) -> dict[str, dict[str, Any]]:
    shares = {name: {"search_fraction": 0.2, "test_fraction": 0.8} for name in domains}
    return STAGES | {"cluster": STAGES["cluster"] | {"split": {"test_fraction": 0.08, "per_domain": shares}}}


def highest(name: str, score: str) -> dict[str, Any]:
    """Return the selector of the highest scores."""
    return {"name": name, "select": [{"kind": "quantiles", "score": score, "low": "1 - keep"}]}


# ---- A target, and text that nobody selects by.


def write_targeted(data: Path, folder: Path, every: int) -> None:
    """Write the pool, the texts that are measured, and the files of targets."""
    pubmed = _items(data, TARGET, "pubmed_qa_labeled", None)
    half = len(pubmed) // 2
    suite = [one for name in _SUITE for one in _items(data, SUITE, name, _ITEMS)]
    write_lines(folder / "input" / "pool.jsonl", [*sampled(data, every), *pubmed[half:], *suite])
    write_lines(folder / "target" / "pubmed.jsonl", [{"text": one["text"]} for one in pubmed[:half]])
    write_lines(folder / "test" / "pubmed_test.jsonl", [{"text": one["text"]} for one in pubmed[half:]])
    for name in _DISJOINT:
        items = _items(data, SUITE, name, _ITEMS)
        write_lines(folder / "disjoint" / f"{name}.jsonl", [{"text": one["text"]} for one in items])


def _items(data: Path, source: str, benchmark: str, number: int | None) -> list[dict[str, str]]:
    lines = (data / "evals" / f"{benchmark}.jsonl").read_text(encoding="utf-8").splitlines()[:number]
    texts = (example_text(json.loads(line), ("context",) if source == TARGET else None) for line in lines)
    return [{"id": f"{benchmark}-{n}", "text": text, "source": source} for n, text in enumerate(texts)]


def _scorer(kind: str, name: str, folder: Path, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "name": name, "target": [str(folder / "target" / "*.jsonl")], **more}


def _betr(name: str, folder: Path, **more: Any) -> dict[str, Any]:
    return _scorer("betr", name, folder, test=[str(folder / "test" / "*.jsonl")], embedding=_EMBEDDING, **more)


def _likened(folder: Path) -> list[dict[str, Any]]:
    positives = {"positive_files": [str(folder / "target" / "*.jsonl")], "training": _TRAINING}
    return [
        _scorer("dsir", "med", folder),
        _betr("near", folder),
        {"kind": "fasttext_trained", "name": "question", **positives},
    ]


def _betr_board(folder: Path) -> dict[str, Any]:
    half = {"documents": 2_500}
    disjoint = _betr("other", folder) | {"target": [str(folder / "disjoint" / "*.jsonl")]}
    scorers = [
        _betr("near", folder),
        _betr("ridge", folder, **half, student={}),
        _betr("student", folder, **half, student={"kind": "fasttext", "training": _TRAINING}),
        _betr("longer", folder, **half, student={"kind": "fasttext", "training": _LONGER}),
        disjoint,
    ]
    selectors = {
        "betr": "near", "betr_ridge": "ridge", "betr_fasttext": "student", "betr_fasttext_longer": "longer",
        "betr_disjoint": "other",
    }  # fmt: skip
    return {
        "scorers": scorers,
        "selectors": [highest(*one) for one in selectors.items()],
        "keep": [0.03, 0.1, 0.3],
        "held_out": [f"bits_per_byte.{SUITE}"],
    }


def _induced_board(folder: Path) -> dict[str, Any]:
    skills = {"embedding": _EMBEDDING, "num_skills": 50}
    classes = {"embedding": _EMBEDDING, "classes": "cluster", "num_clusters": 100}
    positives = {"positive_files": [str(folder / "target" / "*.jsonl")], "training": _LONGER}
    scorers = [
        *_likened(folder),
        {"kind": "fasttext_trained", "name": "asked", **positives},
        _scorer("mass", "squared", folder, form="quadratic", **skills),
        _scorer("mass", "linear", folder, form="linear", **skills),
        _scorer("simcore", "core", folder, embedding=_EMBEDDING, stop_below=0.5),
        _scorer("dp4tl", "classes", folder, **classes),
        {"kind": "self_cleaning", "name": "likely"},
        *_preselect(folder),
    ]
    selectors = {
        "dsir": "med_mean", "betr": "near", "fasttext": "question", "fasttext_longer": "asked", "mass_quadratic": "squared",
        "mass_linear": "linear", "simcore": "core", "dp4tl": "classes", "self_cleaning": "likely", "longest": "words",
        "preselect_steps": "steps", "preselect_sources": "sources",
    }  # fmt: skip
    return {"scorers": scorers, "selectors": [highest(*one) for one in selectors.items()]}


def _preselect(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield both scorers: models that differ in how long, and in what they were trained on."""
    for name in ("steps", "sources"):
        told = json.loads((folder / "models" / f"{name}.json").read_text(encoding="utf-8"))
        models = {"models": [str(folder / "models" / one) for one in told], "benchmark": [*told.values()]}
        training = {"epochs": 3, **_TRAINING}
        yield {"kind": "preselect", "name": name, "sample": 0.1, "tie": 0.01, "training": training, **models}


def _weighted_board(folder: Path) -> dict[str, Any]:
    scores = ["med_mean", "question", "squared", "likely", "words"]
    squared = _scorer("mass", "squared", folder, form="quadratic", embedding=_EMBEDDING, num_skills=50)
    scorers = [*_likened(folder), squared, {"kind": "self_cleaning", "name": "likely"}]
    return {
        "scorers": scorers,
        "selectors": [highest(f"only_{score}", score) for score in scores],
        "search": {"scores": scores, "num_runs": 24},
    }


# ---- Ratings that are known, because the damage was done here.


def write_planted(data: Path, folder: Path, every: int) -> None:
    """Write pieces of prose of five levels, what is measured, the ratings of all, and those of the half that is rated.

    Pieces are short and of one kind: of whole documents of 14 sources, what a draw has of each source is more noise than
    the levels are worth.
    """
    pool, ratings = [], []
    prose = (record for record in sampled(data, every) if record["source"] in _PROSE)
    for record in (piece for one in prose for piece in _pieces(one)):
        if seed_of(0, "clean", record["id"]) % 10 == 0:
            pool.append(record | {"source": CLEAN})
            continue
        level = 1 + seed_of(0, "level", record["id"]) % 5
        pool.append(record | {"text": shuffled(record["text"], (5 - level) / 4, record["id"])})
        ratings.append({"id": record["id"], "overall": level})
    write_lines(folder / "input" / "pool.jsonl", pool)
    write_lines(folder / "all.jsonl", ratings)
    rated = [one for one in ratings if seed_of(0, "rated", one["id"]) % 2]
    write_lines(folder / "rated.jsonl", rated)
    write_lines(folder / "judged.jsonl", _judged(rated))


def _judged(rated: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield pairs of rated documents, of which the one of the higher level is the better one."""
    random = generator(0, "pairs")
    for _ in range(_PAIRS):
        a, b = (rated[int(place)] for place in random.choice(len(rated), 2, replace=False))
        better = 0.5 + 0.4 * float(np.sign(a["overall"] - b["overall"]))
        yield {"a": a["id"], "b": b["id"], "p": better}


def _pieces(record: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yield a document in pieces of as many words, without what is left."""
    words = re.findall(r"\S+\s*", record["text"])
    for number in range(len(words) // _PIECE_WORDS):
        text = "".join(words[number * _PIECE_WORDS : (number + 1) * _PIECE_WORDS])
        yield {**record, "id": f"{record['id']}-{number}", "text": text.rstrip()}


def shuffled(text: str, share: float, name: str) -> str:
    """Return a text with that share of its words in another order; what stands between words stays."""
    parts = re.split(r"(\s+)", text)
    random = generator(0, "shuffled", name)
    words = [place for place in range(0, len(parts), 2) if random.random() < share]
    found = [*parts]
    for place, other in zip(words, random.permutation(len(words)).tolist(), strict=True):
        found[place] = parts[words[other]]
    return "".join(found)


def _rated_board(folder: Path) -> dict[str, Any]:
    def rated(name: str, file: str, **more: Any) -> dict[str, Any]:
        return {"kind": "dataman", "name": name, "ratings": [str(folder / file)], **more}

    judged = {"kind": "qurating", "name": "won", "judgements": [str(folder / "judged.jsonl")]}
    drawn = {"kind": "sampled", "score": "won", "share": "keep", "temperature": 1.0}
    return {
        "scorers": [rated("dm", "rated.jsonl"), rated("truth", "all.jsonl", student=False), judged],
        "selectors": [
            highest("dataman", "dm"),
            highest("planted", "truth"),
            highest("qurating", "won"),
            {"name": "qurating_drawn", "select": [drawn]},
        ],
        "keep": [0.2],
    }


CHECKS: Mapping[str, Check] = {
    "betr": Check("targeted", _betr_board),
    "rated": Check("planted", _rated_board),
    "meta_rater": Check("targeted", _weighted_board),
    "induced": Check("targeted", _induced_board, train_ordered),
}
TARGETS = {"targeted": TARGET, "planted": CLEAN}
POOLS: Mapping[str, tuple[Callable[[Path, Path, int], None], Mapping[str, Mapping[str, Any]]]] = {
    "targeted": (write_targeted, _held_out(TARGET, SUITE)),
    "planted": (write_planted, _held_out(CLEAN)),
}
