"""How many weights a model has, and how many floating-point operations training on a token takes."""

from typing import assert_never

from tasks.training.config import ModelConfig, TrainingConfig
from tasks.training.multi_token.cost import further_flops


def num_parameters(model: ModelConfig, vocab_size: int) -> tuple[int, int]:
    """Return (all parameters, those outside embedding and output layer); tied embeddings count once."""
    attention = model.hidden_size * model.head_size * 2 * (model.num_heads + model.num_kv_heads)
    norms = 2 * model.hidden_size + _query_key_norms(model)
    block = attention + _feed_forward(model) + norms
    body = model.num_layers * block + model.hidden_size
    return body + vocab_size * model.hidden_size * (1 + model.untied_embeddings), body


def _feed_forward(model: ModelConfig, *, active: bool = False) -> int:
    """Return the weights of a layer's feed-forward, or of its experts (the active ones) and their router."""
    one = 3 * model.hidden_size * model.intermediate_size
    if model.experts is None:
        return one
    experts = model.experts.num_active if active else model.experts.num_experts
    return experts * one + model.experts.num_experts * model.hidden_size


def _query_key_norms(model: ModelConfig) -> int:
    """Return the weights of a layer that normalise queries and keys."""
    match model.architecture:
        case None:
            return 0
        case "qwen3":
            return 2 * model.head_size
        case "olmo2":
            return (model.num_heads + model.num_kv_heads) * model.head_size
        case _:
            assert_never(model.architecture)


def flops_per_token(model: ModelConfig, vocab_size: int) -> int:
    """Return the floating-point operations of training on a token: 6 N + 12 L T d, N with the output layer, d of all heads.

    The rule of PaLM (arXiv 2204.02311, appendix B), attention not halved for causality. Of experts the active ones multiply.
    """
    attention = 12 * model.num_layers * model.sequence_length * model.num_heads * model.head_size
    # An embedding that is only looked up multiplies nothing.
    multiplying = num_parameters(model, vocab_size)[1] + vocab_size * model.hidden_size
    multiplying -= model.num_layers * (_feed_forward(model) - _feed_forward(model, active=True))
    return 6 * multiplying + attention


def num_flops(training: TrainingConfig, vocab_size: int) -> int:
    """Return the floating-point operations of a run whose samples have one length."""
    further = further_flops(training, training.model, vocab_size, 0, training.num_steps)
    return training.num_tokens * flops_per_token(training.model, vocab_size) + further
