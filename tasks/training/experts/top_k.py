"""Sparse experts: a token's feed-forward is the weighted sum of the few experts that its router rates highest.

The router's logits may be normalised for each token (Skywork-MoE, arXiv 2406.06563). Nothing depends on the order in which
sums are made elsewhere: equal rates go to the expert with the lower number, assignments are sorted by expert, and what an
expert has no room for is counted within a sample, in the order of its tokens, so that no token's path depends on a later
one, on other samples, or on micro-batches and workers.

Axes: B samples, T positions, N = B x T tokens, D hidden, E experts, K active ones of a token, A = N x K assignments, X what
is told of a sample (see `Told`).
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field, PositiveFloat, PositiveInt

from tasks.core.params import Params

if TYPE_CHECKING:
    from torch import Tensor

# Below any variance of logits that a trained router has: keeps the slope finite where all logits are equal.
_SMALLEST_VARIANCE = 1e-12


class Gate(Params):
    """How a router's logits become the weights of experts."""

    normalised: bool = Field(
        default=True,
        description="softmax of scale x (logit - mean) / standard deviation over the experts; false = of the logits",
    )
    scale: PositiveFloat = Field(default=1.0, description="of normalised logits; the paper's 1 and 2 gave one loss")
    renormalised: bool = Field(default=True, description="the weights of a token's active experts sum to 1")

    def mistakes(self) -> Iterator[str]:
        """Yield what does not fit together."""
        if not self.normalised and self.scale != 1.0:
            yield f"gate.scale {self.scale} is of normalised logits, and gate.normalised is false; leave scale out"


class Adaptive(Params):
    """A coefficient for each layer that follows its drop rate d: a <- beta a + (1 - beta) min(per_drop_rate d, most)."""

    per_drop_rate: PositiveFloat = Field(default=0.2, description="xi in the paper")
    most: PositiveFloat = 0.01
    beta: float = Field(default=0.99, ge=0, lt=1)


class Balance(Params):
    """The balance loss of a layer, num_experts x sum of f p: f an expert's share of the assignments, p its mean probability.

    It is 1 where all experts are used alike. `global_batch` takes f over all workers and micro-batches of a step (arXiv
    2501.11873), which costs one more forward pass where a step has several of them; `micro_batch` over each by itself.
    """

    over: Literal["global_batch", "micro_batch"] = "global_batch"
    coefficient: PositiveFloat = Field(
        default=0.01, description="of each layer; with `adaptive` that of the first step"
    )
    adaptive: Adaptive | None = Field(default=None, description="null = the coefficient stays")


class TopK(Params):
    """Experts of `intermediate_size` each, of which a token is given to `num_active`."""

    kind: Literal["top_k"] = "top_k"
    num_experts: int = Field(ge=2, le=4096)
    num_active: PositiveInt
    capacity_factor: PositiveFloat | None = Field(
        default=None,
        description="an expert takes capacity_factor x tokens x num_active / num_experts of a sample when training, and the "
        "rest is dropped; null = all",
    )
    gate: Gate = Gate()
    balance: Balance | None = Field(default=Balance(), description="null = no balance loss")

    def mistakes(self) -> Iterator[str]:
        """Yield what does not fit together."""
        if self.num_active > self.num_experts:
            yield f"num_active {self.num_active} is more than num_experts {self.num_experts}; lower it"
        if self.num_experts == 2 and self.gate.normalised:
            yield (
                "two normalised logits are always 1 and -1, so that the router has nothing to learn; take more experts, or "
                "set gate.normalised to false"
            )
        if self.num_active == 1 and self.gate.renormalised:
            yield (
                "the weight of one active expert, renormalised, is always 1, so that the router does not learn from the "
                "loss; set gate.renormalised to false, or num_active to 2"
            )
        if self.balance is not None and self.balance.adaptive is not None and self.capacity_factor is None:
            yield (
                "balance.adaptive follows the share of assignments that are dropped, and without capacity_factor none is; "
                "set it, or leave adaptive out"
            )

    def capacity_mistakes(self, length: int) -> Iterator[str]:
        """Yield why samples of a length cannot be divided among the experts."""
        if self.capacity_factor is None:
            return
        room = Fraction(str(self.capacity_factor)) * length * self.num_active / self.num_experts
        if room.denominator != 1:
            yield (
                f"capacity_factor {self.capacity_factor} x {length} tokens x num_active {self.num_active} / num_experts "
                f"{self.num_experts} gives an expert room for {float(room):.2f} tokens of a sample, no whole number; choose "
                "a capacity_factor or num_experts that divides them"
            )

    def room(self, length: int) -> int | None:
        """Return how many tokens of a sample an expert takes when training; None = all."""
        if self.capacity_factor is None:
            return None
        return int(Fraction(str(self.capacity_factor)) * length * self.num_active / self.num_experts)


class Routed(NamedTuple):
    """What a layer tells of a call: each expert's probability summed over all tokens (differentiable), and `told_BX`.

    The columns of `told_BX`: E numbers of assignments, also of those that were dropped; E sums of probabilities; how many
    were dropped; sums over tokens of the largest probability over the second, and of the second over the third (0 where
    there is none).
    """

    probability_E: "Tensor"
    told_BX: "Tensor"


def probabilities(gate: Gate, logits_NE: "Tensor") -> "Tensor":
    """Return each expert's probability; normalised logits give the same for a x logits + b, a > 0."""
    if not gate.normalised:
        return logits_NE.softmax(dim=-1)
    middle_NE = logits_NE - logits_NE.mean(dim=-1, keepdim=True)
    variance_N1 = middle_NE.square().mean(dim=-1, keepdim=True)
    return (gate.scale * middle_NE * (variance_N1 + _SMALLEST_VARIANCE).rsqrt()).softmax(dim=-1)


def mixed(
    config: TopK,
    x_ND: "Tensor",
    logits_NE: "Tensor",
    expert: "Callable[[int, Tensor], Tensor]",
    length: int,
    *,
    limited: bool,
) -> "tuple[Tensor, Routed]":
    """Return what the experts make of tokens, [N, D], and how these were routed; samples have `length` tokens each.

    `expert(number, rows)` is an expert's feed-forward, `logits_NE` are the router's, float32. `limited`: an expert has the
    room that its capacity gives it.
    """
    gates_NE = probabilities(config.gate, logits_NE)
    rated_NE, order_NE = gates_NE.sort(dim=-1, descending=True, stable=True)
    chosen_NK, weights_NK = order_NE[:, : config.num_active], rated_NE[:, : config.num_active]
    if config.gate.renormalised:
        weights_NK = weights_NK / weights_NK.sum(dim=-1, keepdim=True)
    assigned_BTE = gates_NE.new_zeros(gates_NE.shape).scatter(1, chosen_NK, 1.0).view(-1, length, config.num_experts)
    room = config.room(length) if limited else None
    kept_NK = None if room is None else _within(assigned_BTE, room).flatten(0, 1).gather(1, chosen_NK)
    out_ND = _dispatched(x_ND, chosen_NK, weights_NK, kept_NK, config.num_experts, expert)
    return out_ND, Routed(gates_NE.sum(dim=0), _told(gates_NE, rated_NE, assigned_BTE, kept_NK))


def _within(assigned_BTE: "Tensor", room: int) -> "Tensor":
    """Return whether an expert has room for each token of a sample, the first ones first."""
    return assigned_BTE.cumsum(dim=1) <= room


def _dispatched(
    x_ND: "Tensor",
    chosen_NK: "Tensor",
    weights_NK: "Tensor",
    kept_NK: "Tensor | None",
    num_experts: int,
    expert: "Callable[[int, Tensor], Tensor]",
) -> "Tensor":
    """Return the weighted sum of what each token's experts make of it; every expert is called, if for no token."""
    import torch

    (num_tokens, num_active), width = chosen_NK.shape, x_ND.shape[1]
    # What is dropped is sorted behind the last expert.
    expert_A = (chosen_NK if kept_NK is None else torch.where(kept_NK, chosen_NK, num_experts)).flatten()
    order_A = expert_A.argsort(stable=True)
    counts = expert_A.bincount(minlength=num_experts + 1).tolist()
    # Spread out first and then permuted, so that the gradient is no sum in an order of its own.
    spread_AD = x_ND[:, None].expand(-1, num_active, -1).reshape(-1, width)[order_A]
    parts = torch.split(spread_AD, counts)
    made_AD = torch.cat([*(expert(number, parts[number]) for number in range(num_experts)), parts[-1] * 0])
    place_A = torch.empty_like(order_A)
    place_A[order_A] = torch.arange(len(order_A), device=order_A.device)
    made_NKD = made_AD[place_A].view(num_tokens, num_active, width).float()
    return (made_NKD * weights_NK[:, :, None]).sum(dim=1).to(x_ND.dtype)


def _told(gates_NE: "Tensor", rated_NE: "Tensor", assigned_BTE: "Tensor", kept_NK: "Tensor | None") -> "Tensor":
    import torch

    samples, length, _ = assigned_BTE.shape
    with torch.no_grad():
        first_N, second_N = rated_NE[:, 0], rated_NE[:, 1]
        third_N = rated_NE[:, 2] if rated_NE.shape[1] > 2 else None
        dropped_N = first_N.new_zeros(first_N.shape) if kept_NK is None else (~kept_NK).sum(dim=1).float()
        ratios = [first_N / second_N, torch.zeros_like(first_N) if third_N is None else second_N / third_N]
        columns_N = torch.stack([dropped_N, *ratios], dim=-1).view(samples, length, 3)
        gates_BTE = gates_NE.detach().view(assigned_BTE.shape)
        return torch.cat([assigned_BTE.sum(dim=1), gates_BTE.sum(dim=1), columns_N.sum(dim=1)], dim=-1)
