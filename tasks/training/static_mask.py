"""Sparse pre-training, dense fine-tuning (SPDF, arXiv 2303.10464): random weights of each linear layer are held at zero.

Nothing is computed faster: the products are dense. What sparse hardware would save is said as a theoretical figure. How
weights are held there: `masked`.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field, PositiveInt

from tasks.core.params import Params
from tasks.training.optimizers.kinds import method

if TYPE_CHECKING:
    from tasks.training.config import TrainingConfig


class StaticMask(Params):
    """The same share of every matrix of the blocks is zero; embedding, output layer and norms are dense."""

    sparsity: float = Field(gt=0, lt=1, description="share of the weights of each matrix that stays at zero")
    sparse_steps: PositiveInt | None = Field(
        default=None, description="steps from the start that it holds for; the model is dense behind them; null = all"
    )
    seed: int = Field(default=0, ge=0, description="of what is zero, the same in all runs")

    def holds(self, step: int) -> bool:
        """Return whether a step, from 0, is made with the mask."""
        return self.sparse_steps is None or step < self.sparse_steps


def mask_mistakes(training: "TrainingConfig") -> Iterator[str]:
    """Yield why a run cannot hold weights at zero."""
    if training.static_mask is None:
        return
    steps, chosen = training.static_mask.sparse_steps, training.optimizer.method
    if steps is not None and steps > training.num_steps:
        yield (
            f"static_mask.sparse_steps {steps} is beyond the end of a run of {training.num_steps} steps; lower it, or set "
            "it to null"
        )
    if training.model.experts is not None:
        yield "static_mask is not worked out for model.experts, whose router is no layer of it; leave one of them out"
    if method(chosen).begin is not None:
        yield (
            f"static_mask holds weights at zero, which optimizer.method {chosen.kind} makes anew in every step; leave "
            "static_mask out, or take another optimizer"
        )


def flops_if_sparse(training: "TrainingConfig", vocab_size: int) -> int:
    """Return the operations of a run if weights that are held at zero took none: six for each of them, token and step less.

    It is what the paper counts, and what no CPU or GPU saves with a random mask.
    """
    from tasks.training.model_size import num_flops

    config, flops = training.static_mask, num_flops(training, vocab_size)
    if config is None:
        return flops
    steps = training.num_steps if config.sparse_steps is None else config.sparse_steps
    return flops - round(6 * config.sparsity * _num_masked(training) * steps * training.tokens_per_step)


def mask_words(training: "TrainingConfig", vocab_size: int) -> str:
    """Return what a mask saves, in a sentence."""
    from tasks.training.model_size import num_flops

    share = 1 - flops_if_sparse(training, vocab_size) / num_flops(training, vocab_size)
    return (
        f"static_mask: {share:.0%} of the floating-point operations could be left out in theory; here none are, and "
        "wall-clock time is that of a dense run"
    )


def _num_masked(training: "TrainingConfig") -> int:
    """Return the weights of all matrices that a mask is drawn for."""
    model = training.model
    attention = 2 * model.hidden_size * model.head_size * (model.num_heads + model.num_kv_heads)
    return model.num_layers * (attention + 3 * model.hidden_size * model.intermediate_size)
