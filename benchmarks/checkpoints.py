"""Checkpoints: how long a run stands still for one, as a share of the interval between two, and beside a write it waits for.

The disk is that of the folder for temporary files.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import Line, spread_of
from benchmarks.options import Options
from tasks.tokenize.pool import write_pool
from tasks.training import stacked
from tasks.training.checkpoint import Checkpoint, CheckpointWriter, Kept, write
from tasks.training.command import full_precision
from tasks.training.params import demo_full
from tasks.training.run import RunSpec, train
from tasks.training.types import Phase

VOCAB = 4096
# Weights and AdamW's two means of 25 million parameters: 300 MB.
PARAMETERS = 25_000_000


def run(options: Options) -> Iterator[Line]:
    """Measure the demo's full run (7 MB a checkpoint, every 40 steps), then a state of 300 MB by itself."""
    rounds = [_demo_run() for _ in range(options.rounds)]
    yield Line("demo's full run: stands still for a checkpoint", "ms", spread_of([1e3 * stall for stall, _ in rounds]))
    yield Line("demo's full run: share of the interval", "%", spread_of([100 * stall / each for stall, each in rounds]))
    with tempfile.TemporaryDirectory() as folder:
        behind, waited = _large(Path(folder), options.rounds)
    yield Line("300 MB: stands still, a thread writes", "s", spread_of(behind))
    yield Line("300 MB: stands still, it waits for the disk", "s", spread_of(waited))


class _Timed(CheckpointWriter):
    """Notes when it was called and for how long; the one at the end of a run has no interval behind it."""

    calls: list[tuple[float, float]] = []  # noqa: RUF012 (of the run under way)

    def save(self, checkpoints: Sequence[Checkpoint]) -> None:
        start = time.perf_counter()
        super().save(checkpoints)
        self.calls.append((start, time.perf_counter() - start))


def _demo_run() -> tuple[float, float]:
    """Return the median seconds that the run stood still for a checkpoint, and those between two."""
    config = demo_full().decided(full_precision())
    _Timed.calls, stacked.CheckpointWriter = [], _Timed  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokens = np.random.default_rng(0).integers(0, VOCAB - 1, size=2 * config.num_tokens)
        pool = write_pool(folder / "pool", {"noise": {"train": tokens}}, vocab_size=VOCAB, document_end=VOCAB - 1)
        train(RunSpec("run", (Phase(config.num_tokens, (1.0,)),), 0, config, 4.0), pool, checkpoints=folder / "kept")
    starts = [start for start, _ in _Timed.calls]
    return float(np.median([stall for _, stall in _Timed.calls])), float(np.median(np.diff(starts)))


def _large(folder: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Return the seconds of `save`, whose thread is through before the next call, and of `write`."""
    tensors = {name: torch.randn(PARAMETERS) for name in ("weights", "mean", "square")}
    behind, waited = list[float](), list[float]()
    with CheckpointWriter(Kept()) as writer:
        for step in range(rounds + 1):
            checkpoint = Checkpoint(folder, "large", step, tensors, {})
            start = time.perf_counter()
            writer.save([checkpoint])
            behind.append(time.perf_counter() - start)
            writer.wait()
    for step in range(rounds):
        start = time.perf_counter()
        write(Checkpoint(folder, "large", rounds + 1 + step, tensors, {}), Kept())
        waited.append(time.perf_counter() - start)
    # The first call makes the room for the copy, once in a run.
    return behind[1:], waited
