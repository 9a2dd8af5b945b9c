"""What teachers hold likely, row by row: made when it is asked for, because the shares of all tokens would not fit.

Axes: N rows, D hidden (each teacher's own), V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tasks.training.teachers.distillation import Distillation


@dataclass(frozen=True)
class SoftLabels:
    """The teachers' last hidden states of N rows, [N, D] each, and their output layers, [V, D] each."""

    config: Distillation
    hidden: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    def part(self, rows: slice | Tensor) -> "SoftLabels":
        """Return the labels of some rows."""
        return SoftLabels(self.config, tuple(each[rows] for each in self.hidden), self.outputs)

    @torch.no_grad()
    def shares(self) -> Tensor:
        """Return what the teachers hold likely of each row, float32, [N, V]: the mean of their probabilities.

        The temperature softens each teacher's; with `top_k` the likeliest tokens alone are left, and sum to 1.
        """
        temperature, top_k = self.config.temperature, self.config.top_k
        logits = [hidden_ND @ output_VD.T for hidden_ND, output_VD in zip(self.hidden, self.outputs, strict=True)]
        shares_NV = (logits[0].float() / temperature).softmax(dim=-1)
        for more_NV in logits[1:]:
            shares_NV += (more_NV.float() / temperature).softmax(dim=-1)
        shares_NV /= len(logits)
        if top_k is None:
            return shares_NV
        most_NK, tokens_NK = shares_NV.topk(top_k, dim=-1)
        return torch.zeros_like(shares_NV).scatter_(1, tokens_NK, most_NK / most_NK.sum(dim=-1, keepdim=True))

    @torch.no_grad()
    def learnable_nats(self, targets_N: Tensor) -> Tensor:
        """Return the teachers' nats of each target that is among their `top_k`, 0 of all others, [N]."""
        assert self.config.top_k is not None, "a selection has it"
        whole = replace(self, config=self.config.model_copy(update={"temperature": 1.0, "top_k": None}))
        shares_NV = whole.shares()
        own_N1 = shares_NV.gather(1, targets_N[:, None])
        known_N = (shares_NV > own_N1).sum(dim=1) < self.config.top_k
        return torch.where(known_N, -own_N1[:, 0].log(), 0.0)


def joined(labels: Sequence[SoftLabels]) -> SoftLabels:
    """Return the labels of several runs' rows as those of one behind the other."""
    hidden = zip(*(each.hidden for each in labels), strict=True)
    return SoftLabels(labels[0].config, tuple(torch.cat(some) for some in hidden), labels[0].outputs)
