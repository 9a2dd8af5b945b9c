"""Optimizers by the bytes of their state and the loss they reach: FRUGAL at several densities beside the others.

    python -m benchmarks.studies.frugal FOLDER [--steps 100] [--seeds 3]

Text: the first documents of every file of the shared corpus, as bytes; every eighth is held out. Each optimizer is tried
from its first learning rate up and down by factors of two until the best is within what was tried, with the first seed;
what is compared are all seeds at that rate. A choice of FRUGAL holds for a tenth of the steps.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.studies.bytes_of_text import END, stream, texts_of
from benchmarks.studies.study import SEEDS, Option, Study, interval, run
from tasks.tokenize.pool import TokenPool, write_pool
from tasks.training.command import full_precision
from tasks.training.config import ModelConfig, OptimizerConfig, TrainingConfig
from tasks.training.measure import bits_per_byte
from tasks.training.model import weight_shapes
from tasks.training.model_size import num_parameters
from tasks.training.optimizers.kinds import method, state_bytes
from tasks.training.result import RunResult
from tasks.training.stacked import train_stacked
from tasks.training.types import Phase, RunSpec

_DOCUMENTS, _BYTES, _HELD_OUT = 40, 40_000, 32_768
_SEQUENCES, _LENGTH, _DIVERGED = 8, 128, float("inf")
_MODEL = ModelConfig(
    hidden_size=64,
    num_layers=2,
    num_heads=2,
    num_kv_heads=1,
    intermediate_size=176,
    sequence_length=_LENGTH,
    initializer_range=0.1,
)


def arms(steps: int) -> Mapping[str, tuple[float, dict[str, Any]]]:
    """Return a first learning rate and an optimizer for each arm, AdamW first."""
    every = max(1, steps // 10)
    frugal = {"kind": "frugal", "every_steps": every}
    low_rank = {"kind": "low_rank", "rank": 16, "refactor_every_steps": every, "reset_every_steps": every}
    return {
        "AdamW": (0.007, {"kind": "adamw"}),
        "FRUGAL, density 1": (0.007, {**frugal, "density": 1.0}),
        "FRUGAL, density 0.25, columns": (0.007, {**frugal, "density": 0.25}),
        "FRUGAL, density 0.25, svd": (0.007, {**frugal, "density": 0.25, "projection": "svd"}),
        "FRUGAL, density 0 (signs)": (0.0035, {**frugal, "density": 0.0}),
        "low rank, 16 of 64": (0.014, low_rank),
        "Adafactor": (0.028, {"kind": "adafactor"}),
        "Muon": (0.028, {"kind": "muon"}),
    }


def compared(study: Study) -> str:
    """Train all arms, and return the table."""
    steps, seeds = study.options.steps, study.options.seeds
    pool, rows = pool_of(study.data, study.folder / "pool"), dict[str, tuple[float, list[float], int]]()
    for name, (first, optimizer) in arms(steps).items():
        config = training(steps, first, optimizer)
        # With a state for all it is AdamW, which has its rate by then.
        rate = rows["AdamW"][0] if optimizer.get("density") == 1 else best_rate(pool, config)
        bits = bits_of(pool, _at(config, rate), range(seeds))
        rows[name] = rate, bits, held_bytes(config)
        print(f"{name}: {np.mean(bits):.4f} bits per byte at {rate:g}", flush=True)
    size, body = num_parameters(_MODEL, END + 1)
    return (
        f"{size:,} parameters, {body:,} outside the embedding, {steps * _SEQUENCES * _LENGTH:,} tokens (bytes of the shared "
        f"corpus), {seeds} seeds, paired\n\n{table(rows)}"
    )


def pool_of(data: Path, folder: Path) -> TokenPool:
    """Return the first documents of every file as one domain of bytes, every eighth held out."""
    splits = dict[str, list[bytes]](train=[], test=[])
    for file in sorted((data / "corpus").glob("*.jsonl.gz")):
        texts = texts_of(data, file.name.removesuffix(".jsonl.gz"))
        for number, text in enumerate(islice(texts, _DOCUMENTS)):
            splits["train" if number % 8 else "test"].append(text.encode()[:_BYTES])
    tokens = {split: stream(parts) for split, parts in splits.items()}
    return write_pool(folder, {"corpus": tokens}, vocab_size=END + 1, document_end=END)


def training(steps: int, rate: float, optimizer: Mapping[str, Any]) -> TrainingConfig:
    """Return the config of an arm's runs."""
    return TrainingConfig(
        model=_MODEL,
        optimizer=OptimizerConfig.model_validate({"learning_rate": rate, "method": optimizer}),
        num_tokens=steps * _SEQUENCES * _LENGTH,
        sequences_per_step=_SEQUENCES,
        micro_batches=1,
    ).decided(full_precision())


def best_rate(pool: TokenPool, config: TrainingConfig) -> float:
    """Return the learning rate with the fewest bits per byte of the first seed, by factors of two, with both beside it."""
    found = dict[float, float]()
    best = config.optimizer.learning_rate
    while missing := [rate for rate in (best, best / 2, best * 2) if rate not in found]:
        found |= {rate: bits_of(pool, _at(config, rate), range(1))[0] for rate in missing}
        best = min(found, key=lambda rate: found[rate])
    return best


def bits_of(pool: TokenPool, config: TrainingConfig, seeds: Sequence[int]) -> list[float]:
    """Return the bits per byte on held-out text of a run with each seed; one that diverged has infinitely many."""
    specs = [RunSpec(f"seed {seed}", (Phase(config.num_tokens, (1.0,)),), seed, config) for seed in seeds]
    ended = train_stacked(specs, pool)
    return [
        bits_per_byte(one.model, pool, "test", _HELD_OUT)["corpus"] if isinstance(one, RunResult) else _DIVERGED
        for one in ended
    ]


def held_bytes(config: TrainingConfig) -> int:
    """Return the bytes of the state that a run of a config holds, which are those of the optimizer's formula."""
    kind, shapes = config.optimizer.method, weight_shapes(_MODEL, END + 1)
    held = sum(tensor.nbytes for tensor in method(kind).init(kind, shapes, "cpu").values())
    assert held == state_bytes(kind, shapes), f"{kind.kind} holds {held} bytes"
    return held


def table(rows: Mapping[str, tuple[float, Sequence[float], int]]) -> str:
    """Return the table: rate, bits per byte, the difference from AdamW with its 95 % interval over seeds, bytes of state."""
    _, base, whole = rows["AdamW"]
    lines = [
        "| optimizer | rate | bits per byte | less AdamW | interval | state bytes | of AdamW's |",
        "|" + "---|" * 7,
    ]
    for name, (rate, bits, held) in rows.items():
        differences = np.subtract(bits, base)
        told = "the same bits" if not differences.any() else f"{differences.mean():+.4f}"
        ends = ""
        if differences.any():
            found = interval(bits, base).ends
            ends = "" if found is None else f"{found[0]:+.4f} to {found[1]:+.4f}"
        lines.append(f"| {name} | {rate:g} | {np.mean(bits):.4f} | {told} | {ends} | {held:,} | {held / whole:.2f} |")
    return "\n".join(lines)


def _at(config: TrainingConfig, rate: float) -> TrainingConfig:
    return config.model_copy(update={"optimizer": config.optimizer.model_copy(update={"learning_rate": rate})})


if __name__ == "__main__":
    run("frugal", __doc__, compared, Option("steps", 100, "of each model"), SEEDS)
