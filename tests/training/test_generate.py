"""Text continued by a model."""

import numpy as np
import pytest
import torch

from tasks.training.config import ModelConfig
from tasks.training.generate import continuations
from tasks.training.model import initial_model, logits

CONFIG = ModelConfig(
    hidden_size=16, num_layers=1, num_heads=2, num_kv_heads=1, intermediate_size=32, sequence_length=8,
    initializer_range=0.5,
)  # fmt: skip
MODEL = initial_model(CONFIG, 12, 0)
PROMPTS = [np.array([1, 2, 3]), np.array([4, 5, 6])]


def test_without_temperature_the_likeliest_token_follows_also_beyond_the_context() -> None:
    (found, _) = continuations(MODEL, PROMPTS, num_tokens=12, temperature=0.0, seed=0)
    tokens = [1, 2, 3]
    for token in found:
        assert token == int(logits(MODEL, torch.tensor([tokens[-8:]]))[0, -1].argmax())
        tokens.append(token)
    assert len(found) == 12


def test_the_seed_decides_what_is_drawn() -> None:
    drawn = [continuations(MODEL, PROMPTS, num_tokens=8, temperature=1.0, seed=seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_what_is_drawn_has_the_shares_of_the_softmax() -> None:
    many = [PROMPTS[0]] * 4000
    counts = np.bincount([one[0] for one in continuations(MODEL, many, num_tokens=1, temperature=0.7, seed=3)])
    shares = torch.softmax(logits(MODEL, torch.tensor([[1, 2, 3]]))[0, -1].double() / 0.7, dim=0).numpy()
    assert counts / 4000 == pytest.approx(shares[: len(counts)], abs=0.03)


def test_a_continuation_ends_with_the_document() -> None:
    (whole, _) = continuations(MODEL, PROMPTS, num_tokens=12, temperature=1.0, seed=0)
    (short, _) = continuations(MODEL, PROMPTS, num_tokens=12, temperature=1.0, seed=0, end=whole[4])
    assert short == whole[: whole.index(whole[4])]


def test_several_models_are_drawn_from_by_the_mean_of_their_probabilities() -> None:
    models, given = [initial_model(CONFIG, 12, seed) for seed in (0, 1)], torch.tensor([[1, 2, 3]])
    each = [torch.softmax(logits(one, given)[0, -1].double() / 0.7, dim=0).numpy() for one in models]
    many = [PROMPTS[0]] * 4000
    drawn = [one[0] for one in continuations(models, many, num_tokens=1, temperature=0.7, seed=3)]
    counts = np.bincount(drawn, minlength=12) / 4000
    assert counts == pytest.approx((each[0] + each[1]) / 2, abs=0.03)
    assert np.abs(counts - each[0]).max() > 0.1
    (likeliest, _) = continuations(models, PROMPTS, num_tokens=1, temperature=0.0, seed=0)
    shares = [torch.softmax(logits(one, given)[0, -1].double(), dim=0).numpy() for one in models]
    assert likeliest == (int((shares[0] + shares[1]).argmax()),)
    assert continuations([MODEL], PROMPTS, num_tokens=3, temperature=1.0, seed=0) == continuations(
        MODEL, PROMPTS, num_tokens=3, temperature=1.0, seed=0
    )
