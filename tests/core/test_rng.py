"""The same names give the same numbers, other names give others."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.rng import generator, seed_of

names = st.lists(st.one_of(st.text(max_size=5), st.integers(-5, 5)), max_size=4).map(tuple)


@given(st.integers(0, 9), names)
def test_a_stream_depends_on_seed_and_names_only(seed: int, path: tuple[str | int, ...]) -> None:
    assert np.array_equal(generator(seed, *path).random(3), generator(seed, *path).random(3))


@given(st.integers(0, 3), names, st.integers(0, 3), names)
def test_different_names_have_different_seeds(
    seed: int, path: tuple[str | int, ...], other_seed: int, other: tuple[str | int, ...]
) -> None:
    same = (seed, path) == (other_seed, other)
    separators = any("\x1f" in part for part in (*path, *other) if isinstance(part, str))
    assert same or separators or seed_of(seed, *path) != seed_of(other_seed, *other)
