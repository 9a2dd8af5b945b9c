"""Further tokens for many runs at once: run by run, each as it is computed alone.

Axes: N runs, S samples, T places of a sample, R = S x T rows, D hidden, W = weights of a run, padded.
"""

import torch
from torch import Tensor
from torch.func import functional_call

from tasks.training.model import EMBEDDING, FINAL_NORM, Scoring
from tasks.training.multi_token.method import PREFIX
from tasks.training.multi_token.predictor import predictor_of
from tasks.training.multi_token.trunk import Trunk
from tasks.training.stacked_layout import Layout

_STATE = "state"


def further_slopes(
    layout: Layout,
    weights_NW: Tensor,
    total_NW: Tensor,
    pairs_NSXT: Tensor,
    weights_NST: Tensor | None,
    state_NRD: Tensor,
    allowed: Tensor | None,
    scoring: Scoring,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of the trunk's state, [N, R, D], and of the last norm, [N, D].

    Those of the predictor's weights are written into `total_NW`, that of embedding and output layer is added there.
    """
    (count, samples, _, length), slopes_NRD = pairs_NSXT.shape, torch.empty_like(state_NRD)
    norms_ND = torch.zeros_like(layout.part(total_NW, FINAL_NORM))
    allowed_N = [None] * count if allowed is None else allowed.view(count, samples, *allowed.shape[1:])
    for run in range(count):
        state_STD = state_NRD[run].detach().view(samples, length, -1)
        weights_ST = None if weights_NST is None else weights_NST[run]
        found = _of_run(layout, weights_NW[run], state_STD, pairs_NSXT[run], weights_ST, allowed_N[run], scoring)
        slopes_NRD[run] = found.pop(_STATE).flatten(0, 1)
        norms_ND[run] = found.pop(FINAL_NORM)
        total = layout.named(total_NW[run])
        total[EMBEDDING].add_(found.pop(EMBEDDING))
        for name, slope in found.items():
            total[name].copy_(slope)
    return slopes_NRD, norms_ND


def _of_run(
    layout: Layout,
    weights_W: Tensor,
    state_STD: Tensor,
    pairs_SXT: Tensor,
    weights_ST: Tensor | None,
    allowed: Tensor | None,
    scoring: Scoring,
) -> dict[str, Tensor]:
    """Return all gradients of one run by name."""
    assert layout.multi_token is not None, "asked for where further tokens are predicted"
    # Float32, so that the predictor rounds them as it does beside a decoder, and what it uses often is added up exactly.
    weights = layout.named(weights_W)
    own = {name: weight for name, weight in weights.items() if name.startswith(PREFIX)}
    given = {_STATE: state_STD, FINAL_NORM: weights[FINAL_NORM], EMBEDDING: weights[EMBEDDING], **own}
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in given.items()}
    shared = (leaves[EMBEDDING], leaves[EMBEDDING], leaves[FINAL_NORM])
    trunk = Trunk(layout.config, leaves[_STATE], pairs_SXT[:, 0], pairs_SXT[:, 1], weights_ST, *shared, allowed)
    named = {name.removeprefix(PREFIX): leaves[name] for name in own}
    with torch.enable_grad():
        predictor = predictor_of(layout.multi_token, layout.config)
        total = functional_call(predictor, named, (trunk, scoring))
    slopes = torch.autograd.grad(total, [*leaves.values()], allow_unused=True)
    pairs = zip(leaves.items(), slopes, strict=True)
    return {name: torch.zeros_like(leaf) if slope is None else slope for (name, leaf), slope in pairs}
