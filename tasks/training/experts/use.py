"""What a run keeps of its experts: the coefficients of the next step, and counts of how tokens were routed.

Counts of the processes of a run are summed; coefficients are the same on all of them.

Axes: D domains, S samples, L layers, E experts, X what is told of a sample (see `top_k.Routed`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tasks.training.config import TrainingConfig
from tasks.training.experts.balance import Routing, balance, first_coefficients, next_coefficients, shares
from tasks.training.experts.kinds import ExpertsKind
from tasks.training.published_experts import DomainUse, ExpertsUsed, LayerUse

Floats = npt.NDArray[np.float64]


@dataclass
class ExpertState:
    """What a run knows of its experts behind the steps made so far.

    `sums` are what this process's samples told: those of the whole run, [1, L, X], and below them, by domain, those from
    `first_step` on, [D, L, X]. `numbers` are what people are told of the last step.
    """

    config: ExpertsKind
    first_step: int
    sums: Floats
    coefficients_L: Tensor | None
    numbers: Mapping[str, float] = field(default_factory=dict)

    def routing(self, shares_LE: Tensor | None = None) -> Routing:
        """Return what the layers are told in the step that comes next."""
        return Routing(self.coefficients_L, shares_LE)

    @property
    def needs_shares(self) -> bool:
        """Whether the layers are told the experts' shares of the whole step."""
        return self.config.balance is not None and self.config.balance.over == "global_batch"

    def shares(self, told_LX: Tensor) -> Tensor:
        """Return the experts' shares of a step, of what all its samples told."""
        return shares(told_LX[:, : self.config.num_experts])

    def add(self, step: int, told_SLX: Tensor, domains_S: npt.NDArray[np.int64]) -> None:
        """Count what this process's samples told in a step."""
        told = told_SLX.double().cpu().numpy()
        self.sums[0] += told.sum(axis=0)
        if step >= self.first_step:
            np.add.at(self.sums, domains_S + 1, told)

    def follow(self, told_LX: Tensor) -> None:
        """Go on to the next step, by what all samples of the last one told (float64)."""
        experts, told_LX = self.config.num_experts, told_LX.cpu()
        assigned_LE, probability_LE, dropped_L = (
            told_LX[:, :experts],
            told_LX[:, experts : 2 * experts],
            told_LX[:, 2 * experts],
        )
        rates_L = dropped_L / assigned_LE.sum(dim=1)
        if self.coefficients_L is not None:
            self.coefficients_L = next_coefficients(self.config, self.coefficients_L, rates_L)
        balances_L = balance(shares(assigned_LE), shares(probability_LE))
        self.numbers = {"experts/balance": float(balances_L.mean()), "experts/drop_rate": float(rates_L.mean())}

    def record(self, sums: Floats) -> dict[str, Any]:
        """Return what a checkpoint keeps, of the sum of all processes' counts."""
        coefficients = None if self.coefficients_L is None else self.coefficients_L.tolist()
        return {"coefficients": coefficients, "first_step": self.first_step, "sums": sums.tolist()}

    def restore(self, held: Mapping[str, Any], step: int) -> None:
        """Go on from a checkpoint of a step; a branch counts the last steps of its own run alone."""
        if held["coefficients"] is not None:
            self.coefficients_L = torch.tensor(held["coefficients"], dtype=torch.float64)
        sums = np.array(held["sums"], dtype=np.float64).reshape(self.sums.shape)
        self.sums[0] = sums[0]
        if held["first_step"] == self.first_step:
            self.sums = sums
        else:
            self.first_step = max(self.first_step, step)


def expert_state(training: TrainingConfig, num_domains: int) -> ExpertState | None:
    """Return what a run knows of its experts before the first step; None = it has none."""
    if (config := training.model.experts) is None:
        return None
    layers, last = training.model.num_layers, max(1, training.num_steps // 10)
    sums = np.zeros((1 + num_domains, layers, 2 * config.num_experts + 3))
    return ExpertState(config, training.num_steps - last, sums, first_coefficients(config, layers))


def experts_used(state: ExpertState, sums: Floats, names: Sequence[str], num_steps: int) -> ExpertsUsed:
    """Return how a run of so many steps used its experts, of the sum of all processes' counts."""
    whole_LX, recent_DLX = sums[0], sums[1:]
    coefficients = [None] * len(whole_LX) if state.coefficients_L is None else state.coefficients_L.tolist()
    return ExpertsUsed(
        num_experts=state.config.num_experts,
        num_active=state.config.num_active,
        first_step=min(state.first_step, num_steps - 1),
        last_step=num_steps - 1,
        layers=tuple(
            _layer(state.config, whole_LX[layer], recent_DLX[:, layer], coefficient, names)
            for layer, coefficient in enumerate(coefficients)
        ),
    )


def information(assigned_DE: Floats) -> float:
    """Return the mutual information of domain and expert over assignments, in bits.

    >>> information(np.array([[5.0, 0.0], [0.0, 5.0]])), information(np.array([[5.0, 5.0], [1.0, 1.0]]))
    (1.0, 0.0)
    """
    both_DE = assigned_DE / assigned_DE.sum()
    apart_DE = both_DE.sum(axis=1, keepdims=True) * both_DE.sum(axis=0, keepdims=True)
    some = both_DE > 0
    return max(float((both_DE[some] * np.log2(both_DE[some] / apart_DE[some])).sum()), 0.0)


def _layer(
    config: ExpertsKind, whole_X: Floats, recent_DX: Floats, coefficient: float | None, names: Sequence[str]
) -> LayerUse:
    experts = config.num_experts
    assigned_DE, probability_DE, dropped_D = (
        recent_DX[:, :experts],
        recent_DX[:, experts : 2 * experts],
        recent_DX[:, 2 * experts],
    )
    all_E, all_p = (torch.from_numpy(each.sum(axis=0))[None] for each in (assigned_DE, probability_DE))
    return LayerUse(
        balance=float(balance(shares(all_E), shares(all_p))),
        information=information(assigned_DE),
        drop_rate=float(dropped_D.sum() / assigned_DE.sum()),
        whole_drop_rate=float(whole_X[2 * experts] / whole_X[:experts].sum()),
        coefficient=coefficient,
        domains={
            name: _domain(config, recent_X)
            for name, recent_X in zip(names, recent_DX, strict=True)
            if recent_X[:experts].any()
        },
    )


def _domain(config: ExpertsKind, recent_X: Floats) -> DomainUse:
    experts = config.num_experts
    assigned_E, (dropped, first, second) = recent_X[:experts], recent_X[2 * experts :]
    tokens = float(assigned_E.sum()) / config.num_active
    return DomainUse(
        tokens=round(tokens),
        shares=tuple((assigned_E / assigned_E.sum()).tolist()),
        drop_rate=float(dropped / assigned_E.sum()),
        first_to_second=float(first / tokens),
        second_to_third=None if experts == 2 else float(second / tokens),
    )
