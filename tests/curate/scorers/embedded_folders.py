"""Documents of three topics, and curations by scorers of their vectors."""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from infra.executors import Executor
from tasks.core.rng import generator
from tasks.curate.config import CurateParams
from tasks.curate.stage import run
from tasks.runtime.context import Workshop
from tests.curate.folders import Document, document, ingest_folder, rows, workshop

EMBEDDING = {"embedder": {"kind": "tfidf", "dimensions": 6, "min_term_documents": 2}}
_MEDICINE = "patient dose drug disease therapy symptom clinic nurse fever blood heart lung"
_LAW = "court party section act clause statute judge appeal contract liability tenant lease"
_CODE = "function return class import variable loop string integer module compile argument list"
WORDS = {"med": _MEDICINE.split(), "law": _LAW.split(), "code": _CODE.split()}


def topical(topic: str, number: int, words: int = 25) -> str:
    """A text of a topic: the same for the same number."""
    chosen = generator(0, topic, number).choice(WORDS[topic], words)
    return " ".join(chosen.tolist())


def documents(per_topic: int = 8) -> list[Document]:
    return [
        document(f"{topic}{number}", topical(topic, number), topic) for number in range(per_topic) for topic in WORDS
    ]


def write_items(path: Path, items: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    return path


def curate(
    place: Path,
    scorers: Sequence[Mapping[str, Any]],
    found: Sequence[Document],
    bounds: Sequence[int] = (),
    executor: Executor | None = None,
) -> tuple[Path, Workshop]:
    """Curate documents in shards that end at `bounds`; return the output and where it was made."""
    shards = [list(found[a:b]) for a, b in pairwise([0, *bounds, len(found)])]
    if not (place / "ingest").exists():
        ingest_folder(place / "ingest", shards)
    values = {"scorers": list(scorers), "profile": "all", "profiles": {"all": {"rules": {}}}, "duplicates": None}
    places = workshop(place, executor)
    run(CurateParams.model_validate(values), inputs={"ingest": place / "ingest"}, output=place / "out", workshop=places)
    return place / "out", places


def scores(output: Path, name: str) -> dict[str, dict[str, Any]]:
    """The rows of a scorer's table by id."""
    return {row["id"]: row for row in rows(output, f"scores/{name}")}
