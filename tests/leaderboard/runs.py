"""A run's stages up to its pool, of two sources that a scorer can tell apart, and a leaderboard on it."""

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.progress import Observer, SilentObserver
from infra.storage import FolderStore
from tasks.ingest.config import IngestParams
from tasks.ingest.listing import list_inputs
from tasks.ingest.raw import write_listing
from tasks.runtime.context import Workshop
from tasks.runtime.stages import run_stage
from tasks.stages import STAGES
from tests.in_process import InProcess
from tests.mixture.test_stage import PROXY

WORDS = {"medicine": ["dose", "patient", "drug", "fever"], "code": ["return", "import", "lambda", "yield"]}
# Of more than 50 documents a split is no longer shared out by hand.
COUNTS = {"medicine": 70, "code": 50}
PARAMS: Mapping[str, Mapping[str, Any]] = {
    "ingest": {},
    "curate": {"profiles": {"any": {"rules": {}}}, "profile": "any", "duplicates": None},
    "cluster": {
        "domains": {"kind": "source", "min_documents": 5},
        "split": {"search_fraction": 0.1, "test_fraction": 0.2},
    },
    "tokenize": {"tokenizer": {"kind": "bpe", "vocab_size": 280}},
}


def finished_run(root: Path) -> Path:
    """Publish ingest to tokenize of 120 documents below `root/data`, and a target of medicine beside it."""
    drawn, data = random.Random(0), root / "data"
    lines = [
        json.dumps({"id": f"{source}{n}", "source": source, "text": " ".join(drawn.choices(own, k=40))})
        for source, own in WORDS.items()
        for n in range(COUNTS[source])
    ]
    (root / "text.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    target = json.dumps({"text": " ".join(drawn.choices(WORDS["medicine"], k=400))})
    (root / "target.jsonl").write_text(target + "\n", encoding="utf-8")
    write_listing(list_inputs([str(root / "text.jsonl")], IngestParams()), data / "raw")
    for stage in STAGES[:4]:
        given = {name: data / name for name in stage.inputs}
        params = stage.load_params().model_validate(PARAMS[stage.name])
        run_stage(stage, params, inputs=given, output=data / stage.name, workshop=workshop(root, InProcess()))
    return root


def workshop(root: Path, executor: InProcess, observer: Observer | None = None) -> Workshop:
    """Return a workshop whose store all leaderboards of a run have in common."""
    return Workshop(executor, FolderStore(root / "store"), observer or SilentObserver())


class Heard(SilentObserver):
    """Keeps what was said, and how far each label was last."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.last: dict[str, tuple[int, int]] = {}

    def say(self, message: str) -> None:
        self.said.append(message)

    def progress(self, label: str, done: int, total: int) -> None:
        self.last[label] = (done, total)


def values(root: Path, **changes: Any) -> dict[str, Any]:
    """Return what a file of a leaderboard says."""
    return {
        "training": PROXY.model_copy(update={"num_tokens": 768}).model_dump(mode="json"),
        "scorers": [{"kind": "dsir", "name": "med", "target": [str(root / "target.jsonl")]}],
        "selectors": [{"name": "dsir", "select": [{"kind": "quantiles", "score": "med_mean", "low": "1 - keep"}]}],
        "keep": [0.4],
        "target": ["bits_per_byte.medicine"],
        "max_epochs": 8.0,
        "budgets": [0.25, 0.5, 1.0],
        **changes,
    }
