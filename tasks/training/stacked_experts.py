"""The experts of one layer for many proxies: proxy by proxy, each with the very products that it asks for alone.

Axes: N proxies, R rows, D hidden, E experts.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (its usual name)

from tasks.training.config import ModelConfig
from tasks.training.experts.kinds import Routed, mixed

# The product of rows of one proxy, [1, R, I], with its weights from the first name to the last; float32 where asked.
Product = Callable[[Tensor, int, str, str, bool], Tensor]


def sparse(
    config: ModelConfig, x_NRD: Tensor, block: str, length: int, product: Product, *, limited: bool
) -> tuple[Tensor, list[Routed]]:
    """Return what the experts of a layer make of each proxy's rows, and how these were routed; see `feed_forward`."""
    experts = config.experts
    assert experts is not None, "the layer has some"
    made, told = list[Tensor](), list[Routed]()
    for proxy, x_RD in enumerate(x_NRD):
        router = f"{block}gate.weight"
        logits_1RE = product(x_RD[None].float(), proxy, router, router, True)

        def expert(number: int, rows_RD: Tensor, proxy: int = proxy) -> Tensor:
            own = f"{block}experts.{number}."
            gate_up = product(rows_RD[None], proxy, f"{own}w1.weight", f"{own}w3.weight", False)
            gate, up = gate_up.chunk(2, dim=-1)
            return product(F.silu(gate) * up, proxy, f"{own}w2.weight", f"{own}w2.weight", False)[0]

        out_RD, routed = mixed(experts, x_RD, logits_1RE[0], expert, length, limited=limited)
        made.append(out_RD)
        told.append(routed)
    return torch.stack(made), told
