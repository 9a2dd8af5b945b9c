"""Data parallelism: every device holds the whole model and the whole optimizer state; gradients are averaged."""

from contextlib import nullcontext
from typing import TYPE_CHECKING, Literal

from tasks.training.parallel.spread import Spread, SpreadParams, as_it_is, taken_gradients

if TYPE_CHECKING:
    from tasks.tokenize.pool import TokenPool
    from tasks.training.model import Decoder
    from tasks.training.parallel.job import Job
    from tasks.training.result import RunResult
    from tasks.training.types import RunSpec, World


class Ddp(SpreadParams):
    """Torch's DistributedDataParallel: for a model whose weights, gradients and state fit on one device."""

    kind: Literal["ddp"] = "ddp"


def train(spec: "RunSpec", pool: "TokenPool", job: "Job") -> "RunResult":
    """Train a run this way."""
    from tasks.training.parallel.engine import train_decoder

    return train_decoder(spec, pool, job, spread_out)


def spread_out(model: "Decoder", world: "World", device: str) -> Spread:
    """Return a decoder that lies whole on each device."""
    model.to_empty(device=device)
    weights = {name: weight.detach() for name, weight in model.named_parameters()}
    if world.size == 1:
        return Spread(
            model, weights, lambda: taken_gradients(model), lambda last: nullcontext(), as_it_is, as_it_is, False
        )
    from torch.nn.parallel import DistributedDataParallel

    # Looking for unused weights keeps the buckets as they are: rebuilt ones after the first step would sum a resumed run's
    # gradients in another order than those of the run that was never killed.
    spread = DistributedDataParallel(model, process_group=world.group, find_unused_parameters=True)
    return Spread(
        spread,
        weights,
        lambda: taken_gradients(model),
        lambda last: nullcontext() if last else spread.no_sync(),
        as_it_is,
        as_it_is,
        False,
    )
