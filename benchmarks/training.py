"""Training on a CPU: a run beside a plain eager float32 loop over the same model, tokens and steps, in turns in one process.

Each size once with the environment that workers get and once in a plain process, on one thread. The share is of the fastest
of some matrix products in the run's precision (`SHAPES` in `benchmarks/training_rounds.py`), measured in the same rounds;
what counts as arithmetic is the rule of `num_flops`.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.inputs import ROOT
from benchmarks.measure import Line, Note, ratio, spent_by, spread_of
from benchmarks.options import Options
from benchmarks.training_rounds import SIZES
from infra.executors import PINNED_ENVIRONMENT
from tasks.training.command import full_precision
from tasks.training.model_size import num_parameters

PLACES: Mapping[str, Mapping[str, str]] = {"worker": PINNED_ENVIRONMENT, "plain process": {}}


def run(options: Options) -> Iterator[Line | Note]:
    """Measure every size in both places."""
    yield Note(f"precision of our runs: {full_precision()}; the eager loop's: float32")
    for name, size in SIZES.items():
        parameters = num_parameters(size.training.model, size.vocab_size)[0] / 1e6
        yield Note(f"{name}: {parameters:.2f}M parameters, {size.training.tokens_per_step} tokens a step")
        told = dict[str, dict[str, Any]]()
        for place, environment in PLACES.items():
            command = [sys.executable, "-m", "benchmarks.training_rounds", name, str(options.rounds)]
            told[place] = json.loads(spent_by(command, environment, ROOT).output.splitlines()[-1])
            yield from _lines(f"{name}, {place}", told[place], size.stacked)
        ours, eager = (spread_of(told[place][way]) for place, way in (("worker", "ours"), ("plain process", "eager")))
        yield Line(f"{name}: run in a worker / eager loop in a plain process", "x", ratio(eager, ours))


def _lines(name: str, told: dict[str, Any], stacked: int | None) -> Iterator[Line]:
    yield Line(f"{name}: best matrix product", "GFLOP/CPU-s", spread_of(told["limit"]))
    ways = {"eager": ("eager loop", 1), "ours": ("run", 1)}
    if stacked is not None:
        ways["stacked"] = (f"{stacked} stacked runs", stacked)
    for way, (called, count) in ways.items():
        yield Line(f"{name}, {called}: tokens", "per CPU-s", spread_of(told[way]).per(count * told["tokens"]))
        pairs = list(zip(told[way], told["limit"], told["eager"], strict=True))
        shares = [count * told["gflop"] / spent / limit for spent, limit, _ in pairs]
        yield Line(f"{name}, {called}: arithmetic / best product", "ratio", spread_of(shares))
        if way != "eager":
            ratios = [count * eager / spent for spent, _, eager in pairs]
            yield Line(f"{name}, {called} / eager loop", "x", spread_of(ratios))
