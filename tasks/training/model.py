"""The model: a decoder like Llama's, Qwen3's or OLMo 2's, as one `nn.Module`.

RMSNorm, rotary embeddings (Hugging Face's rotate-half layout), SwiGLU, grouped-query attention, no bias. Weights carry
the names of Hugging Face's `LlamaForCausalLM` (`Qwen3...`, `Olmo2...`, `Mixtral...`), so that exporting is copying. They
are kept in float32; in bfloat16 the matrix products and the residual stream are cast explicitly, while norms, rotation,
attention weights, routers and the loss stay float32.

Axes: B batch, T position, D hidden, H head, K key-value head, V vocabulary.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (its usual name)

from tasks.core.rng import generator
from tasks.training.config import ModelConfig, Precision, TrainingConfig
from tasks.training.data_config import DataConfig
from tasks.training.experts.balance import Routing
from tasks.training.experts.kinds import Routed
from tasks.training.layers import Layer, Norm, own_document, rotary
from tasks.training.loss import nats_per_row, scored
from tasks.training.losses.kinds import LossKind
from tasks.training.matrices import Weight
from tasks.training.multi_token.trunk import Trunk
from tasks.training.teachers.soft_labels import SoftLabels
from tasks.training.transforms.row import NO_TARGET

if TYPE_CHECKING:
    from tasks.training.multi_token.predictor import Predictor

EMBEDDING = "model.embed_tokens.weight"
FINAL_NORM = "model.norm.weight"
OUTPUT = "lm_head.weight"
_INTO_THE_STREAM = ("o_proj.weight", "down_proj.weight", "w2.weight")


@dataclass(frozen=True)
class Scoring:
    """What a run makes of its tokens in a step.

    `apart` is the token that ends documents which do not see each other (None = all see what is before them), `gaps`
    whether there may be places without a target, `loss` that of a token (None = cross-entropy). `further` is what each
    token further ahead than the next counts (0 = none is predicted).
    """

    apart: int | None = None
    gaps: bool = False
    loss: LossKind | None = None
    further: float = 0.0


def scoring_of(training: TrainingConfig, document_end: int, metadata: bool = False, step: int | None = None) -> Scoring:
    """Return what a run makes of its tokens, of which one ends documents; `metadata` is not predicted.

    Without a `step` it is what the model makes of them by itself: further tokens are none of it.
    """
    data, ahead = training.data or DataConfig(), training.multi_token
    further = 0.0 if ahead is None or step is None else ahead.weight_at(step, training.num_steps)
    return Scoring(document_end if data.document_mask else None, data.gaps or metadata, training.loss, further)


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
        # What predicts further tokens while a run trains (see `multi_token`): no part of the model.
        self.multi_token: Predictor | None = None

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
        of a model with experts, whose layers are told what `routing` says when they are trained and in no other call, and
        with the losses of further tokens.
        """
        allowed = None if scoring.apart is None else own_document(tokens_BT, scoring.apart)
        further = self.multi_token if scoring.further and torch.is_grad_enabled() else None
        tap = None if further is None else further.tap
        hidden_BTD, routed, state_BTD = self.model(
            tokens_BT, torch_dtype(precision), allowed, tap, recompute=self.recompute, limited=routing is not None
        )
        balance = None if routing is None else routing.loss(routed)
        if targets_BT is None:
            return hidden_BTD
        total, each_BT = self._nats(hidden_BTD, targets_BT, scoring, weights_BT, soft)
        added = [] if balance is None else [balance]
        if further is not None:
            shared = (self.model.embed_tokens.weight, self.output, self.model.norm.weight)
            given = (state_BTD, tokens_BT, targets_BT, weights_BT, *shared, allowed, self.recompute)
            added.append(further(Trunk(self.config, *given), scoring))
        # Only the gradient is that of all: what is recorded stays nats.
        return sum((one - one.detach() for one in added), total), each_BT

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
        self.norm = Norm(config)

    def forward(
        self,
        tokens_BT: Tensor,
        dtype: torch.dtype,
        allowed: Tensor | None,
        tap: int | None,
        *,
        recompute: bool,
        limited: bool,
    ) -> tuple[Tensor, list[Routed], Tensor]:
        cos, sin = rotary(self.config, tokens_BT.shape[1], tokens_BT.device)
        # The embedding is looked up in float32: its gradient adds up many rows per frequent token.
        x_BTD = F.embedding(tokens_BT, self.embed_tokens.weight).to(dtype)
        told, state_BTD = list[Routed](), x_BTD
        for number, layer in enumerate(self.layers, start=1):
            x_BTD, routed = layer(x_BTD, cos, sin, allowed, recompute=recompute, limited=limited)
            told += [] if routed is None else [routed]
            state_BTD = x_BTD if number == tap else state_BTD
        return self.norm(x_BTD), told, state_BTD


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
