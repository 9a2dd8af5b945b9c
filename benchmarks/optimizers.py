"""Muon beside AdamW, and schedules beside each other: bits per byte of the demo's proxy on held-out text, three seeds.

Text: the Python sources of this installation, as bytes; every eighth file is held out. What is found at this size (0.05M
parameters, 0.1M tokens) says nothing about larger ones.
"""

import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.measure import Line, Note, spread_of
from benchmarks.options import Options
from tasks.tokenize.pool import TokenPool, write_pool
from tasks.training.command import full_precision
from tasks.training.config import TrainingConfig
from tasks.training.measure import bits_per_byte
from tasks.training.params import demo_proxy
from tasks.training.result import RunResult
from tasks.training.stacked import train_stacked
from tasks.training.types import Phase, RunSpec

SEEDS, RATES = 3, (0.0035, 0.007, 0.014, 0.028, 0.056, 0.112)
OPTIMIZERS: dict[str, dict[str, Any]] = {"AdamW": {"kind": "adamw"}, "Muon": {"kind": "muon"}}
SCHEDULES: dict[str, dict[str, Any]] = {
    "wsd, linear over the last 40 % (the default)": {"kind": "wsd"},
    "wsd, 1-sqrt over the last 40 %": {"kind": "wsd", "decay_shape": "1-sqrt"},
    "wsd, linear over the last 10 %": {"kind": "wsd", "decay_fraction": 0.1},
    "constant": {"kind": "wsd", "decay_fraction": 0.0},
    "cosine to a tenth": {"kind": "cosine"},
    "inverse_sqrt": {"kind": "inverse_sqrt"},
    "infinite, 10 steps of anneal": {"kind": "infinite", "cooldown_steps": 40, "anneal_steps": 10},
}
_END, _BYTES, _HELD_OUT = 256, 2_000_000, 16_384


def run(_: Options) -> Iterator[Line | Note]:
    """Train with each optimizer at each learning rate, then with each schedule at the best rate of AdamW."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        pool = _pool(Path(folder))
        best = dict[str, tuple[float, list[float]]]()
        for name, method in OPTIMIZERS.items():
            for rate in RATES:
                found = _bits(pool, {"method": method, "learning_rate": rate})
                yield Line(f"{name} at {rate:g}", "bits per byte", spread_of(found))
                if name not in best or np.mean(found) < np.mean(best[name][1]):
                    best[name] = rate, found
        (rate, adamw), (_, muon) = best["AdamW"], best["Muon"]
        yield _paired("Muon - AdamW, each at its best rate", muon, adamw)
        usual = list[float]()
        for name, schedule in SCHEDULES.items():
            found = _bits(pool, {"schedule": schedule, "learning_rate": rate})
            usual = usual or found
            yield _paired(f"{name}, less the default", found, usual)
    yield Note(f"{SEEDS} seeds, paired: the same initial weights and order; schedules with AdamW at {rate:g}.")


def _paired(name: str, ours: Sequence[float], theirs: Sequence[float]) -> Line:
    return Line(name, "bits per byte", spread_of([one - other for one, other in zip(ours, theirs, strict=True)]))


def _bits(pool: TokenPool, optimizer: dict[str, Any]) -> list[float]:
    """Return the bits per byte on held-out text of a run with each seed."""
    proxy = demo_proxy().decided(full_precision())
    given = proxy.model_dump()
    training = TrainingConfig.model_validate(given | {"optimizer": given["optimizer"] | optimizer})
    specs = [RunSpec(f"seed {seed}", (Phase(training.num_tokens, (1.0,)),), seed, training) for seed in range(SEEDS)]
    found = []
    for ended in train_stacked(specs, pool):
        assert isinstance(ended, RunResult), ended
        found.append(bits_per_byte(ended.model, pool, "test", _HELD_OUT)["python"])
    return found


def _pool(folder: Path) -> TokenPool:
    """Return the sources of the standard library as a pool of bytes."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    splits = {"train": [one for number, one in enumerate(files) if number % 8], "test": files[::8]}
    tokens = {split: _tokens(some) for split, some in splits.items()}
    return write_pool(folder, {"python": tokens}, vocab_size=_END + 1, document_end=_END)


def _tokens(files: Sequence[Path]) -> npt.NDArray[np.int64]:
    parts = [np.append(np.frombuffer(file.read_bytes(), np.uint8).astype(np.int64), _END) for file in files]
    return np.concatenate(parts)[:_BYTES]
