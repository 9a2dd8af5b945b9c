"""Sums over workers: one tree, whoever adds which part of it."""

import torch

from tasks.training.distributed import parts_of, tree_sum
from tasks.training.types import World

PARTS = [torch.tensor([10.0**exponent, 0.1]) for exponent in (8, -1, -3, 7, 0, 2, -2, 5)]


def summed(parts: list[torch.Tensor], first: int, count: int) -> torch.Tensor:
    levels = [torch.full((2,), torch.nan) for _ in range(count.bit_length())]
    tree_sum(lambda part, place: place.copy_(parts[part]), first, count, levels)
    return levels[0]


def test_subtrees_of_any_number_of_workers_join_to_the_same_bits() -> None:
    whole = summed(PARTS, 0, 8)
    for workers in (2, 4, 8):
        shares = [parts_of(World(workers, rank), 8) for rank in range(workers)]
        subtrees = [summed(PARTS, first, count) for first, count in shares]
        assert torch.equal(summed(subtrees, 0, workers), whole)
    # The order matters for these numbers, or the test could not fail.
    assert not torch.equal(sum(PARTS[1:], PARTS[0]), whole)
