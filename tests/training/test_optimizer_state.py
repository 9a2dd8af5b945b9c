"""What optimizers keep: the bytes of a run's state are those of the formula that stands beside each optimizer."""

from pathlib import Path

import pytest
import torch

from tasks.core.errors import ConfigError
from tasks.tokenize.pool import TokenPool
from tasks.training.checkpoint import read
from tasks.training.memory import needed_bytes
from tasks.training.model import weight_shapes
from tasks.training.optimizers.adafactor import Adafactor
from tasks.training.optimizers.adamw import AdamW
from tasks.training.optimizers.frugal import Frugal
from tasks.training.optimizers.kinds import OptimizerKind, state_bytes
from tasks.training.optimizers.low_rank import LowRank
from tasks.training.optimizers.method import split_name
from tasks.training.optimizers.muon import Muon
from tasks.training.parallel.ddp import Ddp
from tasks.training.parallel.fsdp import Fsdp
from tasks.training.run import train
from tests.training.conftest import LENGTH, VOCAB_SIZE, small_spec, small_training

KINDS: tuple[OptimizerKind, ...] = (
    AdamW(),
    Muon(),
    Adafactor(),
    Adafactor(beta1=0.9),
    LowRank(rank=3, refactor_every_steps=4, reset_every_steps=3),
    Frugal(density=0.5, every_steps=4),
    Frugal(density=0.5, projection="matrices"),
    Frugal(density=0.5, projection="svd"),
)
WITHOUT_SHARDS = KINDS[2:]


class KilledError(RuntimeError):
    """What a test throws into a run, where a kill would end it."""


def name_of(kind: OptimizerKind) -> str:
    """Name a case."""
    return "-".join(str(value) for value in kind.model_dump(exclude_defaults=True).values()) or "adamw"


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_a_killed_run_keeps_the_bytes_of_the_formula_and_goes_on_to_the_same_bits(
    pool: TokenPool, tmp_path: Path, kind: OptimizerKind
) -> None:
    # Checkpoints lie in steps 3 and 6, what is done anew in 3, 4, 6, 8 and 9.
    spec = small_spec(method=kind, num_tokens=10 * 4 * LENGTH)

    def die(step: int, numbers: object) -> None:
        if step == 8:
            raise KilledError

    with pytest.raises(KilledError):
        train(spec, pool, checkpoints=tmp_path, on_step=die)
    tensors, _ = read(tmp_path, 6)
    held = sum(tensor.nbytes for name, tensor in tensors.items() if split_name(name)[1])
    assert held == state_bytes(kind, weight_shapes(spec.training.model, VOCAB_SIZE))
    whole, resumed = train(spec, pool), train(spec, pool, checkpoints=tmp_path)
    assert resumed.losses == whole.losses
    assert all(torch.equal(resumed.model.weights[name], one) for name, one in whole.model.weights.items())


def test_what_a_run_needs_of_memory_differs_by_the_bytes_of_its_state() -> None:
    shapes = weight_shapes(small_training().model, VOCAB_SIZE)
    needs = {kind: needed_bytes(small_training(method=kind), VOCAB_SIZE, shards=1, sequences=1) for kind in KINDS}
    assert len({need - state_bytes(kind, shapes) for kind, need in needs.items()}) == 1
    assert len(set(needs.values())) == len(KINDS)


@pytest.mark.parametrize("kind", [Adafactor(beta1=0.9), LowRank(rank=3, refactor_every_steps=2)], ids=name_of)
def test_both_engines_make_the_same_run(pool: TokenPool, kind: OptimizerKind) -> None:
    few: dict[str, object] = {"num_tokens": 6 * 4 * LENGTH, "warmup_steps": 0, "method": kind}
    one, other = (train(small_spec(**few, **more), pool) for more in ({}, {"parallel": Ddp()}))
    assert other.losses == pytest.approx(one.losses, abs=1e-4)


@pytest.mark.parametrize("kind", WITHOUT_SHARDS, ids=name_of)
def test_an_optimizer_that_needs_whole_weights_is_refused_with_shards(kind: OptimizerKind) -> None:
    with pytest.raises(ValueError, match=f"{kind.kind} needs whole weights, and parallel fsdp gives it shards"):
        small_training(method=kind, parallel=Fsdp())


def test_a_rank_above_that_of_a_matrix_is_refused_by_name(pool: TokenPool) -> None:
    with pytest.raises(ConfigError, match=r"rank 9 is above that of .*k_proj\.weight, which is 8 x 16"):
        train(small_spec(method=LowRank(rank=9)), pool)
