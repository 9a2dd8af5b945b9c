"""A GPU without room for a run: named before the first step, by how much, and what lowers it."""

import re

import pytest
import torch

from tasks.core.errors import ConfigError
from tasks.tokenize.pool import TokenPool
from tasks.training import command
from tasks.training.config import ModelConfig, TrainingConfig
from tasks.training.memory import engine_words, needed_bytes, require_memory, shortage_named
from tasks.training.model_size import num_parameters
from tasks.training.parallel.choice import chosen_parallel
from tasks.training.parallel.ddp import Ddp
from tasks.training.parallel.fsdp import Fsdp
from tasks.training.params import TrainParams
from tasks.training.run import train
from tests.training.conftest import small_spec, small_training

GIB = 1 << 30
# 1.1 billion parameters.
LARGE = ModelConfig(
    hidden_size=2048, num_layers=22, num_heads=16, num_kv_heads=8, intermediate_size=5632, sequence_length=2048
)


def large(**changes: object) -> TrainingConfig:
    training = small_training(precision="bfloat16", sequences_per_step=8, num_tokens=12 * 8 * 16, **changes)
    return training.model_copy(update={"model": LARGE, "num_tokens": 12 * 8 * LARGE.sequence_length})


def test_an_estimate_counts_weights_gradients_state_and_activations() -> None:
    one = needed_bytes(large(parallel=Ddp()), 32_768, shards=1, sequences=1)
    # 16 bytes of each of 1.06 billion parameters, and a few GiB of one sequence's activations and logits.
    assert 16 * 1.06e9 < one < 16 * 1.12e9 + 8 * GIB
    four = needed_bytes(large(parallel=Ddp()), 32_768, shards=1, sequences=4)
    again = needed_bytes(large(parallel=Fsdp(recompute_activations=True)), 32_768, shards=1, sequences=4)
    assert again < four < 4 * one
    assert needed_bytes(large(parallel=Ddp()), 32_768, shards=4, sequences=1) < one - 12 * 1.06e9
    # A stack: bfloat16 weights beside the others, and a second gradient for its tree of two micro-batches.
    stacked = needed_bytes(large(), 32_768, shards=1, sequences=1)
    assert stacked - one == 6 * num_parameters(LARGE, 32_768)[0]


def test_a_run_that_does_not_fit_is_refused_with_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (8 * GIB, 16 * GIB))
    with pytest.raises(
        ConfigError, match=r"8\.0 GiB are free: 1\d\.\d GiB are missing\. Raise micro_batches \(now 2, at most 8,"
    ):
        require_memory(large(parallel=Ddp()), 32_768, shards=1, sequences=1)
    with pytest.raises(ConfigError, match=r"are missing\. Lower model\.sequence_length, set parallel\.recompute"):
        require_memory(large(parallel=Ddp(), micro_batches=8), 32_768, shards=1, sequences=1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (80 * GIB, 80 * GIB))
    require_memory(large(parallel=Ddp()), 32_768, shards=1, sequences=1)


@pytest.mark.parametrize(
    ("gib", "gpus", "chosen"),
    [
        (80, 1, None),
        (50, 1, Ddp()),
        (32, 1, Ddp(recompute_activations=True)),
        (8, 1, Ddp(recompute_activations=True)),
        (80, 4, None),
        (40, 4, Ddp()),
        (30, 4, Ddp(recompute_activations=True)),
        (22, 4, Fsdp()),
        (8, 4, Fsdp(recompute_activations=True)),
    ],
)
def test_auto_is_the_first_way_that_fits(gib: int, gpus: int, chosen: Ddp | Fsdp | None) -> None:
    asked = large(parallel="auto")
    assert chosen_parallel(asked, gib * GIB, gpus) == chosen
    # A model that no stack trains is never given to one.
    other = asked.model_copy(update={"model": LARGE.model_copy(update={"untied_embeddings": True})})
    assert chosen_parallel(other, gib * GIB, gpus) is not None


def test_auto_is_decided_on_the_machine_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    params = TrainParams(training=large(parallel="auto"))
    monkeypatch.setenv("MIXWRIGHT_DEVICE", "cuda")
    monkeypatch.setattr(command, "gpu_memory_bytes", lambda: 50 * GIB)
    decided = command.decide(params).training
    assert decided == params.training.model_copy(update={"parallel": Ddp()})
    assert re.fullmatch(
        r"full runs are trained as one model \(parallel.kind ddp\), and need about 3\d\.\d GiB on each of 1 GPU\(s\)",
        engine_words(decided, 32_768, 1),
    )
    monkeypatch.setattr(command, "gpu_memory_bytes", lambda: None)
    with pytest.raises(ConfigError, match="parallel is auto, which is decided by the memory of this machine's GPU"):
        command.decide(params)
    monkeypatch.setenv("MIXWRIGHT_DEVICE", "cpu")
    assert command.decide(params).training.parallel is None
    named = TrainParams(training=large(parallel=Fsdp()))
    assert command.decide(named) == named


def test_a_run_that_nobody_decided_about_is_refused(pool: TokenPool) -> None:
    with pytest.raises(ConfigError, match="parallel is auto, which nobody has decided"):
        train(small_spec(parallel="auto"), pool)


def test_memory_that_runs_out_later_is_named() -> None:
    told = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8 GiB. More words. And more"
    message = r"Tried to allocate 2\.00 GiB\. GPU 0 .*\. Raise micro_batches.*set parallel to \{kind: ddp, .*fsdp"
    with pytest.raises(ConfigError, match=message), shortage_named(large()):
        raise torch.OutOfMemoryError(told)
