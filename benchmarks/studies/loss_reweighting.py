"""LinUpper and its kin beside the plain mean: bits per byte on held-out text of a small model, paired seeds.

    python -m benchmarks.studies.loss_reweighting FOLDER [--seeds 3] [--steps 80]

A model of bytes (0.12M parameters) is trained on six sources alike; the same seed has the same initial weights and data
in every arm. The paper (arXiv 2502.06733) found gains that grow with size, from 124M parameters and with 1,000 steps of
burn-in; what is found at this size says nothing about larger models.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.studies.bytes_of_text import END, stacked, stream, texts_of
from benchmarks.studies.study import SEEDS, Option, Study, difference, run
from tasks.tokenize.pool import TokenPool, write_pool
from tasks.training.config import TrainingConfig
from tasks.training.measure import bits_per_byte

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
_BYTES, _HELD_OUT, _STEP = 300_000, 8_192, 16 * 64


def compared(study: Study) -> str:
    """Train every arm with every seed, and return what they reach."""
    pool, steps, seeds = pool_of(study.folder, study.data), study.options.steps, range(study.options.seeds)
    arms = {"plain": None} | {name: {**shape, "burn_in_steps": steps // 10} for name, shape in _SHAPES.items()}
    found = {}
    for name, objective in arms.items():
        runs = stacked(_training(steps, objective), pool, seeds)
        limits = [_HELD_OUT] * len(_SOURCES)
        found[name] = [list(bits_per_byte(run.model, pool, "test", limits).values()) for run in runs]
        print(f"{name}: {[round(float(bits), 4) for bits in np.mean(found[name], axis=1)]}", flush=True)
    return told(found, steps)


def _training(steps: int, objective: dict[str, Any] | None) -> TrainingConfig:
    model = {
        "hidden_size": 96, "num_layers": 1, "num_heads": 2, "num_kv_heads": 1, "intermediate_size": 256,
        "sequence_length": 64, "initializer_range": 0.1,
    }  # fmt: skip
    return TrainingConfig.model_validate(
        {"model": model, "optimizer": {"learning_rate": 7e-3}, "num_tokens": steps * _STEP, "sequences_per_step": 16,
         "micro_batches": 1, "precision": "float32", "objective": objective}
    )  # fmt: skip


def told(found: Mapping[str, Sequence[Sequence[float]]], steps: int) -> str:
    """Return the table of arms, and the paired difference of each from the plain mean."""
    lines = [
        "Samples of a step weighed by their losses: bits per byte on held-out text, mean over six sources",
        f"0.12M parameters, {steps} steps of 16 x 64 bytes, {steps // 10} of burn-in",
        "",
        f"{'arm':12}{'mean':>8}   less the plain mean, paired (95 % interval)      worst source",
    ]
    plain = np.array(found["plain"]).mean(axis=1)
    for name, values in found.items():
        own = np.array(values)
        line = f"{name:12}{own.mean():8.4f}"
        if name != "plain":
            line += f"   {difference(own.mean(axis=1).tolist(), plain.tolist())}"
        lines.append(f"{line:62}{list(_SOURCES)[int(own.mean(axis=0).argmax())]} {own.mean(axis=0).max():.4f}")
    return "\n".join(lines)


def pool_of(folder: Path, data: Path) -> TokenPool:
    """Write the sources as bytes, the last of each held out."""
    domains = {}
    for name, pattern in _SOURCES.items():
        tokens, held_out = stream(_first(data, pattern)), 4 * _HELD_OUT
        domains[name] = {"train": tokens[:-held_out], "test": tokens[-held_out:]}
    return write_pool(folder / "pool", domains, vocab_size=END + 1, document_end=END)


def _first(data: Path, pattern: str) -> Iterator[bytes]:
    """Yield the first texts of a source, until they have so many bytes."""
    size = 0
    for text in texts_of(data, pattern):
        yield text.encode()
        size += len(text.encode())
        if size >= _BYTES:
            return


if __name__ == "__main__":
    steps = Option("steps", 80, "of 1,024 bytes, a tenth of them burn-in")
    run("loss_reweighting", __doc__, compared, SEEDS, steps)
