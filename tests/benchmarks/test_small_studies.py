"""Studies of single methods: their arms are what they say, and what is measured is what was asked."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.studies import crystal, gates, spdf, ul2
from benchmarks.studies.bytes_of_text import END, training
from tasks.tokenize.pool import TokenPool, write_pool
from tasks.training.model import decoder, initial_weights
from tasks.training.model_size import num_flops
from tasks.training.static_mask import flops_if_sparse


def test_a_dense_arm_has_the_operations_that_a_sparse_one_would_have() -> None:
    arms = spdf.arms_of(131_072)
    sparse, dense = flops_if_sparse(arms[spdf.SPDF], END + 1), num_flops(arms[spdf.EQUAL], END + 1)
    # A whole number of steps.
    assert dense <= sparse < dense * 1.03
    assert flops_if_sparse(arms[spdf.SPARSE], END + 1) < sparse < num_flops(arms[spdf.DENSE], END + 1)


def test_the_phases_of_crystal_have_the_tokens_of_a_run_and_differ_in_the_last() -> None:
    found = crystal.phases_of(131_072)
    assert {sum(phase.num_tokens for phase in phases) for phases in found.values()} == {131_072}
    before, late = found[crystal.BEFORE], found[crystal.LATE]
    assert before[0] == late[0] and before[1].weights == late[1].weights
    assert late[2].weights == pytest.approx((1 / 11, 10 / 11)) and late[2].num_tokens == pytest.approx(
        0.08 * 131_072, rel=0.03
    )


def test_the_arms_of_a_question_about_experts_differ_in_what_is_asked() -> None:
    for arms in gates.QUESTIONS.values():
        one, other = (gates.config_of(own, 20).model.experts for own in arms.values())
        assert one is not None and other is not None and one.capacity_factor == other.capacity_factor
        assert (one.gate == other.gate) != (one.balance == other.balance)


@pytest.fixture
def pool(tmp_path: Path) -> TokenPool:
    """A pool of bytes with special tokens."""
    sizes = [1] * END + [0] * (ul2.SPECIALS + 1)
    text = np.arange(120 * 130) % 251
    return write_pool(
        tmp_path, {"text": {"train": text, "test": text}}, vocab_size=len(sizes), document_end=END, token_bytes=sizes
    )


def test_a_gap_is_scored_where_it_stands(pool: TokenPool) -> None:
    text, config = ul2.gaps(pool)[:3], training(1024).model
    model = decoder(config, pool.vocab_size, initial_weights(config, pool.vocab_size, 0))
    found = {way: ul2.candidates_nats(model, pool, text, way) for way in (ul2.LEFT, ul2.WHOLE, ul2.BOTH)}
    assert all(nats.shape == (3, ul2.CANDIDATES) for nats in found.values())
    # A new model holds all bytes alike.
    alike = np.log(pool.vocab_size)
    for way, size in ((ul2.LEFT, ul2.SPAN), (ul2.WHOLE, ul2.SPAN + ul2.SIDE), (ul2.BOTH, ul2.SPAN)):
        assert found[way].mean() / size == pytest.approx(alike, rel=0.05)
