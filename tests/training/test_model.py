"""The model and its loss, against torch and against Hugging Face's Llama."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F  # noqa: N812 (its usual name)

from tasks.core.errors import DataError
from tasks.training.config import ModelConfig, Precision
from tasks.training.experts.top_k import Gate, TopK
from tasks.training.export import model_config, read_model, transformers_config, write_model, write_tokenizer_files
from tasks.training.loss import nats_per_row, rows_at_a_time, scored
from tasks.training.model import EMBEDDING, Decoder, Scoring, decoder, initial_model, logits, weight_shapes
from tasks.training.model_size import num_parameters
from tasks.training.stacked_layout import layout_of
from tasks.training.stacked_model import gradient_and_nats
from tasks.training.transforms.row import NO_TARGET

CONFIG = ModelConfig(
    hidden_size=24,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    intermediate_size=40,
    sequence_length=32,
    initializer_range=0.2,
)


def tokens(rows: int = 3, length: int = 32, vocab_size: int = 97) -> torch.Tensor:
    return torch.randint(0, vocab_size, (rows, length), generator=torch.Generator().manual_seed(0))


def lively(model: Decoder) -> Decoder:
    """The model with norm weights that are not all one, so that leaving one out shows."""
    changed = {
        name: weight * (1 + 0.1 * torch.arange(len(weight)) / len(weight)) if weight.dim() == 1 else weight
        for name, weight in model.weights.items()
    }
    return decoder(model.config, model.vocab_size, changed)


@pytest.mark.parametrize("rows", [5, rows_at_a_time(50), rows_at_a_time(50) + 7])
def test_the_chunked_loss_is_torchs_cross_entropy_with_its_gradient(rows: int) -> None:
    made = torch.Generator().manual_seed(1)
    hidden = torch.randn(rows, 8, generator=made, requires_grad=True)
    embedding = torch.randn(50, 8, generator=made, requires_grad=True)
    targets = torch.randint(0, 50, (rows,), generator=made)
    ours = torch.autograd.grad(2 * scored(hidden, embedding, targets)[0], (hidden, embedding))
    reference = 2 * F.cross_entropy(hidden @ embedding.T, targets, reduction="sum")
    theirs = torch.autograd.grad(reference, (hidden, embedding))
    for left, right in zip(ours, theirs, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        nats_per_row(hidden, embedding, targets).sum() * 2, reference.detach(), rtol=1e-5, atol=1e-3
    )


def test_a_hopeless_target_costs_finitely_many_nats() -> None:
    embedding = torch.tensor([[300.0], [-300.0]])
    assert float(nats_per_row(torch.ones(1, 1), embedding, torch.tensor([1]))) == pytest.approx(600.0)


def test_a_position_sees_nothing_of_what_follows() -> None:
    model, batch = initial_model(CONFIG, 97, 0), tokens()
    changed = batch.clone()
    changed[:, 20:] = 0
    torch.testing.assert_close(model(batch)[:, :20], model(changed)[:, :20])


def test_a_model_has_the_weights_that_its_shapes_say_in_their_order() -> None:
    model = initial_model(CONFIG, 97, 0)
    assert [(name, tuple(weight.shape)) for name, weight in model.weights.items()] == [
        *weight_shapes(CONFIG, 97).items()
    ]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_activations_that_are_computed_again_give_the_same_gradients(precision: Precision) -> None:
    gradients = []
    for recompute in (False, True):
        model = lively(initial_model(CONFIG, 97, 0))
        model.recompute = recompute
        nats, _ = model(tokens()[:, :-1], precision, tokens()[:, 1:])
        gradients.append(torch.autograd.grad(nats, [*model.parameters()]))
    assert all(torch.equal(kept, again) for kept, again in zip(*gradients, strict=True))


def test_bfloat16_agrees_with_float32_up_to_its_precision() -> None:
    model, batch = initial_model(CONFIG, 97, 0), tokens()
    exact, rounded = logits(model, batch), logits(model, batch, "bfloat16")
    assert rounded.dtype == torch.float32
    assert 0 < float((exact - rounded).abs().mean()) < 0.03 * float(exact.std())


def test_the_initial_weights_depend_on_the_seed_and_have_the_stated_spread() -> None:
    one, same, other = (initial_model(CONFIG, 97, seed) for seed in (0, 0, 1))
    assert all(torch.equal(one.weights[name], same.weights[name]) for name in one.weights)
    assert not torch.equal(one.weights[EMBEDDING], other.weights[EMBEDDING])
    assert float(one.weights[EMBEDDING].std()) == pytest.approx(0.2, rel=0.1)
    assert float(one.weights["model.layers.0.mlp.down_proj.weight"].std()) == pytest.approx(0.2 / 2, rel=0.1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of transformers' own imports
@pytest.mark.parametrize(
    "changes",
    [
        {"untied_embeddings": True, "rope_base": 50_000.0},
        {"architecture": "qwen3", "head_dim": 10},
        {"architecture": "olmo2", "untied_embeddings": True},
        {"experts": TopK(num_experts=5, num_active=2, gate=Gate(normalised=False))},
    ],
    ids=["llama, untied", "qwen3", "olmo2", "mixtral"],
)
def test_other_architectures_are_those_of_transformers_both_ways(tmp_path: Path, changes: dict[str, Any]) -> None:
    transformers = pytest.importorskip("transformers")
    config = CONFIG.model_copy(update=changes)
    model = lively(initial_model(config, 97, 3))
    write_model(model, 0, tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    with torch.no_grad():
        assert float((theirs(tokens()).logits - logits(model, tokens())).abs().max()) < 1e-5
    assert num_parameters(config, 97)[0] == sum(weight.numel() for weight in theirs.parameters())
    theirs.save_pretrained(tmp_path / "theirs")
    read = read_model(tmp_path / "theirs")
    assert read.config == config and all(torch.equal(read.weights[name], model.weights[name]) for name in model.weights)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model_type": "gpt2"}, "model_type gpt2"),
        ({"attention_bias": True}, "attention_bias True"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5}}, "RoPE scaled by llama3"),
        ({"hidden_act": "gelu"}, "hidden_act gelu"),
        ({"num_hidden_layers": None}, "it describes no model"),
    ],
)
def test_a_model_that_the_decoder_does_not_compute_is_refused_by_name(changes: dict[str, Any], told: str) -> None:
    values = transformers_config(CONFIG, 97, 0) | changes
    with pytest.raises(DataError, match=told):
        model_config(values, "config.json")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of transformers' own imports
def test_transformers_loads_the_export_with_the_same_logits(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<|end|>"], show_progress=False)
    tokenizer.train_from_iterator(["to be or not to be"] * 3, trainer)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    size = tokenizer.get_vocab_size()
    model = lively(initial_model(CONFIG, size, 3))
    write_model(model, 0, tmp_path)
    write_tokenizer_files(tmp_path / "tokenizer.json", 0, CONFIG.sequence_length, tmp_path)

    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    theirs_tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    batch = tokens(vocab_size=size)
    with torch.no_grad():
        assert float((theirs(batch).logits - logits(model, batch)).abs().max()) < 1e-5
    assert theirs.config.max_position_embeddings == CONFIG.sequence_length
    assert theirs_tokenizer("not to be")["input_ids"] == tokenizer.encode("not to be").ids
    assert (theirs_tokenizer.eos_token, theirs_tokenizer.eos_token_id) == ("<|end|>", 0)


def test_a_written_model_is_read_back_as_it_was(tmp_path: Path) -> None:
    model = initial_model(CONFIG, 97, 3)
    write_model(model, 0, tmp_path)
    again = read_model(tmp_path)
    assert again.config == model.config
    assert all(torch.equal(again.weights[name], weight) for name, weight in model.weights.items())


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no config\.json"):
        read_model(tmp_path)


def test_weights_of_another_config_are_refused(tmp_path: Path) -> None:
    write_model(initial_model(CONFIG, 97, 3), 0, tmp_path)
    text = (tmp_path / "config.json").read_text(encoding="utf-8")
    (tmp_path / "config.json").write_text(text.replace('"vocab_size": 97', '"vocab_size": 98'), encoding="utf-8")
    with pytest.raises(DataError, match=r"the weights are not those of .*config\.json"):
        read_model(tmp_path)


ISOLATED = Scoring(apart=0)


def document_rows() -> torch.Tensor:
    """Rows of [end, document, end, document, end]: 4 and 6 tokens with their ends."""
    rows = torch.randint(1, 97, (2, 11), generator=torch.Generator().manual_seed(1))
    rows[:, [0, 4, 10]] = 0
    return rows


@torch.no_grad()
def test_documents_that_do_not_see_each_other_cost_what_they_cost_alone() -> None:
    model, rows = lively(initial_model(CONFIG, 97, 0)), document_rows()
    together, _ = model(rows[:, :-1], "float32", rows[:, 1:], ISOLATED)
    alone = sum(model(part[:, :-1], "float32", part[:, 1:])[0] for part in (rows[:, :5], rows[:, 4:]))
    mixed, _ = model(rows[:, :-1], "float32", rows[:, 1:])
    assert float(together) == pytest.approx(float(alone), rel=1e-5)
    assert abs(float(mixed) - float(alone)) > 1e-3


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("apart", [False, True])
def test_padding_costs_nothing_and_has_no_gradient_in_the_decoder_and_the_stack(apart: bool, at_once: bool) -> None:
    layout, scoring = layout_of(CONFIG, 97), Scoring(apart=0 if apart else None, gaps=True)
    model, rows = lively(initial_model(CONFIG, 97, 0)), document_rows()
    padded = torch.nn.functional.pad(rows, (0, 3))
    pairs = torch.stack([padded[:, :-1], padded[:, 1:]], dim=1)
    pairs[:, 1, -3:] = NO_TARGET
    nats, each = model(pairs[:, 0], "float32", pairs[:, 1], scoring)
    gradients = dict(zip(model.weights, torch.autograd.grad(nats, list(model.parameters())), strict=True))
    nats = nats.detach()
    with torch.no_grad():
        unpadded, _ = model(rows[:, :-1], "float32", rows[:, 1:], ISOLATED if apart else Scoring())
    assert float(nats) == pytest.approx(float(unpadded), rel=1e-6) == pytest.approx(float(each.sum()), rel=1e-6)
    weights_NW = torch.stack([layout.row(model.weights)] * 2)
    total_NW = torch.empty_like(weights_NW)
    nats_NS = torch.empty(2, len(padded))
    given = (weights_NW, weights_NW.clone(), torch.stack([pairs, pairs.flip(0)]), total_NW, nats_NS)
    with torch.no_grad():
        gradient_and_nats(layout, *given, at_once=at_once, scoring=scoring)
    for total_W in total_NW:
        assert torch.allclose(total_W[: layout.parameters], layout.row(gradients)[: layout.parameters], atol=1e-4)
        assert float(total_W[layout.parameters]) == pytest.approx(float(nats), rel=1e-5)
    assert nats_NS.sum(dim=1).tolist() == pytest.approx([float(nats)] * 2, rel=1e-5)
    assert nats_NS[0].tolist() == pytest.approx(nats_NS[1].flip(0).tolist(), rel=1e-5)
