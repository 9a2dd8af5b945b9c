"""Weights held at zero: they stay there through every optimizer and a kill, until the dense steps begin."""

from pathlib import Path

import pytest
import torch

from tasks.core.errors import ConfigError
from tasks.tokenize.pool import TokenPool
from tasks.training.checkpoint import read
from tasks.training.masked import Mask, mask_of
from tasks.training.model import weight_shapes
from tasks.training.model_size import num_flops
from tasks.training.optimizers.adafactor import Adafactor
from tasks.training.optimizers.adamw import AdamW
from tasks.training.optimizers.frugal import Frugal
from tasks.training.optimizers.kinds import OptimizerKind
from tasks.training.optimizers.low_rank import LowRank
from tasks.training.optimizers.muon import Muon
from tasks.training.parallel.ddp import Ddp
from tasks.training.parallel.fsdp import Fsdp
from tasks.training.run import train
from tasks.training.static_mask import StaticMask, flops_if_sparse, mask_words
from tasks.training.types import Phase, RunSpec, Trunk
from tests.training.conftest import LENGTH, VOCAB_SIZE, small_spec, small_training

SPARSE = StaticMask(sparsity=0.75)
FEW: dict[str, object] = {"num_tokens": 8 * 4 * LENGTH, "warmup_steps": 0}


class KilledError(RuntimeError):
    """What a test throws into a run, where a kill would end it."""


def mask(config: StaticMask = SPARSE) -> Mask:
    """The mask of the small model."""
    found = mask_of(config, weight_shapes(small_training().model, VOCAB_SIZE), "cpu")
    assert found is not None
    return found


def test_every_matrix_has_the_same_share_of_zeros_and_nothing_else_has_any() -> None:
    zeros, shapes = mask().zeros, weight_shapes(small_training().model, VOCAB_SIZE)
    assert {name for name in shapes if "proj" in name} == zeros.keys()
    assert {float(zero.float().mean()) for zero in zeros.values()} == {0.75}
    one, other = (zeros[f"model.layers.{layer}.mlp.up_proj.weight"] for layer in range(2))
    assert not torch.equal(one, other)
    again, another = (mask(StaticMask(sparsity=0.75, seed=seed)).zeros for seed in (0, 1))
    assert all(torch.equal(again[name], zero) and not torch.equal(another[name], zero) for name, zero in zeros.items())


@pytest.mark.parametrize("parallel", [None, Ddp(), Fsdp()], ids=["stack", "ddp", "fsdp"])
def test_masked_weights_and_their_state_stay_at_zero_through_adamw_and_a_kill(
    pool: TokenPool, tmp_path: Path, parallel: Ddp | Fsdp | None
) -> None:
    spec = small_spec(static_mask=SPARSE, parallel=parallel, embedding_weight_decay=0.1, **FEW)

    def die(step: int, numbers: object) -> None:
        if step == 7:
            raise KilledError

    with pytest.raises(KilledError):
        train(spec, pool, checkpoints=tmp_path, on_step=die)
    tensors, _ = read(tmp_path, 6)
    for name, zero in mask().zeros.items():
        for kept in (name, f"adam.mean/{name}", f"adam.square/{name}"):
            assert not tensors[kept][zero].any() and tensors[kept][~zero].any()
    whole, resumed = train(spec, pool), train(spec, pool, checkpoints=tmp_path)
    assert resumed.losses == whole.losses
    for name, weight in whole.model.weights.items():
        assert torch.equal(resumed.model.weights[name], weight)
        assert name not in mask().zeros or not weight[mask().zeros[name]].any()


@pytest.mark.parametrize("kind", [Muon(), Adafactor(beta1=0.9), Frugal(density=0.5, projection="svd")])
def test_masked_weights_stay_at_zero_through_every_optimizer(pool: TokenPool, kind: OptimizerKind) -> None:
    run = train(small_spec(static_mask=SPARSE, method=kind, **FEW), pool)
    for name, zero in mask().zeros.items():
        assert not run.model.weights[name][zero].any() and run.model.weights[name][~zero].any()


@pytest.mark.parametrize("parallel", [None, Ddp()], ids=["stack", "ddp"])
def test_behind_its_steps_the_model_is_dense_and_a_run_killed_at_the_switch_goes_on(
    pool: TokenPool, tmp_path: Path, parallel: Ddp | None
) -> None:
    config = StaticMask(sparsity=0.75, sparse_steps=6)
    spec, all_sparse = (
        small_spec(static_mask=one, parallel=parallel, checkpoint_every_steps=6, **FEW) for one in (config, SPARSE)
    )

    def die(step: int, numbers: object) -> None:
        if step == 7:
            raise KilledError

    with pytest.raises(KilledError):
        train(spec, pool, checkpoints=tmp_path, on_step=die)
    tensors, _ = read(tmp_path, 6)
    assert not any(tensors[name][zero].any() for name, zero in mask().zeros.items())
    whole, resumed, sparse = train(spec, pool), train(spec, pool, checkpoints=tmp_path), train(all_sparse, pool)
    assert resumed.losses == whole.losses
    # The seventh loss is of the weights behind the sixth step.
    assert whole.losses[:7] == sparse.losses[:7] and whole.losses[7] != sparse.losses[7]
    assert all(whole.model.weights[name][zero].all() for name, zero in mask().zeros.items())


def test_the_norm_of_a_gradient_is_that_of_the_weights_that_are_there(pool: TokenPool, tmp_path: Path) -> None:
    norms = []
    for parallel in (None, Ddp()):
        folder = tmp_path / str(parallel is None)
        train(small_spec(static_mask=SPARSE, parallel=parallel, **FEW), pool, checkpoints=folder)
        norms.append(read(folder, 6)[1]["norms"])
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)


def test_what_sparse_hardware_would_save_is_said_as_a_theory() -> None:
    training = small_training(static_mask=StaticMask(sparsity=0.75, sparse_steps=6))
    matrices = sum(zero.numel() for zero in mask().zeros.values())
    saved = 6 * 0.75 * matrices * 6 * training.tokens_per_step
    assert num_flops(training, VOCAB_SIZE) == num_flops(small_training(), VOCAB_SIZE)
    assert flops_if_sparse(training, VOCAB_SIZE) == num_flops(training, VOCAB_SIZE) - saved
    assert flops_if_sparse(small_training(), VOCAB_SIZE) == num_flops(small_training(), VOCAB_SIZE)
    words = mask_words(training, VOCAB_SIZE)
    assert f"{saved / num_flops(training, VOCAB_SIZE):.0%} of the floating-point operations" in words
    assert "in theory" in words and "wall-clock time is that of a dense run" in words


def test_what_cannot_hold_weights_at_zero_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="sparse_steps 13 is beyond the end of a run of 12 steps"):
        small_training(static_mask=StaticMask(sparsity=0.5, sparse_steps=13))
    with pytest.raises(ValueError, match=r"which optimizer\.method low_rank makes anew in every step"):
        small_training(static_mask=SPARSE, method=LowRank(rank=2))
    with pytest.raises(ValueError, match=r"static_mask is not worked out for model\.experts"):
        small_training(static_mask=SPARSE, experts={"kind": "top_k", "num_experts": 4, "num_active": 2})
    training = small_training(method=AdamW())
    with pytest.raises(ConfigError, match="static_mask differ"):
        phases = (Phase(training.num_tokens // 2, (0.5, 0.3, 0.2)),)
        RunSpec("branch", phases, 0, training, trunk=Trunk(small_spec(static_mask=SPARSE), 6))
