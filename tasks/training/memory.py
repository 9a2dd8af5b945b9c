"""How much of a GPU's memory a run needs, from its config: to refuse before the first step what would end in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from typing import TYPE_CHECKING

from tasks.core.errors import ConfigError
from tasks.training.config import TrainingConfig
from tasks.training.model_size import num_parameters
from tasks.training.multi_token.cost import num_further_parameters
from tasks.training.multi_token.predictor import all_shapes
from tasks.training.optimizers.kinds import state_bytes

if TYPE_CHECKING:
    import torch

_GIB = 1 << 30
# Float32 logits of some rows, their softmax and its gradient: see `loss`.
_LOGITS_BYTES = 3 * (1 << 30)


def needed_bytes(training: TrainingConfig, vocab_size: int, *, shards: int, sequences: int) -> int:
    """Return about how many bytes of a GPU's memory a run needs that keeps `sequences` at a time.

    Weights, gradients and optimizer state are float32, over `shards` devices; a layer keeps its inputs, products and norms
    in the precision of the products, and queries, keys and values in float32 for the rotation, unless they are made again.
    A stack has the weights in both precisions, and a gradient for each level of the tree of micro-batches.
    """
    model, parallel = training.model, training.engine
    width = 2 if training.product_precision == "bfloat16" else 4
    parameters = num_parameters(model, vocab_size)[0] + num_further_parameters(training)
    state = state_bytes(training.optimizer.method, all_shapes(training.multi_token, model, vocab_size))
    mixed = (model.num_heads + 2 * model.num_kv_heads) * model.head_size
    active = 1 if model.experts is None else model.experts.num_active
    layer = width * (5 * model.hidden_size + mixed + 4 * active * model.intermediate_size) + 4 * 2 * mixed
    kept = width * model.hidden_size if parallel is not None and parallel.recompute_activations else layer
    tokens = sequences * model.sequence_length
    activations = tokens * (model.num_layers * kept + layer)
    weights = 8 if parallel is not None else 4 + width + 4 * training.micro_batches.bit_length()
    weights += 8 if training.ewc is not None and training.ewc.strength else 0
    return (weights * parameters + state) // shards + activations + _LOGITS_BYTES


def needed_on_each(training: TrainingConfig, vocab_size: int, world_size: int) -> int:
    """Return about how many bytes a run needs on each of so many GPUs."""
    engine = training.engine
    shards = world_size if engine is not None and engine.SHARDED else 1
    sequences = ceil(training.sequences_per_step / max(training.micro_batches, world_size))
    return needed_bytes(training, vocab_size, shards=shards, sequences=sequences)


def engine_words(training: TrainingConfig, vocab_size: int, world_size: int) -> str:
    """Return what trains the full runs on GPUs, in a sentence."""
    engine, needed = training.engine, needed_on_each(training, vocab_size, world_size) / _GIB
    again = "" if engine is None or not engine.recompute_activations else ", activations made again"
    how = (
        "in a stack of one (parallel: null)" if engine is None else f"as one model (parallel.kind {engine.kind}{again})"
    )
    return f"full runs are trained {how}, and need about {needed:.1f} GiB on each of {world_size} GPU(s)"


def require_memory(training: TrainingConfig, vocab_size: int, *, shards: int, sequences: int) -> None:
    """Check that this process's GPU has room for a run.

    Raises:
        ConfigError: how much it needs, how much is missing, and what lowers it.
    """
    import torch

    needed, (free, _) = (
        needed_bytes(training, vocab_size, shards=shards, sequences=sequences),
        torch.cuda.mem_get_info(),
    )
    if needed > free:
        raise ConfigError(
            f"the run needs about {needed / _GIB:.1f} GiB of a GPU's memory, {free / _GIB:.1f} GiB are free: "
            f"{(needed - free) / _GIB:.1f} GiB are missing. {_what_lowers_it(training)}"
        )


@contextmanager
def shortage_named(training: TrainingConfig) -> Iterator[None]:
    """Name what the block asks of the GPU's memory and does not get.

    Raises:
        ConfigError: what was asked for, and what lowers it.
    """
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ConfigError(
            f"the GPU's memory is full: {_first_sentences(error)}. {_what_lowers_it(training)}"
        ) from error


def _first_sentences(error: "torch.OutOfMemoryError") -> str:
    """Return how much was asked for, and how much was free, in the words of torch."""
    return ". ".join(str(error).split(". ")[:3])


def _what_lowers_it(training: TrainingConfig) -> str:
    most = training.sequences_per_step
    raised = f"Raise micro_batches (now {training.micro_batches}, at most {most}, one sequence at a time)"
    # One sequence is the least that is kept at a time.
    ways = [raised if training.micro_batches < most else "Lower model.sequence_length"]
    if training.engine is None:
        ways.append("set parallel to {kind: ddp, recompute_activations: true}")
    elif not training.engine.recompute_activations:
        ways.append("set parallel.recompute_activations")
    return f"{', '.join(ways)}, or shard the model: parallel.kind fsdp and a higher MIXWRIGHT_WORLD_SIZE."
