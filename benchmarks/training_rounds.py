"""Rounds of a plain eager loop, of our runs and of matrix products; as a script: SIZE ROUNDS, one line of JSON."""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812 (its usual name)

from tasks.tokenize.pool import TokenPool, write_pool
from tasks.training.command import full_precision
from tasks.training.config import ModelConfig, OptimizerConfig, TrainingConfig
from tasks.training.data import run_data
from tasks.training.model import initial_model, torch_dtype
from tasks.training.model_size import num_flops
from tasks.training.params import demo_full, demo_proxy
from tasks.training.run import train
from tasks.training.stacked import train_stacked
from tasks.training.types import Phase, RunSpec


@dataclass(frozen=True)
class Size:
    """A training config, its vocabulary, how many steps of it a round has, and how many runs of it are stacked besides."""

    training: TrainingConfig
    vocab_size: int
    num_steps: int
    stacked: int | None = None


def _ten_million() -> TrainingConfig:
    model = ModelConfig(
        hidden_size=320, num_layers=8, num_heads=5, num_kv_heads=5, intermediate_size=864, sequence_length=256
    )
    optimizer = OptimizerConfig(learning_rate=1e-3)
    return TrainingConfig(model=model, optimizer=optimizer, num_tokens=10 * 2048, sequences_per_step=8)


SIZES = {
    "proxy": Size(demo_proxy(), 4096, 20, stacked=4),
    "full run": Size(demo_full(), 4096, 20),
    "12.5M": Size(_ten_million(), 8192, 5),
}
# Rows, what is summed over, columns. The best is taken: which shape that is depends on caches and on the library.
SHAPES = ((256, 256, 256), (512, 512, 512), (1024, 1024, 1024), (2048, 512, 512), (2048, 2048, 2048))
_PRODUCTS, _GIGA = 4e9, 1e9


def rounds_of(size: Size, rounds: int) -> dict[str, Any]:
    """Return CPU seconds of each way, in turns, GFLOP per CPU second of the best product beside it, and what a round is."""
    torch.set_num_threads(1)
    training = _short(size)
    with tempfile.TemporaryDirectory() as folder:
        pool = _pool(Path(folder), size.vocab_size, 2 * training.num_tokens)
        spec = RunSpec("benchmark", (Phase(training.num_tokens, (1.0,)),), 0, training, 4.0)
        ways: dict[str, Callable[[], object]] = {"eager": lambda: _eager(spec, pool), "ours": lambda: train(spec, pool)}
        if size.stacked is not None:
            runs = [spec] * size.stacked
            ways["stacked"] = lambda: train_stacked(runs, pool)
        for way in ways.values():
            way()
        spent: dict[str, list[float]] = {name: [] for name in ways}
        limits = []
        for _ in range(rounds):
            limits.append(_best_product(torch_dtype(training.product_precision)))
            for name, way in ways.items():
                spent[name].append(_seconds(way))
    gflop = num_flops(training, size.vocab_size) / _GIGA
    return spent | {"limit": limits, "gflop": gflop, "tokens": training.num_tokens}


def _eager(spec: RunSpec, pool: TokenPool) -> None:
    """Train as one does without a platform: the module in float32, all logits, torch's AdamW and clipping."""
    training, data = spec.training, run_data(spec, pool)
    model = initial_model(training.model, pool.vocab_size, spec.seed)
    rate = training.optimizer.learning_rate
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.95), weight_decay=0.1)
    size = training.sequences_per_step
    for step in range(training.num_steps):
        tokens_BU = torch.from_numpy(data.read(step * size, (step + 1) * size).tokens).long()
        logits_BTV = model(tokens_BU[:, :-1]) @ model.output.T
        loss = F.cross_entropy(logits_BTV.flatten(0, 1), tokens_BU[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss.item()


def _best_product(dtype: torch.dtype) -> float:
    """Return GFLOP per CPU second of the fastest of some products."""
    return max(_product_rate(dtype, *shape) for shape in SHAPES)


def _product_rate(dtype: torch.dtype, rows: int, inner: int, columns: int) -> float:
    left, right = torch.randn(rows, inner).to(dtype), torch.randn(inner, columns).to(dtype)
    out, flops = left @ right, 2 * rows * inner * columns
    times = max(1, round(_PRODUCTS / flops))
    return times * flops / _GIGA / _seconds(lambda: [torch.mm(left, right, out=out) for _ in range(times)])


def _seconds(way: Callable[[], object]) -> float:
    start = time.process_time()
    way()
    return time.process_time() - start


def _short(size: Size) -> TrainingConfig:
    """Return the same training with few steps and no checkpoints, in the precision of this machine."""
    training = size.training.decided(full_precision())
    changes = {
        "num_tokens": size.num_steps * training.tokens_per_step,
        "checkpoint_every_steps": None,
        "optimizer": training.optimizer.model_copy(update={"warmup_steps": 2}),
    }
    return TrainingConfig.model_validate(training.model_copy(update=changes).model_dump())


def _pool(folder: Path, vocab_size: int, num_tokens: int) -> TokenPool:
    """Write a pool of random tokens."""
    tokens = np.random.default_rng(0).integers(0, vocab_size - 1, size=num_tokens)
    return write_pool(folder, {"noise": {"train": tokens}}, vocab_size=vocab_size, document_end=vocab_size - 1)


if __name__ == "__main__":
    print(json.dumps(rounds_of(SIZES[sys.argv[1]], int(sys.argv[2]))))
