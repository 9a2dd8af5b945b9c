"""What predicting further tokens costs, and which runs it does not go with."""

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING

from tasks.training.multi_token.kinds import method

if TYPE_CHECKING:
    from tasks.training.config import ModelConfig, TrainingConfig


def num_further_parameters(training: "TrainingConfig") -> int:
    """Return the weights that are there for training alone: of no model that is measured, exported or told of."""
    if training.multi_token is None:
        return 0
    own = method(training.multi_token).blocks(training.multi_token, training.model.hidden_size)
    return len(own) * _layer(training.model) + sum(prod(shape) for block in own for shape in block.values())


def further_flops_per_token(training: "TrainingConfig", model: "ModelConfig", vocab_size: int) -> int:
    """Return the operations that further tokens add to training on a token, by the rule of `flops_per_token`."""
    if training.multi_token is None:
        return 0
    chosen, config = method(training.multi_token), training.multi_token
    own = chosen.blocks(config, model.hidden_size)
    each = 1 if chosen.tokens_each is None else chosen.tokens_each(config)
    context = model.sequence_length if chosen.tokens_each is None else each
    layers = each * len(own) * (6 * _layer(model) + 12 * context * model.num_heads * model.head_size)
    products = sum(prod(shape) for block in own for shape in block.values() if len(shape) > 1)
    return layers + 6 * (products + len(chosen.places(config)) * vocab_size * model.hidden_size)


def further_flops(
    training: "TrainingConfig", model: "ModelConfig", vocab_size: int, first_step: int, stop_step: int
) -> int:
    """Return the operations that further tokens add to steps `first_step` to `stop_step` (excluded), while they count."""
    if training.multi_token is None:
        return 0
    steps = training.multi_token.trained_steps(training.num_steps, first_step, stop_step)
    return steps * training.tokens_per_step * further_flops_per_token(training, model, vocab_size)


def further_mistakes(training: "TrainingConfig") -> Iterator[str]:
    """Yield why a run cannot be trained on further tokens."""
    if (config := training.multi_token) is None:
        return
    chosen, model = method(config), training.model
    if not 1 <= chosen.tap(config, model) <= model.num_layers:
        yield (
            f"multi_token {config.kind}: its heads share {chosen.tap(config, model)} layers of a model that has "
            f"{model.num_layers}; set shared_layers to a number from 1 to {model.num_layers}"
        )
    if (last := chosen.places(config)[-1]) >= model.sequence_length:
        yield (
            f"multi_token {config.kind} predicts {last} tokens ahead, and samples have {model.sequence_length}; predict "
            "fewer, or use longer samples"
        )
    if model.experts is not None:
        yield (
            "multi_token is not worked out for model.experts, whose balance is that of the model's layers; leave one of "
            "them out"
        )
    if training.mup is not None:
        yield "multi_token is not worked out for mup, which knows rates of the model's weights alone; leave one of them out"


def _layer(model: "ModelConfig") -> int:
    """Return the weights of a layer of a dense model."""
    from tasks.training.model_size import num_parameters

    return (num_parameters(model, 0)[1] - model.hidden_size) // model.num_layers
