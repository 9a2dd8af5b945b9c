"""The balance loss over a step: what routers are told before it, and how its coefficients go on behind it.

The loss of a step gets, for each layer, coefficient x num_experts x sum of f p (see `top_k.Balance`). f has no gradient, so
with f of the whole step the gradients of its micro-batches add up to that of one batch, whoever makes them.

Axes: S samples, L layers, E experts, X what is told of a sample (see `top_k.Routed`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tasks.training.experts.kinds import ExpertsKind, Routed


@dataclass
class Routing:
    """What the layers of a call are told, and, in `told`, what they tell: a part of a step after the other, [S, L, X].

    `coefficients_L` are those of the balance loss, None = there is none. `shares_LE` are the experts' shares of all
    assignments of the step, None = those of the call itself.
    """

    coefficients_L: Tensor | None = None
    shares_LE: Tensor | None = None
    told: list[Tensor] = field(default_factory=list)

    def loss(self, routed: Sequence[Routed]) -> Tensor | None:
        """Return the balance loss of a call, summed over its tokens, and keep what its layers told; None = there is none."""
        told_SLX = torch.stack([one.told_BX for one in routed], dim=1)
        self.told.append(told_SLX)
        if self.coefficients_L is None or not torch.is_grad_enabled():
            return None
        probability_LE = torch.stack([one.probability_E for one in routed])
        own = shares(told_SLX.sum(dim=0)[:, : probability_LE.shape[1]]) if self.shares_LE is None else self.shares_LE
        return (self.coefficients_L.to(probability_LE) * balance(own.to(probability_LE), probability_LE)).sum()

    def taken(self) -> Tensor:
        """Return what was told since this was asked before, [S, L, X]."""
        told_SLX, self.told = torch.cat(self.told), []
        return told_SLX


def shares(assigned_LE: Tensor) -> Tensor:
    """Return each expert's share of a layer's assignments."""
    return assigned_LE / assigned_LE.sum(dim=-1, keepdim=True)


def balance(shares_LE: Tensor, probability_LE: Tensor) -> Tensor:
    """Return num_experts x sum of share x probability of each layer: 1 where all are alike, if probabilities sum to 1."""
    return shares_LE.shape[-1] * (shares_LE * probability_LE).sum(dim=-1)


def first_coefficients(config: ExpertsKind, num_layers: int) -> Tensor | None:
    """Return the coefficient of each layer's balance loss in the first step; None = it has none."""
    if config.balance is None:
        return None
    return torch.full((num_layers,), config.balance.coefficient, dtype=torch.float64)


def next_coefficients(config: ExpertsKind, coefficients_L: Tensor, drop_rates_L: Tensor) -> Tensor:
    """Return the coefficients of the next step, by the share of a step's assignments that each layer dropped."""
    if config.balance is None or (adaptive := config.balance.adaptive) is None:
        return coefficients_L
    wanted_L = (adaptive.per_drop_rate * drop_rates_L).clamp(max=adaptive.most).to(coefficients_L.dtype)
    return adaptive.beta * coefficients_L + (1 - adaptive.beta) * wanted_L
