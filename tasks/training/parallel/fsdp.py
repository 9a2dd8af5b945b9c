"""Fully sharded data parallelism: each device holds a part of every weight, gradient and optimizer state.

A layer's weights are gathered when it computes and let go behind it (arXiv 2304.11277; torch's `fully_shard`).
"""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tasks.training.parallel.ddp import spread_out as whole_on_each
from tasks.training.parallel.spread import Spread, SpreadParams, taken_gradients

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.tokenize.pool import TokenPool
    from tasks.training.model import Decoder
    from tasks.training.parallel.job import Job
    from tasks.training.result import RunResult
    from tasks.training.types import RunSpec, World


class Fsdp(SpreadParams):
    """Torch's FSDP2: for a model that is too large for one device. The first axis of every weight is cut into shards."""

    SHARDED: ClassVar[bool] = True

    kind: Literal["fsdp"] = "fsdp"


def train(spec: "RunSpec", pool: "TokenPool", job: "Job") -> "RunResult":
    """Train a run this way."""
    from tasks.training.parallel.engine import train_decoder

    return train_decoder(spec, pool, job, spread_out)


def spread_out(model: "Decoder", world: "World", device: str) -> Spread:
    """Return a decoder of which each device holds a shard; one device alone holds all."""
    if world.size == 1:
        return whole_on_each(model, world, device)
    import torch.distributed as dist
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor, distribute_tensor

    mesh = DeviceMesh.from_group(world.group or dist.distributed_c10d._get_default_group(), device)
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    # The rest: the embedding, which is the output layer too, and the last norm.
    root: Any = fully_shard(model, mesh=mesh)
    model.to_empty(device=device)
    sharded: dict[str, Any] = dict(model.named_parameters())
    parts = {name: weight.to_local().detach() for name, weight in sharded.items()}

    def whole(name: str, part: "Tensor") -> "Tensor":
        like = sharded[name]
        joined = DTensor.from_local(
            part, mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
        ).full_tensor()
        return joined

    def own(name: str, tensor: "Tensor") -> "Tensor":
        return distribute_tensor(tensor, mesh, sharded[name].placements, src_data_rank=None).to_local()

    def part_of_step(last: bool) -> AbstractContextManager[None]:
        root.set_requires_gradient_sync(last)
        return nullcontext()

    def gradients() -> dict[str, "Tensor"]:
        return {name: slope.to_local() for name, slope in taken_gradients(model).items()}  # type: ignore[attr-defined]

    return Spread(root, parts, gradients, part_of_step, whole, own, True)
