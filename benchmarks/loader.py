"""The data order, the loader and the ledger: tokens per second against what models demand, a seek, a large plan."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import Line, Spread, cpu_seconds, rate, ratio
from benchmarks.options import Options
from tasks.tokenize.pool import write_pool
from tasks.training.command import full_precision
from tasks.training.config import TrainingConfig
from tasks.training.data import Batch, RunData, run_data
from tasks.training.ledger import ConsumptionLog
from tasks.training.order import DataOrder, check_caps, data_order
from tasks.training.params import demo_full
from tasks.training.run import train
from tasks.training.segments import shares_of_steps
from tasks.training.types import Phase, RunSpec

VOCAB, STEPS, DOMAINS = 4096, 20, 4
# What a model of 124M parameters demands on one H200 at 38 % of its 989 TFLOP/s, in tokens per second.
GPU_DEMAND = 440_000.0


def run(_: Options) -> Iterator[Line]:
    """Measure the loader with the demo's samples and with long ones, then the plan of a large run and seeks in it."""
    torch.set_num_threads(1)
    demo = _short(demo_full().decided(full_precision()), 128)
    with tempfile.TemporaryDirectory() as folder:
        yield from _demo(_data(demo, Path(folder)), demo)
    long = _short(demo, 2048)
    with tempfile.TemporaryDirectory() as folder:
        data = _data(long, Path(folder))
        speed = rate(long.num_tokens, lambda: _read(data))
        yield Line("samples of 2,048: loader", "tokens/CPU-s", speed)
        yield Line("samples of 2,048: loader / demand of one H200", "x", ratio(speed, Spread(*[GPU_DEMAND] * 3)))
    yield Line("plan of 1,000 domains and 10^10 tokens", "CPU-s", cpu_seconds(lambda: _planned(10**10)))
    large, farther = _planned(10**10), _planned(2 * 10**9 * 2048)
    yield Line("256 samples in the middle of it", "CPU-s", cpu_seconds(lambda: large.samples(10**6, 10**6 + 256)))
    yield Line("256 samples from 10^9 on", "CPU-s", cpu_seconds(lambda: farther.samples(10**9, 10**9 + 256)))


def _demo(data: RunData, config: TrainingConfig) -> Iterator[Line]:
    """Measure loader and ledger of the demo's run beside its steps."""
    spec = RunSpec("demo", _phases(config), 0, config, 4.0)
    speed = rate(config.num_tokens, lambda: _read(data))
    demand = rate(config.num_tokens, lambda: train(spec, data.pool), rounds=3)
    batches = _read(data)
    counting = rate(config.num_tokens, lambda: _counted(batches, spec))
    yield Line("demo: loader", "tokens/CPU-s", speed)
    yield Line("demo: steps", "tokens/CPU-s", demand)
    yield Line("demo: loader / steps", "x", ratio(speed, demand))
    share = ratio(demand, counting)
    yield Line("demo: ledger", "% of a step", Spread(100 * share.median, 100 * share.low, 100 * share.high))


def _data(config: TrainingConfig, folder: Path) -> RunData:
    tokens = np.random.default_rng(0).integers(0, VOCAB, size=(DOMAINS, 2 * config.num_tokens))
    domains = {f"domain-{index}": {"train": own} for index, own in enumerate(tokens)}
    pool = write_pool(folder, domains, vocab_size=VOCAB, document_end=VOCAB - 1)
    return run_data(RunSpec("loader", _phases(config), 0, config, 4.0), pool)


def _phases(config: TrainingConfig) -> tuple[Phase, ...]:
    return (Phase(config.num_tokens, (0.4, 0.3, 0.2, 0.1)),)


def _short(config: TrainingConfig, length: int) -> TrainingConfig:
    """Return a run of few steps, without checkpoints, of samples that are `length` long."""
    model = config.model.model_copy(update={"sequence_length": length})
    tokens = STEPS * config.sequences_per_step * length
    changes = {"num_tokens": tokens, "checkpoint_every_steps": None, "model": model}
    return TrainingConfig.model_validate(config.model_copy(update=changes).model_dump())


def _read(data: RunData) -> list[Batch]:
    # A copy has drawn none of its samples yet.
    fresh = replace(data, parts=tuple(replace(part) for part in data.parts))
    return [fresh.read(*part) for part in shares_of_steps(data.segments, 0)]


def _counted(batches: Sequence[Batch], spec: RunSpec) -> None:
    log = ConsumptionLog(spec.segments, DOMAINS)
    for batch in batches:
        log.add(batch)
    log.state()


def _planned(num_tokens: int) -> DataOrder:
    """Return the order of a run of 1,000 domains in two phases, its caps checked and its first step drawn."""
    weights = np.random.default_rng(0).dirichlet(np.ones(1000))
    phases = [Phase(num_tokens // 4096 * 2048, tuple(own)) for own in (weights, weights[::-1])]
    order = data_order(phases, [f"domain-{index}" for index in range(1000)], [num_tokens // 2048] * 1000, 2048, 0)
    check_caps([order], 4.0, "plan")
    order.samples(0, 256)
    return order
