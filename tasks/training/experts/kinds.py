"""All kinds of sparse experts: the union of their configs, and the one place that chooses the function of a kind."""

from collections.abc import Callable
from typing import TYPE_CHECKING, assert_never

from tasks.training.experts import top_k
from tasks.training.experts.top_k import Routed, TopK

if TYPE_CHECKING:
    from torch import Tensor

ExpertsKind = TopK
__all__ = ["ExpertsKind", "Routed", "mixed"]


def mixed(
    config: ExpertsKind,
    x_ND: "Tensor",
    logits_NE: "Tensor",
    expert: "Callable[[int, Tensor], Tensor]",
    length: int,
    *,
    limited: bool,
) -> "tuple[Tensor, Routed]":
    """Return what the experts make of tokens, [N, D], and how these were routed; see `top_k.mixed`."""
    match config:
        case TopK():
            return top_k.mixed(config, x_ND, logits_NE, expert, length, limited=limited)
        case _:
            assert_never(config)
