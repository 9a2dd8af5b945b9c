"""Training: tokens per CPU second of the demo's two sizes, and the share of the machine's matrix product that is."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import Line, rate, ratio
from benchmarks.options import Options
from tasks.tokenize.pool import write_pool
from tasks.training.command import full_precision
from tasks.training.config import TrainingConfig, num_flops
from tasks.training.model import torch_dtype
from tasks.training.params import demo_full, demo_proxy
from tasks.training.run import RunSpec, train
from tasks.training.types import Phase

VOCAB = 4096
STEPS = 10


def run(_: Options) -> Iterator[Line]:
    """Measure both sizes on random tokens, and a matrix product of the same precision in the same run."""
    torch.set_num_threads(1)
    precision = full_precision()
    left, right = (torch.randn(1024, 1024).to(torch_dtype(precision)) for _ in range(2))
    peak = rate(2 * 1024**3 / 1e9, lambda: left @ right)
    yield Line(f"limit: {precision} matrix product of 1024", "GFLOP/CPU-s", peak)
    for name, config in (("proxy", demo_proxy()), ("full", demo_full())):
        short = _short(config.decided(precision))
        with tempfile.TemporaryDirectory() as folder:
            tokens = np.random.default_rng(0).integers(0, VOCAB - 1, size=2 * short.num_tokens)
            pool = write_pool(Path(folder), {"noise": {"train": tokens}}, vocab_size=VOCAB, document_end=VOCAB - 1)
            spec = RunSpec(name, (Phase(short.num_tokens, (1.0,)),), 0, short, 4.0)
            speed = rate(short.num_tokens, lambda spec=spec, pool=pool: train(spec, pool), rounds=3)
        yield Line(f"{name}: tokens", "per CPU-s", speed)
        flops = num_flops(short, VOCAB) / short.num_tokens / 1e9
        arithmetic = type(speed)(speed.median * flops, speed.low * flops, speed.high * flops)
        yield Line(f"{name}: arithmetic / limit", "ratio", ratio(arithmetic, peak))


def _short(config: TrainingConfig) -> TrainingConfig:
    """Return the same run with few steps and no checkpoints."""
    optimizer = config.optimizer.model_copy(update={"warmup_steps": 2})
    changes = {"num_tokens": STEPS * config.tokens_per_step, "checkpoint_every_steps": None, "optimizer": optimizer}
    return TrainingConfig.model_validate(config.model_copy(update=changes).model_dump())
