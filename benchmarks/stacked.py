"""Proxies stacked in one process beside one after another: aggregate tokens per second, and their ratio.

On the CPU in a process with one thread, once plain and once with the environment that workers get; on a GPU where there
is one. Needs torch, numpy, scipy and pydantic alone.
"""

import json
import sys
from collections.abc import Iterator, Mapping

import torch

from benchmarks.inputs import ROOT
from benchmarks.measure import Line, Note, Spread, spent_by, spread_of
from benchmarks.options import Options
from benchmarks.stacked_rounds import gpu_rounds
from infra.executors import PINNED_ENVIRONMENT

COUNTS = (1, 4, 8, 16)


def run(options: Options) -> Iterator[Line | Note]:
    """Measure the demo's proxy and the recipe's (1.3M parameters, 256 tokens a step) on the CPU, then a GPU."""
    for size in ("demo", "recipe"):
        for place, environment, counts in (("worker", PINNED_ENVIRONMENT, COUNTS), ("plain process", {}, (8,))):
            yield from _on_cpu(size, place, environment, counts, options.rounds)
    if not torch.cuda.is_available():
        yield Note("no GPU here: stacking on a GPU was not measured.")
        return
    yield Note(f"GPU: {torch.cuda.get_device_name()}, torch {torch.__version__}")
    for name, tokens in (("recipe, 1,024 tokens a step", 1024), ("recipe, 4,096 tokens a step", 4096)):
        yield from _on_gpu(name, tokens, options.rounds)


def _on_cpu(
    size: str, place: str, environment: Mapping[str, str], counts: tuple[int, ...], rounds: int
) -> Iterator[Line | Note]:
    for count in counts:
        command = [sys.executable, "-m", "benchmarks.stacked_rounds", size, str(count), str(rounds)]
        told = json.loads(spent_by(command, environment, ROOT).output.splitlines()[-1])
        alone, together = (spread_of(told[name]).per(told["tokens"]) for name in ("alone", "together"))
        yield from _lines(f"{size}, {place}, N = {count}", alone, together, told)
        if not told["same"]:
            yield Note(f"{size}, N = {count}: STACKED RUNS DIFFER FROM SEPARATE ONES")


def _on_gpu(name: str, tokens_per_step: int, rounds: int) -> Iterator[Line | Note]:
    for count in COUNTS:
        told = gpu_rounds(tokens_per_step, count, rounds)
        alone, together = (spread_of(told[part]) for part in ("alone", "together"))
        yield from _lines(f"{name}, GPU, N = {count}", alone, together, told)
        yield Note(f"  losses beside the CPU's: at most {told['difference']:.1e} apart, relatively")


def _lines(name: str, alone: Spread, together: Spread, told: dict[str, list[float]]) -> Iterator[Line]:
    yield Line(f"{name}: one after another", "tokens/s", alone)
    yield Line(f"{name}: stacked", "tokens/s", together)
    yield Line(f"{name}: ratio", "x", spread_of(told["ratios"]))
