"""Packing, and the sample a tokenizer is trained on."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.tokenize.pack import Packed, pack
from tasks.tokenize.sample import choose, quotas

END = 7
documents = st.lists(st.lists(st.integers(0, 6), max_size=9), max_size=12)


def _pack(texts: list[list[int]], seed: int = 0, domain: str = "code", split: str = "train") -> Packed:
    arrays = [np.array(text, dtype=np.uint16) for text in texts]
    return pack(arrays, document_end=END, seed=seed, domain=domain, split=split)


@given(documents, st.integers(0, 99))
def test_packing_loses_nothing_and_doubles_nothing(texts: list[list[int]], seed: int) -> None:
    packed = _pack(texts, seed)
    assert sorted(packed.order.tolist()) == list(range(len(texts)))
    for number, first, length in zip(packed.order, packed.first_token, packed.lengths, strict=True):
        assert packed.tokens[first : first + length].tolist() == [*texts[number], END]
    assert packed.tokens.size == sum(len(text) + 1 for text in texts) == packed.lengths.sum()


def test_the_order_depends_on_seed_domain_and_split_and_on_nothing_else() -> None:
    texts = [[number % 7] * (number + 1) for number in range(30)]
    orders = [
        _pack(texts).order.tolist(),
        _pack(texts, seed=1).order.tolist(),
        _pack(texts, domain="prose").order.tolist(),
        _pack(texts, split="test").order.tolist(),
    ]
    assert len({tuple(order) for order in orders}) == 4
    assert _pack(texts).order.tolist() == orders[0] != sorted(orders[0])


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=9), st.integers(1, 5000))
def test_quotas_give_every_domain_the_same_or_all_it_has(available: list[int], total: int) -> None:
    given_bytes = quotas(available, total)
    assert sum(given_bytes) == min(total, sum(available))
    assert all(own <= has for own, has in zip(given_bytes, available, strict=True))
    cut = [own for own, has in zip(given_bytes, available, strict=True) if own < has]
    assert all(
        own >= max(cut) - len(available) or own == has for own, has in zip(given_bytes, available, strict=True) if cut
    )


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(-1, 3)), min_size=1, max_size=30),
    st.integers(1, 400),
    st.randoms(use_true_random=False),
)
def test_the_sample_fills_the_quotas_and_does_not_depend_on_the_order(
    rows: list[tuple[int, int]], total: int, random: "np.random.Generator"
) -> None:
    named = [(f"document-{number}", size, domain) for number, (size, domain) in enumerate(rows)]

    def sample(rows: list[tuple[str, int, int]]) -> list[tuple[str, int]]:
        ids, sizes, domains = zip(*rows, strict=True)
        return [(ids[n], taken) for n, taken in choose(ids, np.array(sizes), np.array(domains), total, seed=5)]

    found = sample(named)
    assert sum(taken for _, taken in found) == min(total, sum(size for size, domain in rows if domain >= 0))
    shuffled = list(named)
    random.shuffle(shuffled)
    assert sample(shuffled) == found
