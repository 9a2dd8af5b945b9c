"""Adafactor against torch's, and low-rank training against autograd through the factors."""

import pytest
import torch
from torch import Tensor

from tasks.tokenize.pool import TokenPool
from tasks.training.optimizers.adafactor import Adafactor
from tasks.training.optimizers.adamw import AdamW
from tasks.training.optimizers.kinds import method
from tasks.training.optimizers.low_rank import LowRank, balanced
from tasks.training.optimizers.method import Step
from tasks.training.run import train
from tests.training.conftest import small_spec

MATRIX, NORM = "model.layers.0.mlp.up_proj.weight", "model.norm.weight"
FACTORS = f"low_rank.factors/{MATRIX}"


def made(shape: tuple[int, ...], seed: int) -> Tensor:
    """Random numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def step_of(number: int, rate: float = 0.05, decay: float = 0.1) -> Step:
    """A step of the matrix and the norm."""
    return Step(number, rate, decay, {MATRIX: 1.0, NORM: 1.0})


@pytest.mark.parametrize(("name", "shape"), [(MATRIX, (12, 7)), (NORM, (9,))])
@pytest.mark.parametrize("largest", [1.0, 1.5])
def test_adafactor_makes_the_steps_of_torchs(name: str, shape: tuple[int, ...], largest: float) -> None:
    config = Adafactor(largest_update=largest)
    ours, theirs = made(shape, 0), made(shape, 0).requires_grad_(True)
    state = method(config).init(config, {name: shape}, "cpu")
    reference = torch.optim.Adafactor([theirs], lr=0.05, weight_decay=0.1, d=largest)
    for number in range(8):
        theirs.grad = made(shape, number + 1) * (1 + number)
        method(config).update(config, {name: ours}, {name: theirs.grad}, state, step_of(number))
        reference.step()
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-5, atol=1e-6)


def test_adafactors_first_moment_is_a_mean_of_its_updates() -> None:
    plain, with_mean, start = Adafactor(relative=False), Adafactor(relative=False, beta1=0.8), made((6, 5), 0)
    states = [method(one).init(one, {MATRIX: (6, 5)}, "cpu") for one in (plain, with_mean)]
    mean, expected, ours = torch.zeros(6, 5), start.clone(), start.clone()
    for number in range(4):
        moved, gradient = torch.zeros(6, 5), {MATRIX: made((6, 5), number + 1)}
        method(plain).update(plain, {MATRIX: moved}, gradient, states[0], step_of(number, 1.0, 0.0))
        mean = 0.8 * mean + 0.2 * -moved
        expected -= 0.05 * mean
        method(with_mean).update(with_mean, {MATRIX: ours}, gradient, states[1], step_of(number, 0.05, 0.0))
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)


def test_several_runs_at_once_have_the_steps_of_each_alone() -> None:
    shape, count = (3, 8, 6), 3
    for config in (Adafactor(), LowRank(rank=2, refactor_every_steps=2, reset_every_steps=2)):
        together, parts = made(shape, 0), list(made(shape, 0))
        state = method(config).init(config, {MATRIX: shape}, "cpu")
        states = [method(config).init(config, {MATRIX: shape[1:]}, "cpu") for _ in range(count)]
        for number in range(4):
            gradients = made(shape, number + 1)
            method(config).update(config, {MATRIX: together}, {MATRIX: gradients}, state, step_of(number))
            for part, gradient, own in zip(parts, gradients, states, strict=True):
                method(config).update(config, {MATRIX: part}, {MATRIX: gradient}, own, step_of(number))
        torch.testing.assert_close(together, torch.stack(parts))


def started(config: LowRank) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The weights that a run begins with, and its state."""
    weights = {MATRIX: made((10, 7), 0)}
    state = method(config).init(config, {MATRIX: (10, 7)}, "cpu")
    begin = method(config).begin
    assert begin is not None
    begin(config, weights, state)
    return weights, state


@pytest.mark.parametrize("reset", [None, 3])
def test_the_factors_are_trained_as_autograd_and_torchs_adamw_train_them(reset: int | None) -> None:
    config = LowRank(rank=3, reset_every_steps=reset, adamw=AdamW(beta1=0.8, beta2=0.9))
    weights, state = started(config)
    left, _, _ = torch.linalg.svd(made((10, 7), 0))
    torch.testing.assert_close(weights[MATRIX], left[:, :3] @ left[:, :3].T @ made((10, 7), 0), rtol=1e-4, atol=1e-5)
    theirs = [state[FACTORS][:10].clone().requires_grad_(True), state[FACTORS][10:].clone().requires_grad_(True)]
    reference = torch.optim.AdamW(theirs, lr=0.05, weight_decay=0.1, betas=(0.8, 0.9), eps=1e-8)
    for number in range(7):
        target = made((10, 7), number + 1)
        loss = ((theirs[0] @ theirs[1].T - target) ** 2).sum()
        reference.zero_grad()
        loss.backward()
        if reset is not None and number and number % reset == 0:
            for one in theirs:
                reference.state[one]["exp_avg"].zero_()
        slope = {MATRIX: 2 * (weights[MATRIX] - target)}
        method(config).update(config, weights, slope, state, step_of(number))
        reference.step()
        torch.testing.assert_close(weights[MATRIX], (theirs[0] @ theirs[1].T).detach(), rtol=1e-3, atol=1e-4)


def test_refactoring_balances_the_factors_and_keeps_their_product() -> None:
    factors = made((17, 3), 0) * torch.tensor([10.0, 1.0, 0.1])
    after = balanced(factors, 10)
    torch.testing.assert_close(after[:10] @ after[10:].T, factors[:10] @ factors[10:].T, rtol=1e-4, atol=1e-4)
    values = torch.linalg.svdvals(factors[:10] @ factors[10:].T)[:3]
    for part in (after[:10], after[10:]):
        torch.testing.assert_close(part.T @ part, torch.diag(values), rtol=1e-4, atol=1e-3)


def test_refactoring_is_done_every_so_many_steps() -> None:
    config, plain = LowRank(rank=3, refactor_every_steps=2), LowRank(rank=3)
    (weights, state), (others, other) = started(config), started(plain)
    for number in range(3):
        before, gradient = state[FACTORS].clone(), {MATRIX: made((10, 7), number + 1)}
        # The same statistics: what differs then are the factors.
        for one, own, all_of in ((config, weights, state), (plain, others, other)):
            method(one).update(one, own, gradient, all_of, step_of(number, 0.05 if number < 2 else 0.0))
        assert torch.equal(state[FACTORS], other[FACTORS]) == (number < 2)
    torch.testing.assert_close(state[FACTORS], balanced(before, 10))


def test_a_run_gives_a_dense_model_whose_matrices_have_the_rank(pool: TokenPool) -> None:
    run = train(small_spec(method=LowRank(rank=3, refactor_every_steps=5)), pool)
    for name, weight in run.model.weights.items():
        if "proj" in name:
            assert torch.linalg.matrix_rank(weight, rtol=1e-4) == 3
    assert run.losses[-1] < run.losses[0]
