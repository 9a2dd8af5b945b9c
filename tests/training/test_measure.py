"""Bits per byte, against its definition."""

from collections.abc import Iterable
from math import log, log2
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F  # noqa: N812 (its usual name)

from tasks.core.errors import EvidenceError
from tasks.tokenize.pool import TokenPool, write_pool
from tasks.training.measure import bits_per_byte
from tasks.training.model import Decoder, decoder, initial_model, logits
from tasks.training.types import DivergedError
from tests.training.conftest import LENGTH, VOCAB_SIZE, small_training


@pytest.fixture
def model() -> Decoder:
    return initial_model(small_training(initializer_range=0.3).model, VOCAB_SIZE, 0)


def by_hand(model: Decoder, pool: TokenPool, domain: int, starts: Iterable[int]) -> float:
    tokens = torch.from_numpy(pool.domains[domain].splits["test"].tokens.astype("int64"))
    nats, size = 0.0, 0
    for start in starts:
        window = tokens[start : start + LENGTH + 1]
        scores = logits(model, window[None, :-1])[0]
        nats += float(F.cross_entropy(scores, window[1:], reduction="sum"))
        size += int(pool.token_bytes[window[1:].numpy()].sum())
    return nats / log(2) / size


@pytest.mark.parametrize("limit", [None, 10_000])
def test_it_is_the_bits_of_all_targets_over_their_bytes(model: Decoder, pool: TokenPool, limit: int | None) -> None:
    measured = bits_per_byte(model, pool, "test", limit)
    assert list(measured) == list(pool.names)
    for domain, name in enumerate(pool.names):
        assert measured[name] == pytest.approx(by_hand(model, pool, domain, range(0, 199, LENGTH)), rel=1e-5)


@pytest.mark.parametrize(("limit", "windows"), [(3 * LENGTH, 3), (LENGTH, 1), (1, 1)])
def test_a_limit_takes_whole_windows_spread_over_the_split(
    model: Decoder, pool: TokenPool, limit: int, windows: int
) -> None:
    whole = 199 // LENGTH
    starts = [number * whole // windows * LENGTH for number in range(windows)]
    measured = bits_per_byte(model, pool, "test", limit)
    assert measured[pool.names[0]] == pytest.approx(by_hand(model, pool, 0, starts), rel=1e-5)


def test_measuring_twice_gives_the_same_bits(model: Decoder, pool: TokenPool) -> None:
    assert bits_per_byte(model, pool, "search") == bits_per_byte(model, pool, "search")


def test_a_model_that_knows_nothing_pays_the_logarithm_of_the_vocabulary(model: Decoder, tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "p", {"a": {"test": [1, 2, 3] * 20}}, vocab_size=VOCAB_SIZE, document_end=0)
    blank = decoder(model.config, VOCAB_SIZE, {name: weight * 0 for name, weight in model.weights.items()})
    assert bits_per_byte(blank, pool, "test")["a"] == pytest.approx(log2(VOCAB_SIZE), rel=1e-6)


def test_bfloat16_measures_nearly_the_same(model: Decoder, pool: TokenPool) -> None:
    exact, rounded = (bits_per_byte(model, pool, "test", precision=name) for name in ("float32", "bfloat16"))
    assert list(rounded.values()) == pytest.approx(list(exact.values()), rel=0.02)


def test_a_domain_without_text_in_the_split_is_named(model: Decoder, tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "p", {"a": {"train": [1, 2]}}, vocab_size=VOCAB_SIZE, document_end=0)
    with pytest.raises(EvidenceError, match="a: the split 'test' has no text"):
        bits_per_byte(model, pool, "test")


def test_predictions_that_are_not_finite_are_refused(model: Decoder, pool: TokenPool) -> None:
    unknown = {name: weight * float("nan") for name, weight in model.weights.items()}
    broken = decoder(model.config, VOCAB_SIZE, unknown)
    with pytest.raises(DivergedError, match="alpha"):
        bits_per_byte(broken, pool, "test")
