"""A layer of the decoder: attention and feed-forward, each with its norm.

Axes: B batch, T position, D hidden, H head, K key-value head, d of a head, X queries, keys and values side by side.
"""

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (its usual name)

from tasks.training.config import ModelConfig
from tasks.training.experts.feed_forward import SparseFeedForward
from tasks.training.experts.kinds import Routed
from tasks.training.matrices import Weight, on_a_line, swiglu


class Layer(nn.Module):
    """One layer: attention and feed-forward, each behind a norm (OLMo 2: before one) and added to the residual stream."""

    def __init__(self, config: ModelConfig) -> None:
        """Make a layer whose weights have shapes and no values yet."""
        super().__init__()
        self.config = config
        self.norms_after = config.architecture == "olmo2"
        if not self.norms_after:
            self.input_layernorm = Norm(config)
        self.self_attn = _Attention(config)
        self.post_attention_layernorm = Norm(config)
        if config.experts is None:
            self.mlp = _FeedForward(config)
        else:
            self.block_sparse_moe = SparseFeedForward(config, config.experts)
        if self.norms_after:
            self.post_feedforward_layernorm = Norm(config)

    def forward(
        self,
        x_BTD: Tensor,
        cos: Tensor,
        sin: Tensor,
        allowed: Tensor | None,
        *,
        recompute: bool,
        limited: bool,
    ) -> tuple[Tensor, Routed | None]:
        """Return the residual stream behind this layer, [B, T, D], and how tokens were routed; see `attended`, `mixed`."""
        if recompute and torch.is_grad_enabled():
            from torch.utils.checkpoint import checkpoint

            given = (x_BTD, cos, sin, allowed, limited)
            again: tuple[Tensor, Routed | None] = checkpoint(
                self._added, *given, use_reentrant=False, preserve_rng_state=False
            )
            return again
        return self._added(x_BTD, cos, sin, allowed, limited)

    def _added(
        self, x_BTD: Tensor, cos: Tensor, sin: Tensor, allowed: Tensor | None, limited: bool
    ) -> tuple[Tensor, Routed | None]:
        if self.norms_after:
            x_BTD = x_BTD + self.post_attention_layernorm(self.self_attn(x_BTD, cos, sin, allowed))
            return x_BTD + self.post_feedforward_layernorm(self.mlp(x_BTD)), None
        x_BTD = x_BTD + self.self_attn(self.input_layernorm(x_BTD), cos, sin, allowed)
        normed_BTD = self.post_attention_layernorm(x_BTD)
        if self.config.experts is None:
            return x_BTD + self.mlp(normed_BTD), None
        made_BTD, routed = self.block_sparse_moe(normed_BTD, limited)
        return x_BTD + made_BTD, routed


class _Attention(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        queries, keys = config.num_heads * config.head_size, config.num_kv_heads * config.head_size
        self.q_proj = Weight(queries, config.hidden_size)
        self.k_proj = Weight(keys, config.hidden_size)
        self.v_proj = Weight(keys, config.hidden_size)
        self.o_proj = Weight(config.hidden_size, queries)
        if config.architecture is not None:
            whole = config.architecture == "olmo2"
            self.q_norm = Norm(config, queries if whole else config.head_size)
            self.k_norm = Norm(config, keys if whole else config.head_size)

    def forward(self, x_BTD: Tensor, cos: Tensor, sin: Tensor, allowed: Tensor | None) -> Tensor:
        # One product for queries, keys and values: small models are bound by the number of operations.
        joined = torch.cat([each.weight for each in (self.q_proj, self.k_proj, self.v_proj)]).to(x_BTD.dtype)
        mixed_BTX = F.linear(x_BTD, joined)
        if self.config.architecture is not None:
            mixed_BTX = self._normalised(mixed_BTX)
        out_BTD = attended(mixed_BTX, self.config, cos, sin, allowed)
        return F.linear(out_BTD, on_a_line(self.o_proj.weight.to(x_BTD.dtype)))

    def _normalised(self, mixed_BTX: Tensor) -> Tensor:
        """Return queries, keys and values, the first two normalised: each head (Qwen3), or all together (OLMo 2)."""
        sizes = [each.weight.shape[0] for each in (self.q_proj, self.k_proj, self.v_proj)]
        q_BTX, k_BTX, v_BTX = torch.split(mixed_BTX, sizes, dim=-1)
        pairs = ((q_BTX, self.q_norm), (k_BTX, self.k_norm))
        normed = [norm(x_BTX.view(*x_BTX.shape[:2], -1, norm.weight.shape[0])).flatten(-2) for x_BTX, norm in pairs]
        return torch.cat([*normed, v_BTX], dim=-1)


class _FeedForward(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = Weight(config.intermediate_size, config.hidden_size)
        self.up_proj = Weight(config.intermediate_size, config.hidden_size)
        self.down_proj = Weight(config.hidden_size, config.intermediate_size)

    def forward(self, x_BTD: Tensor) -> Tensor:
        return swiglu(x_BTD, self.gate_proj, self.up_proj, self.down_proj)


class Norm(Weight):
    """RMSNorm, over all of the last axis that its weight is for."""

    def __init__(self, config: ModelConfig, size: int | None = None) -> None:
        """Make a norm of so many numbers (None = the hidden size) whose weight has no values yet."""
        super().__init__(size or config.hidden_size)
        self.epsilon = config.norm_eps

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return the numbers over the root of their mean square, times the weight, in their own precision."""
        return F.rms_norm(x_BTD, self.weight.shape, self.weight.to(x_BTD.dtype), self.epsilon)


def own_document(tokens_BT: Tensor, document_end: int) -> Tensor:
    """Return which tokens each token may attend to, [B, 1, T, T]: those before it in its document, and itself.

    The end of a document belongs to what follows, whose beginning it marks: so the first token of a document is predicted
    from the end alone, as it is when text is generated.
    """
    documents_BT = (tokens_BT == document_end).cumsum(dim=1)
    same = documents_BT[:, None, :, None] == documents_BT[:, None, None, :]
    return same & torch.ones(same.shape[-2:], dtype=torch.bool, device=same.device).tril()


def attended(mixed_BTX: Tensor, config: ModelConfig, cos: Tensor, sin: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Return attention over queries, keys and values that stand side by side, heads side by side, [B, T, D].

    It is causal, or what `allowed` says (see `own_document`).
    """
    batch, length, heads, kv_heads = *mixed_BTX.shape[:2], config.num_heads, config.num_kv_heads
    # Float32 from here: rotation needs it, and on CPU the fused attention is faster in it for small heads (measured).
    mixed = mixed_BTX.float().view(batch, length, heads + 2 * kv_heads, config.head_size).transpose(1, 2)
    # Split, not sliced: its gradient is one copy, that of slices a sum of padded ones.
    turned, v_BKTd = torch.split(mixed, [heads + kv_heads, kv_heads], dim=1)
    turned = _rotated(turned, cos, sin)
    if mixed_BTX.is_cuda:
        # There the fused attention is made for the precision of the products.
        turned, v_BKTd = turned.to(mixed_BTX.dtype), v_BKTd.to(mixed_BTX.dtype)
    q_BHTd, k_BKTd = torch.split(turned, [heads, kv_heads], dim=1)
    how = {"is_causal": True} if allowed is None else {"attn_mask": allowed}
    out_BHTd = F.scaled_dot_product_attention(q_BHTd, k_BKTd, v_BKTd, enable_gqa=heads != kv_heads, **how)
    return out_BHTd.transpose(1, 2).reshape(batch, length, -1).to(mixed_BTX.dtype)


def _rotated(x_BHTd: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    left, right = x_BHTd.chunk(2, dim=-1)
    return torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1)


@cache
def rotary(config: ModelConfig, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return cosines and sines, [T, head_size / 2]; frequencies rope_base^(-2 i / head_size) (arXiv 2104.09864)."""
    exponents = torch.arange(0, config.head_size, 2, dtype=torch.float32, device=device) / config.head_size
    angles = torch.outer(torch.arange(length, dtype=torch.float32, device=device), config.rope_base**-exponents)
    return angles.cos(), angles.sin()
