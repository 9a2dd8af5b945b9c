"""A full run of a comparison as a unit: a model trained on one mixture with one seed, measured on the test split."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from tasks.core.handles import Tree
from tasks.core.published import Published
from tasks.core.results import Here, UnitResult
from tasks.tokenize.pool import read_pool
from tasks.training.config import TrainingConfig
from tasks.training.types import Phase, RunSpec


class TestLosses(Published):
    """What a trained model measured on the test split, bits per byte per domain."""

    FILE: ClassVar[str] = "bpb.json"

    format: Literal[1] = 1
    bpb: tuple[float, ...]


@dataclass(frozen=True)
class ComparedRunArgs:
    """A run: its mixture and seed, how it is trained, and on how many tokens per domain it is measured (None = all)."""

    weights: tuple[float, ...]
    seed: int
    training: TrainingConfig
    max_epochs: float
    pool: Tree
    test_tokens_per_domain: int | None


def train_and_test(args: ComparedRunArgs, here: Here) -> UnitResult:
    """Train a model and write what it measures on the test split."""
    from tasks.training.measure import bits_per_byte
    from tasks.training.run import train

    pool, num_steps = read_pool(args.pool.local(), "train", "test"), args.training.num_steps
    phase = Phase(args.training.num_tokens, args.weights)
    spec = RunSpec("comparison", (phase,), args.seed, args.training, args.max_epochs)
    trained = train(spec, pool, on_step=lambda step, _: here.progress(step, num_steps))
    bpb = bits_per_byte(trained.model, pool, "test", args.test_tokens_per_domain)
    TestLosses(bpb=tuple(bpb[name] for name in pool.names)).write(here.folder)
    return UnitResult()
