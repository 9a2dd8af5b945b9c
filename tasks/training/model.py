"""The model: a decoder like Llama's, Qwen3's or OLMo 2's, as one `nn.Module`.

RMSNorm, rotary embeddings (Hugging Face's rotate-half layout), SwiGLU, grouped-query attention, no bias. Weights carry
the names of Hugging Face's `LlamaForCausalLM` (`Qwen3...`, `Olmo2...`, `Mixtral...`), so that exporting is copying. They
are kept in float32; in bfloat16 the matrix products and the residual stream are cast explicitly, while norms, rotation,
attention weights, routers and the loss stay float32.

Axes: B batch, T position, D hidden, H head, K key-value head, V vocabulary.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (its usual name)

from tasks.core.rng import generator
from tasks.training.config import DataConfig, ModelConfig, Precision, TrainingConfig
from tasks.training.experts.balance import Routing
from tasks.training.experts.feed_forward import SparseFeedForward
from tasks.training.experts.kinds import Routed
from tasks.training.loss import nats_per_row, scored
from tasks.training.losses.kinds import LossKind
from tasks.training.matrices import Weight, on_a_line
from tasks.training.teachers.soft_labels import SoftLabels
from tasks.training.transforms.row import NO_TARGET

EMBEDDING = "model.embed_tokens.weight"
FINAL_NORM = "model.norm.weight"
OUTPUT = "lm_head.weight"
_INTO_THE_STREAM = ("o_proj.weight", "down_proj.weight", "w2.weight")


@dataclass(frozen=True)
class Scoring:
    """What a run makes of its tokens, the same in every step.

    `apart` is the token that ends documents which do not see each other (None = all see what is before them), `gaps`
    whether there may be places without a target, `loss` that of a token (None = cross-entropy).
    """

    apart: int | None = None
    gaps: bool = False
    loss: LossKind | None = None


def scoring_of(training: TrainingConfig, document_end: int, metadata: bool = False) -> Scoring:
    """Return what a run makes of its tokens, of which one ends documents; `metadata` is not predicted."""
    data = training.data or DataConfig()
    return Scoring(document_end if data.document_mask else None, data.gaps or metadata, training.loss)


class Decoder(nn.Module):
    """A decoder: its config, the size of its vocabulary, and its weights (float32).

    `recompute`: the layers' activations are computed again in the backward pass instead of kept, to the same bits.
    """

    def __init__(self, config: ModelConfig, vocab_size: int) -> None:
        """Make a decoder whose weights have shapes and no values yet; see `decoder`."""
        super().__init__()
        self.config, self.vocab_size = config, vocab_size
        self.recompute = False
        self.model = _Body(config, vocab_size)
        self.lm_head = Weight(vocab_size, config.hidden_size) if config.untied_embeddings else None

    def read_as(self, config: ModelConfig) -> None:
        """Go on with another sequence length or RoPE base."""
        self.config = self.model.config = config

    @property
    def output(self) -> nn.Parameter:
        """The weight of the output layer, [V, D]: the embedding's, or one of its own."""
        return (self.lm_head or self.model.embed_tokens).weight

    @property
    def weights(self) -> dict[str, Tensor]:
        """The weights by name, without gradients, in the order of `weight_shapes`."""
        return {name: weight.detach() for name, weight in self.named_parameters()}

    def forward(
        self,
        tokens_BT: Tensor,
        precision: Precision = "float32",
        targets_BT: Tensor | None = None,
        scoring: Scoring = Scoring(),
        weights_BT: Tensor | None = None,
        soft: SoftLabels | None = None,
        routing: Routing | None = None,
    ) -> Any:
        """Return the normalised output of the last layer, [B, T, D], in the given precision.

        With `targets_BT` return instead the sum of their nats, a float32 scalar, and the nats of each, [B, T], 0 where there
        is no target. The scalar's gradient is that of the sum of weight x loss (see `loss.scored`), with the balance loss
        of a model with experts, whose layers are told what `routing` says when they are trained and in no other call.
        """
        allowed = None if scoring.apart is None else own_document(tokens_BT, scoring.apart)
        hidden_BTD, routed = self.model(
            tokens_BT, torch_dtype(precision), allowed, recompute=self.recompute, limited=routing is not None
        )
        balance = None if routing is None else routing.loss(routed)
        if targets_BT is None:
            return hidden_BTD
        total, each_BT = self._nats(hidden_BTD, targets_BT, scoring, weights_BT, soft)
        # Only the gradient is that of both: what is recorded stays nats.
        return (total if balance is None else total + (balance - balance.detach())), each_BT

    def _nats(
        self,
        hidden_BTD: Tensor,
        targets_BT: Tensor,
        scoring: Scoring,
        weights_BT: Tensor | None,
        soft: SoftLabels | None,
    ) -> tuple[Tensor, Tensor]:
        hidden_ND, targets_N = hidden_BTD.flatten(0, 1), targets_BT.reshape(-1)
        weights_N = None if weights_BT is None else weights_BT.reshape(-1)
        if not scoring.gaps:
            total, each_N = self._scored(hidden_ND, targets_N, scoring.loss, weights_N, soft)
            return total, each_N.view(targets_BT.shape)
        kept_N = targets_N != NO_TARGET
        some_N = None if weights_N is None else weights_N[kept_N]
        labels = None if soft is None else soft.part(kept_N)
        total, each_K = self._scored(hidden_ND[kept_N], targets_N[kept_N], scoring.loss, some_N, labels)
        each_N = each_K.new_zeros(targets_N.shape)
        each_N[kept_N] = each_K
        return total, each_N.view(targets_BT.shape)

    def _scored(
        self,
        hidden_ND: Tensor,
        targets_N: Tensor,
        loss: LossKind | None,
        weights_N: Tensor | None,
        soft: SoftLabels | None,
    ) -> tuple[Tensor, Tensor]:
        if torch.is_grad_enabled():
            return scored(hidden_ND, self.output, targets_N, loss, weights_N, soft)
        each_N = nats_per_row(hidden_ND, self.output, targets_N)
        return each_N.sum(), each_N


def decoder(config: ModelConfig, vocab_size: int, weights: Mapping[str, Tensor]) -> Decoder:
    """Return the decoder with these weights, by name; they are not copied."""
    made = Decoder(config, vocab_size)
    made.load_state_dict(dict(weights), assign=True)
    return made


class _Body(nn.Module):
    """Embedding, layers and the last norm."""

    def __init__(self, config: ModelConfig, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = Weight(vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_layers))
        self.norm = _Norm(config)

    def forward(
        self, tokens_BT: Tensor, dtype: torch.dtype, allowed: Tensor | None, *, recompute: bool, limited: bool
    ) -> tuple[Tensor, list[Routed]]:
        cos, sin = rotary(self.config, tokens_BT.shape[1], tokens_BT.device)
        # The embedding is looked up in float32: its gradient adds up many rows per frequent token.
        x_BTD = F.embedding(tokens_BT, self.embed_tokens.weight).to(dtype)
        told = list[Routed]()
        for layer in self.layers:
            x_BTD, routed = layer(x_BTD, cos, sin, allowed, recompute=recompute, limited=limited)
            told += [] if routed is None else [routed]
        return self.norm(x_BTD), told


class Layer(nn.Module):
    """One layer: attention and feed-forward, each behind a norm (OLMo 2: before one) and added to the residual stream."""

    def __init__(self, config: ModelConfig) -> None:
        """Make a layer whose weights have shapes and no values yet."""
        super().__init__()
        self.config = config
        self.norms_after = config.architecture == "olmo2"
        if not self.norms_after:
            self.input_layernorm = _Norm(config)
        self.self_attn = _Attention(config)
        self.post_attention_layernorm = _Norm(config)
        if config.experts is None:
            self.mlp = _FeedForward(config)
        else:
            self.block_sparse_moe = SparseFeedForward(config, config.experts)
        if self.norms_after:
            self.post_feedforward_layernorm = _Norm(config)

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
            self.q_norm = _Norm(config, queries if whole else config.head_size)
            self.k_norm = _Norm(config, keys if whole else config.head_size)

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
        joined = torch.cat([self.gate_proj.weight, self.up_proj.weight]).to(x_BTD.dtype)
        gate, up = F.linear(x_BTD, joined).chunk(2, dim=-1)
        return F.linear(F.silu(gate) * up, on_a_line(self.down_proj.weight.to(x_BTD.dtype)))


class _Norm(Weight):
    def __init__(self, config: ModelConfig, size: int | None = None) -> None:
        super().__init__(size or config.hidden_size)
        self.epsilon = config.norm_eps

    def forward(self, x_BTD: Tensor) -> Tensor:
        return F.rms_norm(x_BTD, self.weight.shape, self.weight.to(x_BTD.dtype), self.epsilon)


@torch.no_grad()
def logits(model: Decoder, tokens_BT: Tensor, precision: Precision = "float32") -> Tensor:
    """Return float32 logits, shape [B, T, V]; for a few sequences: training and measuring never hold them all."""
    hidden_BTD: Tensor = model(tokens_BT, precision)
    return (hidden_BTD @ model.output.to(hidden_BTD.dtype).T).float()


def weight_shapes(config: ModelConfig, vocab_size: int) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every weight, in a fixed order."""
    shapes = {name: tuple(weight.shape) for name, weight in Decoder(config, vocab_size).named_parameters()}
    return shapes


def initial_model(config: ModelConfig, vocab_size: int, seed: int) -> Decoder:
    """Return a new model with `initial_weights`."""
    return decoder(config, vocab_size, initial_weights(config, vocab_size, seed))


def initial_weights(config: ModelConfig, vocab_size: int, seed: int) -> dict[str, Tensor]:
    """Return new weights by name: normal, smaller by 1/sqrt(2 L) where a layer writes into the residual stream.

    Each weight has a random stream of its own, named after it: the same seed gives the same weights everywhere.
    """
    return {
        name: initial_weight(config, name, shape, seed) for name, shape in weight_shapes(config, vocab_size).items()
    }


def initial_weight(config: ModelConfig, name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    """Return one of the `initial_weights`."""
    if len(shape) == 1:
        return torch.ones(shape)
    narrow = config.initializer_range / (2 * config.num_layers) ** 0.5
    scale = narrow if name.endswith(_INTO_THE_STREAM) else config.initializer_range
    values = generator(seed, "initial weights", name).standard_normal(shape, dtype="float32")
    return torch.from_numpy(values * scale)


def torch_dtype(precision: Precision) -> torch.dtype:
    """Return torch's name of a precision."""
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


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
