"""Keyed permutations of 0..size-1, of any size and without a table: position k is answered by arithmetic alone.

Axes: S positions, R rounds.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tasks.core.rng import generator

Integers = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]
_ROUNDS = 6  # a guess: four give a strong permutation for strong round functions (Luby and Rackoff), ours is weaker


# Making a generator takes longer than drawing a batch; a run of 1,000 domains asks for the same few thousand again.
@lru_cache(maxsize=1 << 14)
def round_keys(seed: int, *names: str | int) -> Keys:
    """Return the keys of the permutation that a seed and names stand for, shape [R]."""
    keys = generator(seed, *names).integers(0, 1 << 63, size=_ROUNDS, dtype=np.uint64)
    keys.flags.writeable = False
    return keys


def permuted(positions_S: Integers, sizes_S: Integers, keys_RS: Keys) -> Integers:
    """Return where a keyed permutation of 0..size-1 sends each position, each with its own size and keys.

    A Feistel network over the smallest even number of bits that holds the size, walked until the place is inside.
    """
    return _walked(positions_S, sizes_S, keys_RS, _feistel)


def unpermuted(places_S: Integers, sizes_S: Integers, keys_RS: Keys) -> Integers:
    """Return which position `permuted` sends to each place: the same network, walked backwards."""
    return _walked(places_S, sizes_S, keys_RS, _backwards)


def _walked(
    values_S: Integers, sizes_S: Integers, keys_RS: Keys, network: Callable[[Keys, Keys, Keys], Keys]
) -> Integers:
    # Half the bits of size - 1, rounded up: `frexp` gives a number's bits, exactly below 2^53.
    halves_S = np.maximum(1, (np.frexp((sizes_S - 1).astype(np.float64))[1] + 1) // 2).astype(np.uint64)
    limits_S = sizes_S.astype(np.uint64)
    walked_S = network(values_S.astype(np.uint64), halves_S, keys_RS)
    while (outside := np.flatnonzero(walked_S >= limits_S)).size:
        walked_S[outside] = network(walked_S[outside], halves_S[outside], keys_RS[:, outside])
    return walked_S.astype(np.int64)


def _feistel(values_S: Keys, halves_S: Keys, keys_RS: Keys) -> Keys:
    masks_S = (np.uint64(1) << halves_S) - np.uint64(1)
    left, right = values_S >> halves_S, values_S & masks_S
    for keys_S in keys_RS:
        left, right = right, left ^ (mixed(right + keys_S) & masks_S)
    return (left << halves_S) | right


def _backwards(values_S: Keys, halves_S: Keys, keys_RS: Keys) -> Keys:
    masks_S = (np.uint64(1) << halves_S) - np.uint64(1)
    left, right = values_S >> halves_S, values_S & masks_S
    for keys_S in keys_RS[::-1]:
        left, right = np.bitwise_xor(right, mixed(left + keys_S) & masks_S), left
    return (left << halves_S) | right


def mixed(values: Keys) -> Keys:
    """Return SplitMix64's finaliser of each value (Steele, Lea and Flood 2014); products wrap around."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
