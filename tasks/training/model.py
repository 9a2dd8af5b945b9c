"""The model: a Llama-like decoder as pure functions over named weights.

Pre-RMSNorm, rotary embeddings (Hugging Face's rotate-half layout), SwiGLU, grouped-query attention, no bias, tied
embeddings. Weights carry the names of Hugging Face's `LlamaForCausalLM`, so that exporting is copying. They are kept in
float32; in bfloat16 the matrix products and the residual stream are cast explicitly, while norms, rotation, attention
weights and the loss stay float32. Axes: B batch, T position, D hidden, H head, K key-value head, V vocabulary.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (its usual name)

from tasks.core.rng import generator
from tasks.training.config import ModelConfig, Precision

EMBEDDING = "model.embed_tokens.weight"
FINAL_NORM = "model.norm.weight"
_LINE_BYTES = 64


@dataclass(frozen=True)
class Model:
    """A decoder: its config, the size of its vocabulary, and its weights by name (float32)."""

    config: ModelConfig
    vocab_size: int
    weights: Mapping[str, Tensor]


def weight_shapes(config: ModelConfig, vocab_size: int) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every weight, in a fixed order."""
    hidden, inner = config.hidden_size, config.intermediate_size
    queries, keys = config.num_heads * config.head_size, config.num_kv_heads * config.head_size
    shapes: dict[str, tuple[int, ...]] = {EMBEDDING: (vocab_size, hidden)}
    for layer in range(config.num_layers):
        name = f"model.layers.{layer}."
        shapes |= {
            name + "input_layernorm.weight": (hidden,),
            name + "self_attn.q_proj.weight": (queries, hidden),
            name + "self_attn.k_proj.weight": (keys, hidden),
            name + "self_attn.v_proj.weight": (keys, hidden),
            name + "self_attn.o_proj.weight": (hidden, queries),
            name + "post_attention_layernorm.weight": (hidden,),
            name + "mlp.gate_proj.weight": (inner, hidden),
            name + "mlp.up_proj.weight": (inner, hidden),
            name + "mlp.down_proj.weight": (hidden, inner),
        }
    return shapes | {FINAL_NORM: (hidden,)}


def initial_model(config: ModelConfig, vocab_size: int, seed: int) -> Model:
    """Return a new model: normal weights, smaller by 1/sqrt(2 L) where a layer writes into the residual stream.

    Each weight has a random stream of its own, named after it: the same seed gives the same weights everywhere.
    """
    narrow = config.initializer_range / (2 * config.num_layers) ** 0.5
    weights = {}
    for name, shape in weight_shapes(config, vocab_size).items():
        if len(shape) == 1:
            weights[name] = torch.ones(shape)
            continue
        scale = narrow if name.endswith(("o_proj.weight", "down_proj.weight")) else config.initializer_range
        values = generator(seed, "initial weights", name).standard_normal(shape, dtype="float32")
        weights[name] = torch.from_numpy(values * scale)
    return Model(config, vocab_size, weights)


def hidden_states(model: Model, tokens_BT: Tensor, precision: Precision = "float32") -> Tensor:
    """Return the normalised output of the last layer, shape [B, T, D], in the given precision."""
    dtype = torch_dtype(precision)
    cos, sin = rotary(model.config, tokens_BT.shape[1], tokens_BT.device)
    # The embedding is looked up in float32: its gradient adds up many rows per frequent token.
    x_BTD = F.embedding(tokens_BT, model.weights[EMBEDDING]).to(dtype)
    for layer in range(model.config.num_layers):
        prefix = f"model.layers.{layer}."
        x_BTD = x_BTD + _attention(
            model, prefix + "self_attn.", _norm(model, prefix + "input_layernorm", x_BTD), cos, sin
        )
        x_BTD = x_BTD + _feed_forward(model, prefix + "mlp.", _norm(model, prefix + "post_attention_layernorm", x_BTD))
    return _norm(model, "model.norm", x_BTD)


def logits(model: Model, tokens_BT: Tensor, precision: Precision = "float32") -> Tensor:
    """Return float32 logits, shape [B, T, V]; for a few sequences: training and measuring never hold them all."""
    hidden_BTD = hidden_states(model, tokens_BT, precision)
    return (hidden_BTD @ model.weights[EMBEDDING].to(hidden_BTD.dtype).T).float()


def torch_dtype(precision: Precision) -> torch.dtype:
    """Return torch's name of a precision."""
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def on_a_line(matrix: Tensor) -> Tensor:
    """Return a matrix that begins on a cache line, as a new tensor does: MKL promises equal bits for no other."""
    return matrix if begins_a_line(matrix) else matrix.clone()


def begins_a_line(matrix: Tensor) -> bool:
    """Return whether a matrix begins on a cache line."""
    return matrix.data_ptr() % _LINE_BYTES == 0


def _attention(model: Model, prefix: str, x_BTD: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    weights = model.weights
    # One product for queries, keys and values: small models are bound by the number of operations.
    joined = torch.cat([weights[f"{prefix}{name}_proj.weight"] for name in "qkv"]).to(x_BTD.dtype)
    out_BTD = attended(F.linear(x_BTD, joined), model.config, cos, sin)
    return F.linear(out_BTD, on_a_line(weights[prefix + "o_proj.weight"].to(x_BTD.dtype)))


def attended(mixed_BTX: Tensor, config: ModelConfig, cos: Tensor, sin: Tensor) -> Tensor:
    """Return causal attention over queries, keys and values that stand side by side, heads side by side, [B, T, D]."""
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
    out_BHTd = F.scaled_dot_product_attention(q_BHTd, k_BKTd, v_BKTd, is_causal=True, enable_gqa=heads != kv_heads)
    return out_BHTd.transpose(1, 2).reshape(batch, length, -1).to(mixed_BTX.dtype)


def _feed_forward(model: Model, prefix: str, x_BTD: Tensor) -> Tensor:
    weights = model.weights
    joined = torch.cat([weights[prefix + "gate_proj.weight"], weights[prefix + "up_proj.weight"]]).to(x_BTD.dtype)
    gate, up = F.linear(x_BTD, joined).chunk(2, dim=-1)
    return F.linear(F.silu(gate) * up, on_a_line(weights[prefix + "down_proj.weight"].to(x_BTD.dtype)))


def _norm(model: Model, name: str, x_BTD: Tensor) -> Tensor:
    weight = model.weights[name + ".weight"]
    return F.rms_norm(x_BTD, weight.shape, weight.to(x_BTD.dtype), model.config.norm_eps)


def _rotated(x_BHTd: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    left, right = x_BHTd.chunk(2, dim=-1)
    return torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1)


@cache
def rotary(config: ModelConfig, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return cosines and sines, [T, head_size / 2]; frequencies rope_base^(-2 i / head_size) (arXiv 2104.09864)."""
    exponents = torch.arange(0, config.head_size, 2, dtype=torch.float32, device=device) / config.head_size
    angles = torch.outer(torch.arange(length, dtype=torch.float32, device=device), config.rope_base**-exponents)
    return angles.cos(), angles.sin()
