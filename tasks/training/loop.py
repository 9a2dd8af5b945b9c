"""The optimizer loop: one step is a pure function of (weights, optimizer state, step index)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite

import numpy as np
import torch
from torch import Tensor

from tasks.tokenize.pool import TokenPool
from tasks.training.config import TrainingConfig
from tasks.training.distributed import from_first, parts_of, tree_sum, world_sum
from tasks.training.loss import total_nats
from tasks.training.model import EMBEDDING, Model, hidden_states
from tasks.training.optimizer import AdamState, adamw, clipped, new_state
from tasks.training.order import DataOrder
from tasks.training.schedules.rates import learning_rate
from tasks.training.types import DivergedError, World


@dataclass
class TrainingState:
    """What a run has reached, and all it needs to go on: the one mutable thing of the loop.

    The model's weights are views of `flat_weights`; `decays` is 1 where weights decay. `losses` are nats per token of
    each step made; `counts` the samples of each step by domain.
    """

    model: Model
    flat_weights: Tensor
    decays: Tensor
    adam: AdamState
    losses: list[float] = field(default_factory=list)
    counts: list[tuple[int, ...]] = field(default_factory=list)

    @property
    def step(self) -> int:
        """Steps made so far."""
        return len(self.losses)


def new_progress(model: Model) -> TrainingState:
    """Return a run at its start, on a copy of the weights that wants gradients; matrices decay, norms do not."""
    weights_P = torch.cat([weight.flatten() for weight in model.weights.values()])
    sizes = [weight.numel() for weight in model.weights.values()]
    marks = [float(weight.dim() > 1) for weight in model.weights.values()]
    decay_P = torch.repeat_interleave(torch.tensor(marks), torch.tensor(sizes))
    parts = torch.split(weights_P, sizes)
    views = {
        name: part.view(weight.shape).requires_grad_(True)
        for (name, weight), part in zip(model.weights.items(), parts, strict=True)
    }
    return TrainingState(Model(model.config, model.vocab_size, views), weights_P, decay_P, new_state(weights_P))


@torch.no_grad()
def share(progress: TrainingState, world: World, num_domains: int) -> None:
    """Give all workers what the first of them has reached: the steps of its checkpoint."""
    if not (steps := int(from_first(torch.tensor(progress.step), world))):
        return
    for state in (progress.flat_weights, progress.adam.mean, progress.adam.square):
        from_first(state, world)
    mine = world.rank == 0
    losses_S = torch.tensor(progress.losses if mine else [0.0] * steps, dtype=torch.float64)
    counts_SN = torch.tensor(progress.counts if mine else [[0] * num_domains] * steps)
    progress.losses = from_first(losses_S, world).tolist()
    progress.counts = [tuple(step) for step in from_first(counts_SN, world).tolist()]


def advance(progress: TrainingState, training: TrainingConfig, pool: TokenPool, order: DataOrder, world: World) -> None:
    """Make one step.

    Raises:
        DivergedError: loss or gradient are not finite; the weights are those of the step before.
    """
    step = progress.step
    first, count = parts_of(world, training.micro_batches)
    local = tree_sum(
        lambda part: _part(progress.model, training, pool, order, step * training.micro_batches + part), first, count
    )
    total = world_sum(local, world)
    num_domains = len(order.names)
    gradient = total[: -1 - num_domains].mul_(1.0 / training.tokens_per_step)
    loss = float(total[-1 - num_domains]) / training.tokens_per_step
    norm = float(torch.linalg.vector_norm(gradient))
    if not (isfinite(loss) and isfinite(norm)):
        raise diverged(training, step, loss, norm)
    with torch.no_grad():
        adamw(
            progress.flat_weights,
            clipped(gradient, norm, training.optimizer.gradient_clip),
            progress.adam,
            training.optimizer,
            rate=learning_rate(training, step),
            decay_P=progress.decays,
            step=step,
        )
    progress.losses.append(loss)
    progress.counts.append(tuple(int(value) for value in total[-num_domains:].tolist()))


def diverged(training: TrainingConfig, step: int, loss: float, norm: float) -> DivergedError:
    """Return what to raise when loss or gradient are not finite."""
    return DivergedError(
        f"step {step} of {training.num_steps}: the loss is {loss} and its gradient's norm {norm}. Lower "
        f"learning_rate ({training.optimizer.learning_rate:g}), raise warmup_steps, or set gradient_clip."
    )


def batch(
    pool: TokenPool, order: DataOrder, start: int, stop: int, sequence_length: int
) -> tuple[Tensor, Sequence[int]]:
    """Return samples `start` to `stop` of the order as tokens, shape [S, T + 1] int64, and the domain of each."""
    samples = order.samples(start, stop)
    pairs = zip(samples.domains.tolist(), samples.rows.tolist(), strict=True)
    rows = [pool.row(domain, "train", row, sequence_length) for domain, row in pairs]
    return torch.from_numpy(np.stack(rows).astype(np.int64)), samples.domains.tolist()


def _part(model: Model, training: TrainingConfig, pool: TokenPool, order: DataOrder, part: int) -> Tensor:
    """Return gradient, nats and samples per domain of one micro-batch of the run, as one vector.

    They travel together so that what is counted as consumed is what the gradient was made of.
    """
    size = training.sequences_per_step // training.micro_batches
    start = part * size
    tokens_ST, domains = batch(pool, order, start, start + size, training.model.sequence_length)
    hidden_STD = hidden_states(model, tokens_ST[:, :-1], training.product_precision)
    nats = total_nats(hidden_STD.flatten(0, 1), model.weights[EMBEDDING], tokens_ST[:, 1:].reshape(-1))
    gradients = torch.autograd.grad(nats, list(model.weights.values()))
    counts = torch.bincount(torch.tensor(domains), minlength=len(order.names))
    return torch.cat([*(gradient.flatten() for gradient in gradients), nats.detach()[None], counts.float()])


@contextmanager
def deterministic() -> Iterator[None]:
    """Use one thread and deterministic algorithms inside the block: the bits must not depend on the machine's cores."""
    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.set_num_threads(1)
    # As `use_deterministic_algorithms(True)`, without its import of the compiler (seconds per worker).
    torch.set_deterministic_debug_mode("error")
    # No operation here reads memory that it did not write, and filling costs about 4 % of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode(mode)
        torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
