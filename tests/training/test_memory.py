"""A GPU without room for a run: named before the first step, by how much, and what lowers it."""

import pytest
import torch

from tasks.core.errors import ConfigError
from tasks.training.config import ModelConfig, TrainingConfig
from tasks.training.memory import needed_bytes, require_memory, shortage_named
from tasks.training.parallel.fsdp import Fsdp
from tests.training.conftest import small_training

GIB = 1 << 30
# 1.1 billion parameters.
LARGE = ModelConfig(
    hidden_size=2048, num_layers=22, num_heads=16, num_kv_heads=8, intermediate_size=5632, sequence_length=2048
)


def large(**changes: object) -> TrainingConfig:
    training = small_training(precision="bfloat16", sequences_per_step=8, num_tokens=12 * 8 * 16, **changes)
    return training.model_copy(update={"model": LARGE})


def test_an_estimate_counts_weights_gradients_state_and_activations() -> None:
    one = needed_bytes(large(), 32_768, shards=1, sequences=1)
    # 16 bytes of each of 1.06 billion parameters, and a few GiB of one sequence's activations and logits.
    assert 16 * 1.06e9 < one < 16 * 1.12e9 + 8 * GIB
    four = needed_bytes(large(), 32_768, shards=1, sequences=4)
    again = needed_bytes(large(parallel=Fsdp(recompute_activations=True)), 32_768, shards=1, sequences=4)
    assert again < four < 4 * one
    assert needed_bytes(large(), 32_768, shards=4, sequences=1) < one - 12 * 1.06e9


def test_a_run_that_does_not_fit_is_refused_with_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (8 * GIB, 16 * GIB))
    with pytest.raises(
        ConfigError, match=r"8\.0 GiB are free: 1\d\.\d GiB are missing\. Raise micro_batches \(now 2, at most 8,"
    ):
        require_memory(large(), 32_768, shards=1, sequences=1)
    with pytest.raises(ConfigError, match=r"are missing\. Lower model\.sequence_length, set parallel\.recompute"):
        require_memory(large(micro_batches=8), 32_768, shards=1, sequences=1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (80 * GIB, 80 * GIB))
    require_memory(large(), 32_768, shards=1, sequences=1)


def test_memory_that_runs_out_later_is_named() -> None:
    told = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8 GiB. More words. And more"
    message = r"Tried to allocate 2\.00 GiB\. GPU 0 .*\. Raise micro_batches.*fsdp"
    with pytest.raises(ConfigError, match=message), shortage_named(large()):
        raise torch.OutOfMemoryError(told)
