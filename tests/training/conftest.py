"""A small pool with three unlike domains, and a training config that takes a fraction of a second."""

from pathlib import Path

import numpy as np
import pytest

from tasks.core.rng import generator
from tasks.tokenize.pool import TokenPool, write_pool
from tasks.training.config import ModelConfig, OptimizerConfig, TrainingConfig
from tasks.training.types import Phase, RunSpec

VOCAB_SIZE = 64
LENGTH = 16


def domain(name: str, step: int, tokens: int) -> np.ndarray:
    """Tokens that a model can learn: each is `step` after the one before, with some noise; documents of 50 tokens."""
    noise = generator(0, "test pool", name).integers(0, 3, size=tokens)
    values = (np.arange(tokens) * step + noise) % (VOCAB_SIZE - 1)
    values[49::50] = VOCAB_SIZE - 1
    return values


def prefix(number: int) -> np.ndarray:
    """Return the metadata of a document: one to three tokens."""
    return np.arange(40, 41 + number % 3)


def make_pool(folder: Path, *, metadata: bool = False) -> TokenPool:
    """Write a pool of three domains; one is small."""
    sizes = {"alpha": (1, 4000), "beta": (5, 3000), "gamma": (11, 600)}
    domains = {
        name: {
            split: domain(f"{name}/{split}", step, tokens if split == "train" else 200)
            for split in ("train", "search", "test")
        }
        for name, (step, tokens) in sizes.items()
    }
    prefixes = {name: [prefix(number) for number in range(-(-size // 50))] for name, (_, size) in sizes.items()}
    return write_pool(
        folder,
        domains,
        vocab_size=VOCAB_SIZE,
        document_end=VOCAB_SIZE - 1,
        prefixes=prefixes if metadata else None,
    )


@pytest.fixture
def pool(tmp_path: Path) -> TokenPool:
    """A pool of three domains."""
    return make_pool(tmp_path / "pool")


def small_training(**changes: object) -> TrainingConfig:
    """A run of 12 steps of 4 samples of 16 tokens; `changes` go where the name belongs."""
    values: dict[str, dict[str, object]] = {
        "model": {
            "hidden_size": 16,
            "num_layers": 2,
            "num_heads": 4,
            "num_kv_heads": 2,
            "intermediate_size": 24,
            "sequence_length": LENGTH,
        },
        "optimizer": {"learning_rate": 1e-2, "warmup_steps": 2},
        "training": {
            "num_tokens": 12 * 4 * LENGTH,
            "sequences_per_step": 4,
            "precision": "float32",
            "checkpoint_every_steps": 3,
        },
    }
    for name, value in changes.items():
        owner = "model" if name in ModelConfig.model_fields else "training"
        owner = "optimizer" if name in OptimizerConfig.model_fields else owner
        values[owner][name] = value
    return TrainingConfig.model_validate(
        {"model": values["model"], "optimizer": values["optimizer"], **values["training"]}
    )


def small_spec(weights: tuple[float, ...] = (0.5, 0.3, 0.2), seed: int = 0, **changes: object) -> RunSpec:
    """A run of one phase."""
    training = small_training(**changes)
    return RunSpec("small", (Phase(training.num_tokens, weights),), seed, training)
