"""A dense model that becomes one with experts: at its start it computes the same."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from infra.storage import FolderStore
from tasks.core.identity import reads_of
from tasks.runtime.context import Workshop
from tasks.runtime.files import file_handle
from tasks.tokenize.pool import read_pool
from tasks.training.experts.top_k import Gate, TopK
from tasks.training.export import read_model, write_model
from tasks.training.model import decoder, initial_model, logits, weight_shapes
from tasks.training.params import TrainParams
from tasks.training.published_experts import ExpertsUsed
from tasks.training.run import train
from tasks.training.stage import run
from tasks.training.starts.checkpoint import FromCheckpoint
from tasks.training.starts.start import Start
from tasks.training.starts.upcycle import upcycled
from tasks.training.starts.weights import start_mistakes
from tests.in_process import InProcess, Listener
from tests.training.conftest import LENGTH, VOCAB_SIZE, make_pool, small_spec, small_training
from tests.training.test_stage import TOKENIZER, hand_written, sign

EXPERTS = TopK(num_experts=4, num_active=2, capacity_factor=1.0)
SPARSE = small_training(experts=EXPERTS).model


@pytest.mark.parametrize("gate", [Gate(), Gate(normalised=False)])
def test_at_its_start_the_model_computes_what_the_dense_one_does(gate: Gate) -> None:
    dense = initial_model(small_training(initializer_range=0.2).model, VOCAB_SIZE, seed=5)
    config = SPARSE.model_copy(update={"experts": EXPERTS.model_copy(update={"gate": gate})})
    one, same, other = (upcycled(dense.weights, config, VOCAB_SIZE, seed) for seed in (0, 0, 1))
    assert {name: tuple(weight.shape) for name, weight in one.items()} == weight_shapes(config, VOCAB_SIZE)
    tokens = torch.randint(0, VOCAB_SIZE, (3, LENGTH), generator=torch.Generator().manual_seed(0))
    for weights in (one, other):
        torch.testing.assert_close(logits(decoder(config, VOCAB_SIZE, weights), tokens), logits(dense, tokens))
    router = "model.layers.0.block_sparse_moe.gate.weight"
    assert torch.equal(one[router], same[router]) and not torch.equal(one[router], other[router])
    # Copies are weights of their own.
    assert len({weight.data_ptr() for weight in one.values()}) == len(one)


def test_a_run_with_experts_starts_from_a_dense_run_and_publishes_how_it_used_them(tmp_path: Path) -> None:
    make_pool(tmp_path / "tokenize")
    (tmp_path / "tokenize" / "tokenizer.json").write_text(json.dumps(TOKENIZER), encoding="utf-8")
    sign("tokenize", tmp_path / "tokenize")
    recipe = hand_written(tmp_path / "r.json", {"tokens": 12 * 4 * LENGTH, "weights": [0.5, 0.5]}, "alpha", "beta")
    inputs = {"tokenize": tmp_path / "tokenize", "recipe": recipe}

    def trained(name: str, **params: Any) -> Listener:
        asked = TrainParams.model_validate({"num_seeds": 1, **params})
        heard = Listener()
        place = Workshop(InProcess(), FolderStore(tmp_path / "store"), heard)
        run(asked, inputs=inputs, output=tmp_path / name, workshop=place)
        return heard

    trained("dense", training=small_training())
    start = {"kind": "checkpoint", "folder": str(tmp_path / "dense"), "run": "by-hand-seed0", "upcycle": True}
    heard = trained("sparse", training=small_training(experts=EXPERTS), start=start)
    dense, sparse = (tmp_path / name / "models/by-hand-seed0" for name in ("dense", "sparse"))
    begun = upcycled(read_model(dense).weights, SPARSE, VOCAB_SIZE, 0)
    spec = small_spec(weights=(0.5, 0.5, 0.0), experts=EXPERTS)
    again = train(spec, read_pool(tmp_path / "tokenize"), initial=begun)
    found = read_model(sparse)
    assert found.config == SPARSE
    assert all(torch.equal(found.weights[name], weight) for name, weight in again.model.weights.items())
    used = ExpertsUsed.read(sparse)
    assert used == again.experts and set(used.layers[0].domains) <= {"alpha", "beta"}
    (report,) = heard.units
    assert report.metrics["experts/drop_rate"] == pytest.approx(sum(one.whole_drop_rate for one in used.layers) / 2)
    assert any("transformers has no model whose experts" in one for one in heard.said)


def test_what_cannot_be_upcycled_is_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "dense"
    folder.mkdir()
    write_model(initial_model(small_training().model, VOCAB_SIZE, seed=5), VOCAB_SIZE - 1, folder)
    (folder / "tokenizer.json").write_text(json.dumps(TOKENIZER), encoding="utf-8")
    tokenizer = file_handle(folder / "tokenizer.json")
    files = (file_handle(folder / name) for name in ("config.json", "model.safetensors", "tokenizer.json"))
    plain = Start(*files)
    asked = replace(plain, upcycle=True)
    assert "upcycle" not in reads_of(plain) and reads_of(asked)["upcycle"] is True

    def told(start: Start, **changes: Any) -> str:
        return " | ".join(start_mistakes(start, small_training(**changes), VOCAB_SIZE, tokenizer))

    assert told(asked, experts=EXPERTS) == ""
    assert "A dense model becomes one with experts with upcycle" in told(plain, experts=EXPERTS)
    assert "train.training.model has none. Set its experts" in told(asked)
    loose = EXPERTS.model_copy(update={"gate": Gate(renormalised=False)})
    assert "Set model.experts.gate.renormalised" in told(asked, experts=loose)
    assert "intermediate_size is 24, not 12" in told(asked, experts=EXPERTS, intermediate_size=12)
    with pytest.raises(ValidationError, match="with_optimizer goes on with the state of the same weights"):
        FromCheckpoint(kind="checkpoint", folder="x", run="y", step=3, with_optimizer=True, upcycle=True)


def test_a_model_with_experts_starts_from_another_whatever_room_and_balance_they_have(tmp_path: Path) -> None:
    write_model(initial_model(SPARSE, VOCAB_SIZE, seed=5), VOCAB_SIZE - 1, tmp_path)
    (tmp_path / "tokenizer.json").write_text(json.dumps(TOKENIZER), encoding="utf-8")
    start = Start(*(file_handle(tmp_path / name) for name in ("config.json", "model.safetensors", "tokenizer.json")))
    roomy = EXPERTS.model_copy(update={"capacity_factor": None, "balance": None})
    assert not tuple(start_mistakes(start, small_training(experts=roomy), VOCAB_SIZE, start.tokenizer))
    fewer = EXPERTS.model_copy(update={"num_active": 3})
    (mistake,) = start_mistakes(start, small_training(experts=fewer), VOCAB_SIZE, start.tokenizer)
    assert "'num_active': 2" in mistake
