"""Rounds of separate and stacked training in this process; as a script on the CPU: SIZE N ROUNDS, one line of JSON."""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from infra.machine import cpu_flags
from tasks.tokenize.pool import TokenPool, write_pool
from tasks.training.config import ModelConfig, OptimizerConfig, Precision, TrainingConfig
from tasks.training.params import demo_proxy
from tasks.training.precision import native_precision
from tasks.training.run import RunResult, train
from tasks.training.stacked import train_stacked
from tasks.training.types import Phase, RunSpec

VOCAB = 4096
DOMAINS = 7
CPU_STEPS, GPU_STEPS = 16, 160
CPU_PRECISION = native_precision("cpu", cpu_flags(), os.environ)


def recipe_proxy(tokens_per_step: int, num_steps: int, precision: Precision) -> TrainingConfig:
    """Return the proxy of 1.3M parameters that the literature's stacking was estimated with."""
    model = ModelConfig(
        hidden_size=128, num_layers=4, num_heads=4, num_kv_heads=4, intermediate_size=344, sequence_length=256
    )
    return TrainingConfig(
        model=model,
        optimizer=OptimizerConfig(learning_rate=1e-3, warmup_steps=2),
        num_tokens=num_steps * tokens_per_step,
        sequences_per_step=tokens_per_step // 256,
        micro_batches=1,
        precision=precision,
    )


def short_demo(num_steps: int) -> TrainingConfig:
    """Return the demo's proxy with few steps."""
    config = demo_proxy().decided(CPU_PRECISION)
    changes = {
        "num_tokens": num_steps * config.tokens_per_step,
        "optimizer": config.optimizer.model_copy(update={"warmup_steps": 2}),
    }
    return TrainingConfig.model_validate(config.model_copy(update=changes).model_dump())


def specs_of(training: TrainingConfig, count: int) -> list[RunSpec]:
    """Return runs of different mixtures, two seeds each."""
    shares = np.random.default_rng(0).dirichlet(np.ones(DOMAINS), size=count)
    return [
        RunSpec(f"run {number}", (Phase(training.num_tokens, tuple(row.tolist())),), number // 2, training)
        for number, row in enumerate(shares)
    ]


def zipf_pool(folder: Path) -> TokenPool:
    """Write a pool whose tokens are as unevenly frequent as words (each domain has its own frequent ones)."""
    generator = np.random.default_rng(0)
    share = 1 / np.arange(1, VOCAB) ** 1.1
    domains = {
        f"domain-{number}": {"train": generator.permutation(VOCAB - 1)[_drawn(generator, share)]}
        for number in range(DOMAINS)
    }
    return write_pool(folder, domains, vocab_size=VOCAB, document_end=VOCAB - 1)


def _drawn(generator: np.random.Generator, share: Any) -> Any:
    return generator.choice(VOCAB - 1, size=100_000, p=share / share.sum())


def cpu_rounds(training: TrainingConfig, count: int, rounds: int) -> dict[str, Any]:
    """Return CPU seconds of both ways, round by round in turns, and whether they gave the same bits."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        pool, specs = zipf_pool(Path(folder)), specs_of(training, count)
        ways: list[Callable[[], Sequence[object]]] = [
            lambda: [train(spec, pool) for spec in specs],
            lambda: train_stacked(specs, pool),
        ]
        same = all(_same(*pair) for pair in zip(ways[0](), ways[1](), strict=True))
        spent = [[_seconds(way, time.process_time) for way in ways] for _ in range(rounds)]
    return {
        "tokens": count * training.num_tokens,
        "alone": [alone for alone, _ in spent],
        "together": [together for _, together in spent],
        "ratios": [alone / together for alone, together in spent],
        "same": same,
    }


def gpu_rounds(tokens_per_step: int, count: int, rounds: int) -> dict[str, Any]:
    """Return tokens per second of wall time: of the same code for one run alone, and for all together."""
    training = recipe_proxy(tokens_per_step, GPU_STEPS, "bfloat16")
    with tempfile.TemporaryDirectory() as folder:
        pool, specs = zipf_pool(Path(folder)), specs_of(training, count)
        short = specs_of(recipe_proxy(tokens_per_step, CPU_STEPS, "bfloat16"), min(count, 2))
        exact, close = train_stacked(short, pool), train_stacked(short, pool, device="cuda")
        ways: list[Callable[[], object]] = [
            lambda: train_stacked(specs[:1], pool, device="cuda"),
            lambda: train_stacked(specs, pool, device="cuda"),
        ]
        for way in ways:
            way()
        spent = [[_seconds(way, _gpu_clock) for way in ways] for _ in range(rounds)]
    alone = [training.num_tokens / first for first, _ in spent]
    together = [count * training.num_tokens / second for _, second in spent]
    return {
        "alone": alone,
        "together": together,
        "ratios": [both / one for one, both in zip(alone, together, strict=True)],
        "difference": max(_difference(*pair) for pair in zip(exact, close, strict=True)),
    }


def _gpu_clock() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


def _seconds(way: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    way()
    return clock() - start


def _same(one: object, other: object) -> bool:
    assert isinstance(one, RunResult)
    assert isinstance(other, RunResult)
    pairs = zip(one.model.weights.values(), other.model.weights.values(), strict=True)
    return one.losses == other.losses and all(torch.equal(left, right) for left, right in pairs)


def _difference(one: object, other: object) -> float:
    """Return the largest relative difference of two runs' losses."""
    assert isinstance(one, RunResult)
    assert isinstance(other, RunResult)
    return max(abs(left - right) / left for left, right in zip(one.losses, other.losses, strict=True))


def main() -> None:
    """Measure one size and number of proxies on the CPU."""
    size, count, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    training = short_demo(CPU_STEPS) if size == "demo" else recipe_proxy(256, CPU_STEPS, CPU_PRECISION)
    print(json.dumps(cpu_rounds(training, count, rounds)))


if __name__ == "__main__":
    main()
