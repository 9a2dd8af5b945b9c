"""AdamW as one vector, against torch's."""

import pytest
import torch

from tasks.training.config import OptimizerConfig
from tasks.training.optimizer import adamw, clipped, new_state


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_it_makes_the_steps_of_torchs_adamw(weight_decay: float) -> None:
    made = torch.Generator().manual_seed(0)
    config = OptimizerConfig(learning_rate=0.05, weight_decay=weight_decay, beta1=0.8, beta2=0.9)
    start = torch.randn(50, generator=made)
    ours, state = start.clone(), new_state(start)
    theirs = start.clone().requires_grad_(True)
    reference = torch.optim.AdamW([theirs], lr=0.05, weight_decay=weight_decay, betas=(0.8, 0.9), eps=config.epsilon)
    for step in range(8):
        gradient = torch.randn(50, generator=made)
        adamw(ours, gradient, state, config, rate=0.05, decay_P=torch.ones(50), step=step)
        theirs.grad = gradient
        reference.step()
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-5, atol=1e-6)


def test_only_marked_weights_decay() -> None:
    weights, config = torch.ones(4), OptimizerConfig(learning_rate=0.1, weight_decay=0.5)
    marked = torch.tensor([1.0, 0.0, 1.0, 0.0])
    adamw(weights, torch.zeros(4), new_state(weights), config, rate=0.1, decay_P=marked, step=0)
    assert weights.tolist() == pytest.approx([0.95, 1.0, 0.95, 1.0])


def test_a_gradient_is_shortened_to_the_limit_and_never_lengthened() -> None:
    gradient = torch.tensor([3.0, 4.0])
    assert clipped(gradient, 5.0, 1.0).tolist() == pytest.approx([0.6, 0.8])
    assert clipped(gradient, 5.0, 6.0).tolist() == [3.0, 4.0]
    assert clipped(gradient, 5.0, None).tolist() == [3.0, 4.0]
