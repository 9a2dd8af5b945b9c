"""One GPU: MFU of three sizes of model, stacked proxies beside one after another, and a run that goes on in another process.

    python -m benchmarks.gpu                        on a GPU: at most 12 minutes
    python -m benchmarks.gpu --device cpu --tiny    the same on a CPU with tiny sizes: tries the script, measures nothing

Needs torch, numpy, scipy and pydantic alone. MFU is (6 N + 12 L T d) x tokens per second / the data sheet's dense bfloat16
operations, N with the output layer (arXiv 2204.02311, appendix B).
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.inputs import ROOT
from benchmarks.measure import Line, Note, spread_of
from benchmarks.options import Options
from benchmarks.stacked_rounds import gpu_rounds
from infra.machine import peak_flops
from tasks.core.errors import StoppedError
from tasks.tokenize.pool import TokenPool, read_pool, write_pool
from tasks.training.config import ModelConfig, OptimizerConfig, Precision, TrainingConfig
from tasks.training.model_size import num_flops, num_parameters
from tasks.training.parallel.ddp import Ddp
from tasks.training.run import train
from tasks.training.types import Phase, RunSpec

VOCAB = 32_768
WARM_UP_STEPS = 6
RESUME_AT = 8


@dataclass(frozen=True)
class Size:
    """A model, the samples of a step that fit into 141 GB, and about how many steps half a minute has."""

    name: str
    goal: float
    model: ModelConfig
    sequences_per_step: int
    num_steps: int


def _model(hidden: int, layers: int, heads: int, kv_heads: int, inner: int, length: int) -> ModelConfig:
    return ModelConfig(
        hidden_size=hidden,
        num_layers=layers,
        num_heads=heads,
        num_kv_heads=kv_heads,
        intermediate_size=inner,
        sequence_length=length,
    )


SIZES = (
    Size("124M", 0.38, _model(768, 12, 12, 12, 2048, 1024), 64, 160),
    Size("350M", 0.43, _model(1024, 24, 16, 8, 2752, 2048), 16, 120),
    Size("1.1B", 0.48, _model(2048, 22, 16, 8, 5632, 2048), 8, 80),
)
TINY = (Size("tiny", 0.0, _model(32, 2, 2, 1, 64, 32), 4, 12),)


def run(_: Options) -> Iterator[Line | Note]:
    """Measure everything on this machine's GPU."""
    if not torch.cuda.is_available():
        yield Note(
            "no GPU here: nothing was measured; `python -m benchmarks.gpu --device cpu --tiny` tries the script."
        )
        return
    yield from measured("cuda", tiny=False)


def measured(device: str, *, tiny: bool) -> Iterator[Line | Note]:
    """Measure on a device; without a GPU only tiny sizes are for trying the script."""
    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(f"no GPU here (torch {torch.__version__}): run it where there is one, or --device cpu --tiny")
    if device == "cpu" and not tiny:
        raise SystemExit("the sizes are for a GPU: with --device cpu say --tiny, which measures nothing")
    peak = peak_flops(torch.cuda.get_device_name()) if device == "cuda" else None
    yield Note(f"{torch.cuda.get_device_name() if device == 'cuda' else 'CPU, tiny'}, torch {torch.__version__}")
    for size in TINY if tiny else SIZES:
        with tempfile.TemporaryDirectory() as folder:
            yield from _speed(size, _pool(Path(folder), size), device, peak, compiled=not tiny)
    yield from _resumed((TINY if tiny else SIZES)[0], device, compiled=not tiny)
    if tiny:
        yield Note("stacked proxies: `make bench ARGS=stacked` measures them on the CPU")
        return
    told = gpu_rounds(1024, 16, 2)
    yield Line("16 stacked proxies beside one after another (goal 5)", "x", spread_of(told["ratios"]))


def _training(size: Size, *, compiled: bool, precision: Precision = "bfloat16") -> TrainingConfig:
    return TrainingConfig(
        model=size.model,
        optimizer=OptimizerConfig(learning_rate=1e-4, warmup_steps=2),
        num_tokens=size.num_steps * size.sequences_per_step * size.model.sequence_length,
        sequences_per_step=size.sequences_per_step,
        micro_batches=1,
        precision=precision,
        parallel=Ddp(compile=compiled),
    )


def _pool(folder: Path, size: Size) -> TokenPool:
    """Write a pool of random tokens, enough for one epoch of the run."""
    needed = (size.num_steps * size.sequences_per_step + 1) * size.model.sequence_length
    tokens = np.random.default_rng(0).integers(0, VOCAB - 1, size=needed)
    return write_pool(folder, {"noise": {"train": tokens}}, vocab_size=VOCAB, document_end=VOCAB - 1)


def _spec(training: TrainingConfig) -> RunSpec:
    return RunSpec("gpu", (Phase(training.num_tokens, (1.0,)),), 0, training)


def _speed(size: Size, pool: TokenPool, device: str, peak: float | None, *, compiled: bool) -> Iterator[Line | Note]:
    training, stamps = _training(size, compiled=compiled), [time.perf_counter()]
    train(_spec(training), pool, device=device, on_step=lambda step, told: stamps.append(time.perf_counter()))
    steps = np.diff(stamps)[WARM_UP_STEPS:].tolist()
    speed = spread_of([training.tokens_per_step / seconds for seconds in steps])
    parameters = num_parameters(size.model, VOCAB)[0]
    yield Line(f"{size.name} ({parameters / 1e6:,.0f}M parameters): tokens", "per s", speed)
    yield Note(f"  first step, compiling: {stamps[1] - stamps[0]:.1f} s")
    if device == "cuda":
        yield Note(f"  peak memory: {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
        torch.cuda.reset_peak_memory_stats()
    if peak is None:
        yield Note("  no MFU: nobody has looked up what this device could do")
        return
    flops = num_flops(training, VOCAB) / training.num_tokens
    shares = [training.tokens_per_step / seconds * flops / peak for seconds in steps]
    yield Line(f"{size.name}: MFU (goal {size.goal})", "of dense bfloat16", spread_of(shares))


def _resumed(size: Size, device: str, *, compiled: bool) -> Iterator[Line | Note]:
    """Stop a run in one process and go on in another: seconds from its start to its first step, and steps lost."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _pool(folder / "pool", size)
        told = []
        for part in ("begin", "go on"):
            command = [sys.executable, "-m", "benchmarks.gpu", "--device", device, "--part", part, "--folder", name]
            command += [] if compiled else ["--tiny"]
            command += ["--started", str(time.time())]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            told.append(json.loads(done.stdout.splitlines()[-1]))
    lost = RESUME_AT + 1 - told[1]["first"]
    yield Note(f"{size.name} stopped behind step {told[0]['last']}, went on with {told[1]['first']}: {lost} steps lost")
    yield Line("  from starting the second process to its first step (goal 15)", "s", spread_of([told[1]["seconds"]]))
    yield Line("  a step of it behind that", "s", spread_of([told[1]["step"]]))


def _part(size: Size, device: str, folder: Path, *, going_on: bool, compiled: bool, started: float) -> None:
    """Make one part of the run that `_resumed` times, and tell about it in a line of JSON."""
    stamps: list[tuple[int, float]] = []
    pool, spec = read_pool(folder / "pool"), _spec(_training(size, compiled=compiled))
    last = size.num_steps if going_on else RESUME_AT
    with suppress(StoppedError):
        train(
            spec,
            pool,
            checkpoints=folder / "checkpoints",
            device=device,
            on_step=lambda step, told: stamps.append((step, time.time())),
            asked_to_stop=lambda: bool(stamps) and stamps[-1][0] >= last and not going_on,
        )
    gaps = np.diff([stamp for _, stamp in stamps]).tolist()
    told = {"first": stamps[0][0], "last": stamps[-1][0], "seconds": stamps[0][1] - started}
    print(json.dumps(told | {"step": statistics.median(gaps)}))


def main() -> None:
    """Measure, or make one part of a run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, to try the script without a GPU")
    parser.add_argument("--part", choices=("begin", "go on"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--started", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part is None:
        for found in measured(given.device, tiny=given.tiny):
            print(f"  {found}", flush=True)
        return
    size, going_on = (TINY if given.tiny else SIZES)[0], given.part == "go on"
    _part(size, given.device, given.folder, going_on=going_on, compiled=not given.tiny, started=given.started)


if __name__ == "__main__":
    main()
