"""muP: what it does to a model of another width, as the textbook writes it; and the coordinate check."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (its usual name)

from tasks.tokenize.pool import TokenPool
from tasks.training.data import run_data
from tasks.training.model import decoder, initial_weights, logits
from tasks.training.mup import Mup, rate_factors, scaled
from tasks.training.run import train
from tests.training.conftest import LENGTH, VOCAB_SIZE, small_spec, small_training

QUERIES, UP = "model.layers.0.self_attn.q_proj.weight", "model.layers.0.mlp.up_proj.weight"


def test_a_model_of_the_bases_width_has_the_bits_that_it_has_without(pool: TokenPool) -> None:
    plain, same = train(small_spec(), pool), train(small_spec(mup={"base_hidden_size": 16}), pool)
    for name, weight in plain.model.weights.items():
        assert torch.equal(weight, same.model.weights[name])


def test_the_factors_are_those_of_the_table() -> None:
    model = small_training(hidden_size=64, num_heads=4).model
    mup = Mup(base_hidden_size=16, base_head_size=4)
    names = [UP, QUERIES, "model.norm.weight", "model.layers.0.input_layernorm.weight", "model.embed_tokens.weight"]
    # Width 4; heads of 16 instead of 4: scores times sqrt(4) / 16 are the usual ones, 1 / sqrt(16), times 1/2.
    assert list(rate_factors(mup, model, names).values()) == [1 / 4, 1 / 8, 1 / 4, 1, 1]
    # Queries that are normalised have the size that their norm gives them.
    names_of_qwen = [QUERIES, QUERIES.replace("q_proj", "q_norm")]
    qwen = model.model_copy(update={"architecture": "qwen3"})
    assert list(rate_factors(mup, qwen, names_of_qwen).values()) == [1 / 4, 1 / 2]
    start = scaled(mup, model, {name: torch.ones(2) for name in names})
    assert [float(weight[0]) for weight in start.values()] == [1 / 2, 1 / 4, 1 / 4, 1, 1]


def test_mup_is_for_adamw() -> None:
    with pytest.raises(ValidationError, match=r"optimizer\.method is muon; leave mup out"):
        small_training(mup={"base_hidden_size": 8}, method={"kind": "muon"})


def _by_the_book(spec, pool: TokenPool, base: Mup, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Train with the multipliers in the forward pass, by torch's AdamW with a learning rate for each group."""
    training, model = spec.training, spec.training.model
    width, heads = model.hidden_size / base.base_hidden_size, (base.base_head_size or 0) ** 0.5 / model.head_size
    attention = F.scaled_dot_product_attention
    monkeypatch.setattr(
        F, "scaled_dot_product_attention", lambda *args, **options: attention(*args, **options, scale=heads)
    )
    start = initial_weights(model, VOCAB_SIZE, spec.seed)
    made = decoder(
        model, VOCAB_SIZE, {name: one / width**0.5 if "proj" in name else one for name, one in start.items()}
    )
    rate, decay = training.optimizer.learning_rate, training.optimizer.weight_decay
    hidden = {"lr": rate / width, "weight_decay": decay * width}
    rest = {"lr": rate, "weight_decay": 0.0}
    groups = [
        {
            "params": [weight],
            **(hidden if "proj" in name else rest | ({"weight_decay": decay} if "embed" in name else {})),
        }
        for name, weight in made.named_parameters()
    ]
    optimizer, data = torch.optim.AdamW(groups, betas=(0.9, 0.95), eps=1e-8), run_data(spec, pool)
    for step in range(training.num_steps):
        tokens = torch.from_numpy(data.read(4 * step, 4 * step + 4).tokens.astype(np.int64))
        scores = (made(tokens[:, :-1]) / width) @ made.model.embed_tokens.weight.T
        optimizer.zero_grad()
        F.cross_entropy(scores.flatten(0, 1), tokens[:, 1:].flatten()).backward()
        optimizer.step()
    monkeypatch.undo()
    return made.weights, width, heads * model.head_size**0.5


def test_what_is_folded_into_weights_is_what_the_book_says(pool: TokenPool, monkeypatch: pytest.MonkeyPatch) -> None:
    base = Mup(base_hidden_size=8, base_head_size=2)
    flat = {"gradient_clip": None, "warmup_steps": 0, "schedule": {"kind": "wsd", "decay_fraction": 0.0}}
    spec = small_spec(hidden_size=32, num_tokens=3 * 4 * LENGTH, initializer_range=0.2, mup=base, **flat)
    book, width, scores = _by_the_book(spec, pool, base, monkeypatch)
    ours = train(spec, pool).model.weights
    start = scaled(base, spec.training.model, initial_weights(spec.training.model, VOCAB_SIZE, 0))
    for name, weight in book.items():
        folded = weight / width if name == "model.norm.weight" else weight * scores if "q_proj" in name else weight
        moved = float((folded - start[name]).norm())
        assert float((ours[name] - folded).norm()) < 2e-3 * moved, name


def _activations(weights: dict[str, Tensor], spec, tokens: Tensor) -> dict[str, float]:  # type: ignore[no-untyped-def]
    """The root mean square of the residual stream before each norm, and of the logits."""
    found, model = dict[str, float](), decoder(spec.training.model, VOCAB_SIZE, weights)
    for name, module in model.named_modules():
        if name.endswith("norm"):
            module.register_forward_pre_hook(
                lambda _, given, name=name: found.update({name: float(given[0].square().mean().sqrt())})
            )
    found["logits"] = float(logits(model, tokens).square().mean().sqrt())
    return found


def _slopes(pool: TokenPool, widths: tuple[int, ...], *, with_mup: bool, num_steps: int) -> dict[str, float]:
    """How the size of each activation grows with the width: its slope over both logarithms, after some steps."""
    sizes = []
    for width in widths:
        spec = small_spec(
            hidden_size=width,
            num_heads=width // 8,
            num_kv_heads=width // 8,
            intermediate_size=2 * width,
            num_tokens=num_steps * 4 * LENGTH,
            initializer_range=0.2,
            learning_rate=2e-2,
            warmup_steps=0,
            schedule={"kind": "wsd", "decay_fraction": 0.0},
            mup={"base_hidden_size": widths[0]} if with_mup else None,
        )
        tokens = torch.arange(4 * LENGTH).view(4, LENGTH) % (VOCAB_SIZE - 1)
        sizes.append(_activations(train(spec, pool).model.weights, spec, tokens))
    logs = np.log(widths)
    return {name: float(np.polyfit(logs, np.log([size[name] for size in sizes]), 1)[0]) for name in sizes[0]}


def test_the_size_of_activations_does_not_grow_with_the_width(pool: TokenPool) -> None:
    for num_steps in (1, 4):
        found = _slopes(pool, (16, 32, 64), with_mup=True, num_steps=num_steps)
        assert max(found.values()) < 0.1, (num_steps, found)
    assert _slopes(pool, (16, 32, 64), with_mup=False, num_steps=4)["logits"] > 0.4


@pytest.mark.slow
def test_the_size_of_activations_does_not_grow_up_to_wide_models(pool: TokenPool) -> None:
    assert max(_slopes(pool, (32, 64, 128, 256), with_mup=True, num_steps=10).values()) < 0.1
