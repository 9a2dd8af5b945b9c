"""LinUpper and its kin beside the plain mean: bits per byte on held-out text of a small model, paired seeds.

    python -m benchmarks.studies.loss_reweighting FOLDER [--seeds 3] [--steps 80]

A model of bytes (0.12M parameters) is trained on six sources alike; the same seed has the same initial weights and data
in every arm. The paper (arXiv 2502.06733) found gains that grow with size, from 124M parameters and with 1,000 steps of
burn-in; what is found at this size says nothing about larger models.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.inputs import lines_of, shared
from benchmarks.measure import machine
from tasks.comparison.table import interval
from tasks.tokenize.pool import TokenPool, write_pool
from tasks.training.config import TrainingConfig
from tasks.training.measure import bits_per_byte
from tasks.training.result import RunResult
from tasks.training.stacked import train_stacked
from tasks.training.types import Phase, RunSpec

_RESULTS = Path(__file__).resolve().parents[1] / "results" / "loss_reweighting.txt"
_SOURCES = {
    "articles": "wikipedia_core-*", "books": "books_novels-*", "code": "code_prefect-*", "forum": "forum_webtext-*",
    "german": "multi_gesetze-*", "legal": "legal_dccode-*",
}  # fmt: skip
_SHAPES: dict[str, dict[str, Any]] = {
    "LinUpper": {"kind": "lin_upper"},
    "quadratic": {"kind": "reweighted", "shape": "quadratic"},
    "upper": {"kind": "reweighted", "shape": "upper"},
    "extremes": {"kind": "reweighted", "shape": "extremes"},
}
_END, _BYTES, _HELD_OUT, _CONFIDENCE, _STEP = 256, 300_000, 8_192, 0.95, 16 * 64


def main() -> None:
    """Train every arm with every seed, print and write down what they reach."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.loss_reweighting", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("folder", type=Path, help="for the tokens; kept")
    parser.add_argument("--seeds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--steps", type=int, default=80, help="of 1,024 bytes, a tenth of them burn-in (%(default)s)")
    options = parser.parse_args()
    if (data := shared()) is None:
        print("skipped: no shared data here. MIXWRIGHT_SHARED names its folder; by default ../shared is looked for.")
        return
    torch.set_num_threads(1)
    pool, burn_in = _pool(options.folder, data / "corpus"), options.steps // 10
    arms = {"plain": None} | {name: {**shape, "burn_in_steps": burn_in} for name, shape in _SHAPES.items()}
    found = {}
    for name, objective in arms.items():
        found[name] = _bits(pool, objective, options)
        print(f"{name}: {[round(float(bits), 4) for bits in np.mean(found[name], axis=1)]}", flush=True)
    text = told(found, options)
    print(text)
    _RESULTS.write_text(text, encoding="utf-8")


def _bits(pool: TokenPool, objective: dict[str, Any] | None, options: argparse.Namespace) -> list[list[float]]:
    """Return bits per byte on held-out text of each seed's run, by domain."""
    training, share = _training(options.steps, objective), 1 / len(_SOURCES)
    phases = (Phase(training.num_tokens, (share,) * len(_SOURCES)),)
    runs = train_stacked([RunSpec("run", phases, seed, training) for seed in range(options.seeds)], pool)
    made = [run for run in runs if isinstance(run, RunResult)]
    assert len(made) == options.seeds, "none of them diverged"
    limits = [_HELD_OUT] * len(_SOURCES)
    return [list(bits_per_byte(run.model, pool, "test", limits).values()) for run in made]


def _training(steps: int, objective: dict[str, Any] | None) -> TrainingConfig:
    model = {
        "hidden_size": 96, "num_layers": 1, "num_heads": 2, "num_kv_heads": 1, "intermediate_size": 256,
        "sequence_length": 64, "initializer_range": 0.1,
    }  # fmt: skip
    return TrainingConfig.model_validate(
        {"model": model, "optimizer": {"learning_rate": 7e-3}, "num_tokens": steps * _STEP, "sequences_per_step": 16,
         "micro_batches": 1, "precision": "float32", "objective": objective}
    )  # fmt: skip


def told(found: Mapping[str, Sequence[Sequence[float]]], options: argparse.Namespace) -> str:
    """Return the table of arms, and the paired difference of each from the plain mean."""
    lines = [
        "Samples of a step weighed by their losses: bits per byte on held-out text, mean over six sources",
        f"python -m benchmarks.studies.loss_reweighting FOLDER --seeds {options.seeds} --steps {options.steps}",
        f"0.12M parameters, {options.steps} steps of 16 x 64 bytes, {options.steps // 10} of burn-in",
        f"{date.today()}; {machine()}",
        "",
        f"{'arm':12}{'mean':>8}   less the plain mean, paired (95 % interval)      worst source",
    ]
    plain = np.array(found["plain"])
    for name, values in found.items():
        own = np.array(values)
        line = f"{name:12}{own.mean():8.4f}"
        if name != "plain":
            low, high = interval((own - plain).mean(axis=1), _CONFIDENCE)
            ends = "" if low is None else f" ({low:+.4f} to {high:+.4f})"
            line += f"   {(own - plain).mean():+.4f}{ends}"
        lines.append(f"{line:62}{list(_SOURCES)[int(own.mean(axis=0).argmax())]} {own.mean(axis=0).max():.4f}")
    return "\n".join([*lines, ""])


def _pool(folder: Path, corpus: Path) -> TokenPool:
    """Write the sources as bytes, the last of each held out."""
    domains = {}
    for name, pattern in _SOURCES.items():
        texts, size = list[bytes](), 0
        for line in (line for path in sorted(corpus.glob(f"{pattern}.jsonl.gz")) for line in lines_of(path)):
            text = json.loads(line)["text"].encode()
            texts.append(text)
            size += len(text)
            if size >= _BYTES:
                break
        tokens = np.concatenate([np.append(np.frombuffer(text, np.uint8).astype(np.int64), _END) for text in texts])
        held_out = 4 * _HELD_OUT
        domains[name] = {"train": tokens[:-held_out], "test": tokens[-held_out:]}
    return write_pool(folder / "pool", domains, vocab_size=257, document_end=_END)


if __name__ == "__main__":
    main()
