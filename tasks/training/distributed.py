"""Sums over data-parallel workers with the same bits for any number of them.

The parts of a step's gradient are the leaves of one balanced binary tree. A worker sums a subtree; subtrees are joined
by recursive doubling. Floating-point addition commutes, so both partners of an exchange get the same bits, and 1, 2, 4,
... workers get the same sum.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tasks.training.types import World


def parts_of(world: World, parts: int) -> tuple[int, int]:
    """Return first part and number of parts that this worker sums."""
    return world.rank * (parts // world.size), parts // world.size


def tree_sum(write: Callable[[int, Tensor], None], first: int, count: int, levels: Sequence[Tensor]) -> None:
    """Write part `first` + ... + part `first + count - 1`, summed as a balanced binary tree, into `levels[0]`.

    `write(number, place)` makes a part; `count` is a power of two, and each doubling of it needs one level more.
    """
    if count == 1:
        write(first, levels[0])
        return
    half = count // 2
    tree_sum(write, first, half, levels)
    tree_sum(write, first + half, half, levels[1:])
    levels[0].add_(levels[1])


def from_first(tensor: Tensor, world: World) -> Tensor:
    """Return the first worker's tensor, which is written over those of the others."""
    import torch.distributed as dist

    if world.size > 1:
        first = 0 if world.group is None else dist.get_global_rank(world.group, 0)
        dist.broadcast(tensor, first, group=world.group)
    return tensor


def world_sum(vector: Tensor, world: World) -> Tensor:
    """Return the sum of every worker's vector, the same bits on all of them."""
    import torch.distributed as dist

    distance = 1
    while distance < world.size:
        partner = world.rank ^ distance
        address = partner if world.group is None else dist.get_global_rank(world.group, partner)
        other = torch.empty_like(vector)
        exchange = [
            dist.P2POp(dist.isend, vector, address, world.group),
            dist.P2POp(dist.irecv, other, address, world.group),
        ]
        for request in dist.batch_isend_irecv(exchange):
            request.wait()
        vector, distance = vector + other, distance * 2
    return vector
