"""How a loss curves around weights: the trace of its Hessian, and its critical sharpness along a direction.

The trace is Hutchinson's estimate: the mean of v' H v over probes v whose entries are +1 or -1 at random. Critical sharpness
is 2 / eta, where eta is the smallest step along the direction that raises the loss (arXiv 2601.16979); of a quadratic
along its gradient g that is g' H g / g' g.

Axes: P probes.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tasks.core.errors import EvidenceError
from tasks.core.rng import generator

Floats = npt.NDArray[np.float64]
# A part of the loss at the weights as they are; the loss is the sum of its parts.
Part = Callable[[], Tensor]
# Doublings or halvings in search of a step that raises the loss, and of one that does not.
_MOST_DOUBLINGS = 60
# How closely the step is known, in doublings: 1 %.
_CLOSE = 1 / 64


def probed(parts: Sequence[Part], weights: Sequence[Tensor], num_probes: int, seed: int) -> tuple[Floats, list[Tensor]]:
    """Return v' H v of each probe, [P], and the gradient of the loss; sums over weights are float64."""
    found_P = np.zeros(num_probes)
    gradient = [torch.zeros_like(weight) for weight in weights]
    for part in parts:
        slopes = torch.autograd.grad(part(), weights, create_graph=True)
        gradient = [total + slope.detach() for total, slope in zip(gradient, slopes, strict=True)]
        for number in range(num_probes):
            probe = _probe(weights, seed, number)
            products = torch.autograd.grad(slopes, weights, grad_outputs=probe, retain_graph=True)
            found_P[number] += _dot(products, probe)
    return found_P, gradient


@torch.no_grad()
def critical_sharpness(
    loss: Callable[[], float], weights: Sequence[Tensor], gradient: Sequence[Tensor], start: float
) -> float:
    """Return 2 / eta for steps against the gradient, from forward passes alone; `start` is the loss at these weights.

    Steps are halved, or doubled, until one raises the loss and half of it does not; then they are bisected to 1 %.
    The first is that at which a straight line would reach twice the loss below: no scale of the loss moves the search.

    Raises:
        EvidenceError: no step raises the loss, or all do: there is no slope.
    """
    squares = _dot(gradient, gradient)
    if not squares > 0:
        raise EvidenceError("the gradient is 0, so that no step along it raises the loss. There is no slope to follow.")
    before = [weight.clone() for weight in weights]

    def raised(doublings: float) -> bool:
        step = 2**doublings * start / squares
        for weight, old, slope in zip(weights, before, gradient, strict=True):
            weight.copy_(old - step * slope)
        # What is no number is no descent.
        return not loss() <= start

    try:
        low, high = _bracket(raised)
        while high - low > _CLOSE:
            middle = (low + high) / 2
            low, high = (low, middle) if raised(middle) else (middle, high)
    finally:
        for weight, old in zip(weights, before, strict=True):
            weight.copy_(old)
    return 2 * squares / (start * 2 ** ((low + high) / 2))


def _bracket(raised: Callable[[float], bool]) -> tuple[float, float]:
    """Return the logarithms of a step that does not raise the loss and of twice that step, which does."""
    high = 1.0
    down = raised(high)
    for _ in range(_MOST_DOUBLINGS):
        following = high - 1 if down else high + 1
        if raised(following) != down:
            return (following, high) if down else (high, following)
        high = following
    raise EvidenceError(
        f"{_MOST_DOUBLINGS} steps against the gradient, each {'half' if down else 'twice'} the one before, "
        f"{'all raised the loss' if down else 'did not raise the loss'}. Measure on more windows."
    )


def _probe(weights: Sequence[Tensor], seed: int, number: int) -> list[Tensor]:
    """Return a probe: the same for all models with weights of these shapes, so that their traces are compared in pairs."""
    random = generator(seed, "flatness", "probe", number)
    signs = [random.integers(0, 2, size=tuple(weight.shape), dtype=np.int8) for weight in weights]
    return [
        torch.from_numpy(2 * sign - 1).to(weight.device, weight.dtype)
        for sign, weight in zip(signs, weights, strict=True)
    ]


def _dot(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    return float(sum((left.double() * right.double()).sum() for left, right in zip(one, other, strict=True)))
