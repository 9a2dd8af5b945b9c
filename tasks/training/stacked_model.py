"""The decoder of `model.py` for many proxies at once: loss and gradient of one micro-batch of each.

All weights of a proxy are one row (`stacked_layout`); the products' weights are views of it, and their gradients are written
straight into views of a row of the same layout. Rounding is that of `model.py`, operation by operation.

Axes: N proxies, S sequences, X tokens given and tokens to predict, T positions, R = S x T rows, I in, O out, D hidden,
V vocabulary, P parameters, W = P padded.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (its usual name)

from tasks.training.experts.balance import Routing
from tasks.training.experts.kinds import Routed
from tasks.training.layers import attended, own_document, rotary
from tasks.training.loss import GPU_LOGITS, nats_and_gradients, nats_per_row, slopes
from tasks.training.losses.kinds import LossKind
from tasks.training.matrices import on_a_line
from tasks.training.model import EMBEDDING, FINAL_NORM, Scoring
from tasks.training.multi_token.stacked import further_slopes
from tasks.training.stacked_experts import sparse
from tasks.training.stacked_layout import Layout
from tasks.training.stacked_products import Product, Scaled
from tasks.training.teachers.soft_labels import SoftLabels, joined
from tasks.training.transforms.row import NO_TARGET


def gradient_and_nats(
    layout: Layout,
    weights_NW: Tensor,
    low_NW: Tensor,
    pairs_NSXT: Tensor,
    total_NW: Tensor,
    nats_NS: Tensor,
    *,
    at_once: bool,
    scoring: Scoring = Scoring(),  # noqa: B008 (frozen)
    weights_NST: Tensor | None = None,
    soft_N: Sequence[SoftLabels] | None = None,
    routings: Sequence[Routing] | None = None,
) -> None:
    """Write each proxy's gradient, and the sum of its nats behind it, into `total_NW`; the nats of each sample too.

    It is the gradient of the sum of weight x loss over its tokens, with the balance loss of its experts by what `routings`
    says of each proxy; `soft_N` are what teachers say of each proxy's rows. Of tokens further ahead it is the gradient too,
    while `scoring` lets them count, and not the nats. `low_NW` are the weights in the precision of the
    products, `pairs_NSXT` the tokens that it is given and those that it is to predict. `at_once`: the output layer for all
    proxies together, what a GPU needs; else one by one.
    """
    length = pairs_NSXT.shape[3]
    inputs_NR, targets_NR = pairs_NSXT[:, :, 0].flatten(1), pairs_NSXT[:, :, 1].flatten(1)
    x_NRD = _looked_up(layout, weights_NW, low_NW, inputs_NR).requires_grad_()
    with torch.enable_grad():
        allowed = _allowed(inputs_NR, length, scoring)
        hidden_NRD, balance, state_NRD = _hidden_states(layout, low_NW, total_NW, x_NRD, length, allowed, routings)
    output_NVD, slope_NVD = layout.part(low_NW, EMBEDDING), layout.part(total_NW, EMBEDDING)
    loss, add_looked_up = (_loss_at_once, _add_at_once) if at_once else (_loss_of_each, _add_to_each)
    each_NR = torch.zeros(targets_NR.shape, device=targets_NR.device)
    factor_NR = None if weights_NST is None else weights_NST.flatten(1)
    given = (hidden_NRD.detach(), output_NVD, targets_NR, slope_NVD, each_NR, scoring, factor_NR, soft_N)
    nats_N, slope_NRD = loss(*given)
    nats_NS.copy_(each_NR.view(*nats_NS.shape, length).sum(dim=2))
    total_NW[:, layout.of_model :] = 0.0
    slopes_of: list[tuple[Tensor, Tensor | None]] = [(hidden_NRD, slope_NRD)]
    slopes_of += [] if balance is None else [(balance, None)]
    slope_norm_ND: Tensor | None = None
    if scoring.further:
        rows = (weights_NW, total_NW, pairs_NSXT, weights_NST, state_NRD)
        slope_state_NRD, slope_norm_ND = further_slopes(layout, *rows, allowed, scoring)
        slopes_of.append((state_NRD, slope_state_NRD))
    outputs, slopes = zip(*slopes_of, strict=True)
    (slope_x_NRD,) = torch.autograd.grad(outputs, x_NRD, slopes)
    add_looked_up(slope_NVD, inputs_NR, slope_x_NRD.float())
    if slope_norm_ND is not None:
        layout.part(total_NW, FINAL_NORM).add_(slope_norm_ND)
    total_NW[:, layout.parameters] = nats_N


@torch.no_grad()
def nats_of_tokens(
    layout: Layout,
    weights_NW: Tensor,
    low_NW: Tensor,
    pairs_NSXT: Tensor,
    scoring: Scoring,
    routings: Sequence[Routing] | None = None,
) -> Tensor:
    """Return the nats of each token, [N, S, T], -1 where there is no target; see `gradient_and_nats`."""
    targets_NR = pairs_NSXT[:, :, 1].flatten(1)
    hidden_NRD = hidden_states(layout, weights_NW, low_NW, pairs_NSXT, scoring, routings)
    output_NVD = layout.part(low_NW, EMBEDDING)
    rows = zip(hidden_NRD, output_NVD, targets_NR.clamp(min=0), strict=True)
    nats_NR = torch.stack([nats_per_row(*row) for row in rows])
    return torch.where(targets_NR == NO_TARGET, -1.0, nats_NR).view(pairs_NSXT[:, :, 0].shape)


@torch.no_grad()
def hidden_states(
    layout: Layout,
    weights_NW: Tensor,
    low_NW: Tensor,
    pairs_NSXT: Tensor,
    scoring: Scoring,
    routings: Sequence[Routing] | None = None,
) -> Tensor:
    """Return the normalised output of each proxy's last layer, [N, R, D]; `routings` hear how tokens were routed."""
    length, inputs_NR = pairs_NSXT.shape[3], pairs_NSXT[:, :, 0].flatten(1)
    x_NRD, allowed = _looked_up(layout, weights_NW, low_NW, inputs_NR), _allowed(inputs_NR, length, scoring)
    return _hidden_states(layout, low_NW, low_NW, x_NRD, length, allowed, routings)[0]


def _looked_up(layout: Layout, weights_NW: Tensor, low_NW: Tensor, inputs_NR: Tensor) -> Tensor:
    """Return the embeddings of tokens, [N, R, D], in the precision of the products."""
    return layout.part(weights_NW, EMBEDDING)[_numbers(inputs_NR), inputs_NR].to(low_NW.dtype)


def _allowed(inputs_NR: Tensor, length: int, scoring: Scoring) -> Tensor | None:
    """Return what each token may attend to, where documents do not see each other."""
    return None if scoring.apart is None else own_document(inputs_NR.view(-1, length), scoring.apart)


def _numbers(tokens_NR: Tensor) -> Tensor:
    """Return the number of each row's proxy, shape [N, 1]."""
    return torch.arange(len(tokens_NR), device=tokens_NR.device)[:, None]


def _hidden_states(
    layout: Layout,
    low_NW: Tensor,
    slope_NW: Tensor,
    x_NRD: Tensor,
    length: int,
    allowed: Tensor | None,
    routings: Sequence[Routing] | None,
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Return the normalised output of the last layer, the balance loss, and the state that predicts further tokens."""
    config, told, state_NRD = layout.config, list[list[Routed]](), x_NRD
    cos, sin = rotary(config, length, x_NRD.device)

    def product(x_NRI: Tensor, first: str, last: str) -> Tensor:
        return Product.apply(x_NRI, layout.part(low_NW, first, last), layout.part(slope_NW, first, last))  # type: ignore[no-any-return, no-untyped-call]

    def product_of(x_1RI: Tensor, proxy: int, first: str, last: str, exact: bool) -> Tensor:
        own = slice(proxy, proxy + 1)
        low_1OI, slope_1OI = (layout.part(rows_NW[own], first, last) for rows_NW in (low_NW, slope_NW))
        return Product.apply(x_1RI, low_1OI.float() if exact else low_1OI, slope_1OI)  # type: ignore[no-any-return, no-untyped-call]

    def norm(x_NRD: Tensor, name: str) -> Tensor:
        scaled = F.rms_norm(x_NRD.float(), (config.hidden_size,), None, config.norm_eps)
        return Scaled.apply(scaled, layout.part(low_NW, name), layout.part(slope_NW, name))  # type: ignore[no-any-return, no-untyped-call]

    for layer in range(config.num_layers):
        state_NRD = x_NRD if layer == layout.tap else state_NRD
        block = f"model.layers.{layer}."
        attention, mlp = block + "self_attn.", block + "mlp."
        mixed_NRX = product(
            norm(x_NRD, block + "input_layernorm.weight"), attention + "q_proj.weight", attention + "v_proj.weight"
        )
        out_NRD = attended(mixed_NRX.view(-1, length, mixed_NRX.shape[2]), config, cos, sin, allowed).view(
            *x_NRD.shape[:2], -1
        )
        x_NRD = x_NRD + product(out_NRD, attention + "o_proj.weight", attention + "o_proj.weight")
        normed_NRD = norm(x_NRD, block + "post_attention_layernorm.weight")
        if config.experts is not None:
            given = (config, normed_NRD, block + "block_sparse_moe.", length, product_of)
            made_NRD, routed = sparse(*given, limited=routings is not None)
            x_NRD = x_NRD + made_NRD
            told.append(routed)
            continue
        gate, up = product(normed_NRD, mlp + "gate_proj.weight", mlp + "up_proj.weight").chunk(2, dim=-1)
        x_NRD = x_NRD + product(F.silu(gate) * up, mlp + "down_proj.weight", mlp + "down_proj.weight")
    losses = (
        [] if routings is None else [one.loss(own) for one, own in zip(routings, zip(*told, strict=True), strict=True)]
    )
    balances = [one for one in losses if one is not None]
    balance = torch.stack(balances).sum() if balances else None
    return norm(x_NRD, FINAL_NORM), balance, x_NRD if layout.tap == config.num_layers else state_NRD


def _loss_of_each(
    hidden_NRD: Tensor,
    output_NVD: Tensor,
    targets_NR: Tensor,
    slope_NVD: Tensor,
    each_NR: Tensor,
    scoring: Scoring,
    factor_NR: Tensor | None,
    soft_N: Sequence[SoftLabels] | None,
) -> tuple[Tensor, Tensor]:
    """Return each proxy's nats and the gradient of `hidden`; write that of the output layer. Proxy by proxy.

    The nats of the rows that have a target are written into `each_NR`; `factor_NR` is what each row's loss counts, None = 1.
    """
    nats, slope_NRD = [], torch.zeros_like(hidden_NRD)
    for proxy, (hidden_RD, output_VD, targets_R, slope_VD) in enumerate(
        zip(hidden_NRD, output_NVD, targets_NR, slope_NVD, strict=True)
    ):
        kept_R = targets_R != NO_TARGET if scoring.gaps else slice(None)
        own_RD, slope_RD = hidden_RD[kept_R], torch.empty_like(hidden_RD[kept_R])
        each_R = each_NR.new_empty(len(own_RD))
        factor_R = None if factor_NR is None else factor_NR[proxy, kept_R]
        soft = None if soft_N is None else soft_N[proxy].part(kept_R)
        given = (on_a_line(own_RD), output_VD, targets_R[kept_R], slope_RD, slope_VD, each_R)
        nats.append(nats_and_gradients(*given, scoring.loss, factor_R, soft))
        slope_NRD[proxy, kept_R], each_NR[proxy, kept_R] = slope_RD, each_R
    return torch.stack(nats), slope_NRD


def _loss_at_once(
    hidden_NRD: Tensor,
    output_NVD: Tensor,
    targets_NR: Tensor,
    slope_NVD: Tensor,
    each_NR: Tensor,
    scoring: Scoring,
    factor_NR: Tensor | None,
    soft_N: Sequence[SoftLabels] | None,
) -> tuple[Tensor, Tensor]:
    """Do as `_loss_of_each` for all proxies together, over as many rows at a time as there is room for."""
    kept_NR = targets_NR != NO_TARGET if scoring.gaps else None
    if kept_NR is not None:
        targets_NR = targets_NR.clamp(min=0)
        factor_NR = kept_NR if factor_NR is None else kept_NR * factor_NR
    slope_NRD, slope_NVD_parts = torch.empty_like(hidden_NRD), []
    nats_N = torch.zeros(len(hidden_NRD), device=hidden_NRD.device)
    rows = max(1, GPU_LOGITS // (output_NVD.shape[0] * output_NVD.shape[1]))
    for start in range(0, hidden_NRD.shape[1], rows):
        some = slice(start, start + rows)
        logits_NRV = torch.bmm(hidden_NRD[:, some], output_NVD.transpose(1, 2))
        soft = None if soft_N is None else joined([each.part(some) for each in soft_N])
        slopes_NRV, nats_NR = _slopes_at_once(logits_NRV, targets_NR[:, some], scoring.loss, soft)
        each_NR[:, some] = nats_NR if kept_NR is None else nats_NR * kept_NR[:, some]
        nats_N += each_NR[:, some].sum(dim=1)
        if factor_NR is not None:
            slopes_NRV *= factor_NR[:, some, None]
        low_NRV = slopes_NRV.to(hidden_NRD.dtype)
        slope_NRD[:, some] = torch.bmm(low_NRV, output_NVD)
        slope_NVD_parts.append(torch.bmm(low_NRV.transpose(1, 2), hidden_NRD[:, some]))
    slope_NVD.copy_(slope_NVD_parts[0])
    for part in slope_NVD_parts[1:]:
        slope_NVD += part
    return nats_N, slope_NRD


def _slopes_at_once(
    logits_NRV: Tensor, targets_NR: Tensor, loss: LossKind | None, soft: SoftLabels | None
) -> tuple[Tensor, Tensor]:
    """Do as `slopes` for all proxies together; cross-entropy in as little memory as it takes."""
    if loss is not None or soft is not None:
        slopes_MV, nats_M = slopes(logits_NRV.flatten(0, 1), targets_NR.flatten(), loss, None, soft)
        return slopes_MV.view(logits_NRV.shape), nats_M.view(targets_NR.shape)
    logs_NRV, targets = torch.log_softmax(logits_NRV.float(), dim=-1), targets_NR[:, :, None]
    nats_NR = -logs_NRV.gather(2, targets)[:, :, 0]
    shares_NRV = logs_NRV.exp_()
    shares_NRV.scatter_add_(2, targets, torch.full_like(targets, -1.0, dtype=torch.float32))
    return shares_NRV, nats_NR


def _add_to_each(slope_NVD: Tensor, inputs_NR: Tensor, slope_NRD: Tensor) -> None:
    """Add the gradient of the rows that were looked up; a token's rows are summed first, as autograd does it."""
    for slope_VD, inputs_R, slope_RD in zip(slope_NVD, inputs_NR, slope_NRD, strict=True):
        tokens_K, places_R = torch.unique(inputs_R, return_inverse=True)
        sums_KD = torch.ops.aten.embedding_dense_backward(slope_RD, places_R, len(tokens_K), -1, False)
        slope_VD.index_add_(0, tokens_K, sums_KD)


def _add_at_once(slope_NVD: Tensor, inputs_NR: Tensor, slope_NRD: Tensor) -> None:
    """Do as `_add_to_each` for all proxies together."""
    slope_NVD.index_put_((_numbers(inputs_NR).expand_as(inputs_NR), inputs_NR), slope_NRD, accumulate=True)
