"""Tokens further ahead: what is predicted from where, what it does to the trunk, what it counts and costs."""

from functools import cache, partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from tasks.training.layers import own_document, rotary
from tasks.training.memory import needed_bytes
from tasks.training.model import Decoder, Scoring, initial_weights
from tasks.training.model_size import flops_per_token, num_flops, num_parameters
from tasks.training.multi_token.cost import further_flops_per_token, num_further_parameters
from tasks.training.multi_token.future import Future
from tasks.training.multi_token.heads import Heads
from tasks.training.multi_token.kinds import MultiTokenKind, method
from tasks.training.multi_token.predictor import Predictor, all_shapes, first_further_weights
from tasks.training.multi_token.sequential import Sequential
from tasks.training.multi_token.weights import FurtherTokens, WeightChange
from tasks.training.segments import flops_of
from tasks.training.stacked_layout import layout_of
from tasks.training.stacked_model import gradient_and_nats
from tasks.training.step_losses import labels_ahead
from tests.training.conftest import LENGTH, VOCAB_SIZE, small_spec, small_training
from tests.training.test_branches import EARLY, LATE, STEP, inputs, params, stage, trained  # noqa: F401 (a fixture)

END = VOCAB_SIZE - 1
KINDS: tuple[MultiTokenKind, ...] = (
    Heads(num_tokens=3, weight=0.7),
    Sequential(num_modules=2, decay=0.5),
    Future(num_tokens=3, pseudo_tokens=2, num_layers=2),
)
BY_KIND = pytest.mark.parametrize("config", KINDS, ids=lambda one: one.kind)
# Widths that fill no vector register: the second run of a stack does not begin on a cache line.
# The weight falls within steps 4 and 5 of 8, and is 0 from step 6 on.
FALLING = {"changes": [{"from_fraction": 0.5, "over_fraction": 0.375, "weight": 0.0}]}
FEW: dict[str, object] = {"num_tokens": 8 * 4 * LENGTH, "warmup_steps": 0, "initializer_range": 0.2}


def falling(config: MultiTokenKind) -> dict[str, Any]:
    return {**config.model_dump(mode="json"), **FALLING}


def values(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def decoder_of(config: MultiTokenKind | None, **changes: object) -> Decoder:
    """Return a decoder, with what predicts further tokens beside it."""
    model = small_training(initializer_range=0.3, **changes).model
    made = Decoder(model, VOCAB_SIZE)
    made.multi_token = None if config is None else Predictor(config, model)
    weights = initial_weights(model, VOCAB_SIZE, 0) | first_further_weights(config, model, 0)
    made.load_state_dict(weights, assign=True)
    return made


def step_of(samples: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Return tokens with ends of documents, targets with gaps, and what each token counts."""
    whole = torch.randint(0, END, (samples, LENGTH + 1), generator=torch.Generator().manual_seed(1))
    whole[0, 6] = whole[1, 9] = whole[1, 3] = END
    targets = whole[:, 1:].clone()
    targets[2, 4:7] = -1
    return whole[:, :-1], targets, values(samples, LENGTH, seed=2).abs()


def plain(model: Decoder, config: MultiTokenKind, tokens: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the loss of further tokens as the papers write it, position by position."""
    predictor, body = model.multi_token, model.model
    assert predictor is not None
    cos, sin = rotary(model.config, LENGTH, torch.device("cpu"))
    allowed = own_document(tokens, END)
    x, states = F.embedding(tokens, body.embed_tokens.weight), list[Tensor]()
    for layer in body.layers:
        x, _ = layer(x, cos, sin, allowed, recompute=False, limited=False)
        states.append(x)

    def normed(value: Tensor, weight: Tensor) -> Tensor:
        return value * (value.square().mean(dim=-1, keepdim=True) + model.config.norm_eps).rsqrt() * weight

    @cache
    def predicting(sample: int, ahead: int) -> Tensor:
        """Return what predicts the token `ahead` places behind each of a sample's that has so many behind it."""
        whole, behind = slice(sample, sample + 1), LENGTH - ahead + 1
        match config:
            case Heads():
                head = predictor.layers[ahead - 2].block
                made, _ = head(states[-2][whole], cos, sin, allowed[whole], recompute=False, limited=False)
                return normed(made[0, :behind], body.norm.weight)
            case Sequential():
                state = states[-1][whole]
                for number in range(ahead - 1):
                    block, here = predictor.layers[number], LENGTH - number - 1
                    token = body.embed_tokens.weight[tokens[whole, number + 1 :]]
                    both = [normed(state[:, :here], block.own["state_norm"].weight)]
                    both.append(normed(token, block.own["token_norm"].weight))
                    joined = torch.cat(both, dim=-1) @ block.own["projection"].weight.T
                    mask = allowed[whole, :, :here, :here]
                    state, _ = block.block(joined, cos[:here], sin[:here], mask, recompute=False, limited=False)
                return normed(state[0], block.own["output_norm"].weight)
            case Future():
                first, last, rows = predictor.layers[0], predictor.layers[-1], list[Tensor]()
                for place in range(behind):
                    vector = normed(states[-1][sample, place], first.own["state_norm"].weight)
                    pseudo = (first.own["projection"].weight @ vector).view(config.pseudo_tokens, -1)
                    told = body.embed_tokens.weight[tokens[sample, place + 1 : place + ahead]]
                    rows.append(torch.cat([pseudo, told]))
                made = torch.stack(rows)
                own = rotary(model.config, made.shape[1], torch.device("cpu"))
                for block in predictor.layers:
                    made, _ = block.block(made, *own, None, recompute=False, limited=False)
                return normed(made[:, -1], last.own["output_norm"].weight)

    losses = list[Tensor]()
    for sample in range(len(tokens)):
        for place in range(LENGTH):
            for number, ahead in enumerate(method(config).places(config)):
                label = place + ahead - 1
                if label >= LENGTH or targets[sample, label] < 0 or END in tokens[sample, place + 1 : label + 1]:
                    continue
                scores = predicting(sample, ahead)[place] @ model.output.T
                counts = weights[sample, label] * config.weight * config.decay**number
                losses.append(counts * F.cross_entropy(scores, targets[sample, label]))
    return torch.stack(losses).sum()


@BY_KIND
def test_the_gradient_is_that_of_a_plain_sum_over_positions_in_both_engines(config: MultiTokenKind) -> None:
    tokens, targets, weights = step_of()
    model, scoring = decoder_of(config), Scoring(END, True, None, config.weight)
    named = dict(model.named_parameters())
    total, each = model(tokens, targets_BT=targets, scoring=scoring, weights_BT=weights)
    ours = torch.autograd.grad(total, [*named.values()])
    alone, nats = model(tokens, targets_BT=targets, scoring=Scoring(END, True), weights_BT=weights)
    # What is recorded are the nats of the model alone.
    assert torch.equal(total, alone) and torch.equal(each, nats)
    theirs = torch.autograd.grad(alone + plain(model, config, tokens, targets, weights), [*named.values()])
    for name, one, other in zip(named, ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=2e-4, msg=lambda told, name=name: f"{name}: {told}")
    layout = layout_of(model.config, VOCAB_SIZE, config)
    rows_NW = torch.stack([layout.row({name: one.detach() for name, one in named.items()})] * 2)
    pairs = torch.stack([tokens, targets], dim=1).expand(2, -1, -1, -1)
    for at_once in (False, True):
        total_NW, nats_NS = torch.full_like(rows_NW, 7.0), torch.empty(2, len(tokens))
        given = (layout, rows_NW, rows_NW.clone(), pairs, total_NW, nats_NS)
        more = {"scoring": scoring, "weights_NST": weights.expand(2, -1, -1), "at_once": at_once}
        with torch.no_grad():
            gradient_and_nats(*given, **more)  # type: ignore[arg-type]
        for found in total_NW:
            for name, one in layout.named(found).items():
                torch.testing.assert_close(one, ours[[*named].index(name)], atol=2e-4, rtol=2e-4)
        torch.testing.assert_close(total_NW[:, layout.parameters], total.detach().expand(2))


@BY_KIND
def test_with_a_weight_of_0_the_gradient_of_the_model_is_the_baselines_to_the_bit(config: MultiTokenKind) -> None:
    tokens, targets, weights = step_of()
    gradients = []
    for one in (None, config):
        model = decoder_of(one)
        named, scoring = dict(model.named_parameters()), Scoring(END, True)
        total, _ = model(tokens, targets_BT=targets, scoring=scoring, weights_BT=weights)
        found = torch.autograd.grad(total, [*named.values()], allow_unused=True)
        assert all((slope is None) == name.startswith("multi_token.") for name, slope in zip(named, found, strict=True))
        layout = layout_of(model.config, VOCAB_SIZE, one)
        rows_NW = layout.row({name: weight.detach() for name, weight in named.items()})[None]
        total_NW = torch.full_like(rows_NW, 7.0)
        given = (layout, rows_NW, rows_NW.clone(), torch.stack([tokens, targets], dim=1)[None], total_NW)
        with torch.no_grad():
            gradient_and_nats(*given, torch.empty(1, 3), at_once=False, scoring=scoring, weights_NST=weights[None])
        assert not total_NW[0, layout.of_model : layout.parameters].any()
        gradients.append([*[slope for slope in found if slope is not None], total_NW[0, : layout.of_model]])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def test_a_label_ahead_is_the_token_so_far_behind_and_counts_what_it_counts_as_the_next_one() -> None:
    tokens = torch.arange(8)[None]
    targets, weights = tokens + 1, torch.arange(8.0)[None]
    targets[0, 3] = -1
    labels, counts = labels_ahead(tokens, targets, weights, 3, None)
    assert labels.tolist() == [[3, 0, 5, 6, 7, 8]] and counts.tolist() == [[2, 0, 4, 5, 6, 7]]
    # Token 4 ends a document, and is predicted from its document; what stands behind it is not.
    _, counts = labels_ahead(tokens, targets, None, 2, 4)
    assert counts.tolist() == [[1, 1, 0, 0, 1, 1, 1]]
    assert labels_ahead(tokens, targets, None, 9, None)[1].shape == (1, 0)


def periodic(samples: int) -> Tensor:
    """Return rows of a period of 11 tokens: what stands how far behind a token is known from it."""
    return (torch.arange(LENGTH + 1) + torch.arange(samples)[:, None]) % 11 * 5


@BY_KIND
def test_what_predicts_further_tokens_learns_a_text_in_which_they_are_known(config: MultiTokenKind) -> None:
    model, rows = decoder_of(config, num_layers=2), periodic(11)
    for step in range(40):
        total, _ = model(rows[:, :-1], targets_BT=rows[:, 1:], scoring=Scoring(further=1.0))
        slopes = torch.autograd.grad(total, [*model.parameters()])
        for weight, slope in zip(model.parameters(), slopes, strict=True):
            weight.data.sub_(0.02 * (1 - step / 40) * slope.sign())
    heard = list[tuple[Tensor, Tensor]]()

    def listen(predictor: Predictor, given: tuple[Any, ...]) -> None:
        trunk = given[0]
        for place, hidden in zip(
            predictor.method.places(config), predictor.method.predicted(config, [*predictor.layers], trunk), strict=True
        ):
            labels, _ = labels_ahead(trunk.tokens_BT, trunk.targets_BT, None, place, None)
            assert torch.equal(labels, rows[:, place:])
            heard.append(((hidden[:, : labels.shape[1]] @ model.output.T).argmax(dim=-1), labels))

    assert model.multi_token is not None
    model.multi_token.register_forward_pre_hook(listen)
    model(rows[:, :-1], targets_BT=rows[:, 1:], scoring=Scoring(further=1.0))
    assert len(heard) == len(method(config).places(config))
    assert all((found == labels).float().mean() > 0.95 for found, labels in heard)


def test_weights_change_at_their_steps_and_steps_in_which_they_count_are_those_above_0() -> None:
    changes = ({"from_fraction": 0.2, "weight": 0.1}, {"from_fraction": 0.5, "over_fraction": 0.4, "weight": 0.0})
    config = FurtherTokens.model_validate({"weight": 0.3, "changes": changes})
    found = [config.weight_at(step, 10) for step in range(10)]
    assert found == pytest.approx([0.3, 0.3, 0.1, 0.1, 0.1, 0.075, 0.05, 0.025, 0.0, 0.0])
    for first in range(10):
        for stop in range(first + 1, 11):
            assert config.trained_steps(10, first, stop) == sum(one > 0 for one in found[first:stop])
    late = FurtherTokens(weight=0.0, changes=(WeightChange(from_fraction=0.4, weight=1.0),))
    assert late.trained_steps(10, 0, 10) == 6 and late.trained_steps(10, 3, 5) == 1


@BY_KIND
def test_parameters_and_operations_are_counted_apart_and_while_they_train(config: MultiTokenKind) -> None:
    training, dense = small_training(multi_token=falling(config), **FEW), small_training(**FEW)
    shapes = all_shapes(config, training.model, VOCAB_SIZE)
    numbers = {name: torch.Size(shape).numel() for name, shape in shapes.items()}
    extra = sum(size for name, size in numbers.items() if name.startswith("multi_token."))
    assert num_further_parameters(training) == extra and num_parameters(training.model, VOCAB_SIZE)[0] + extra == sum(
        numbers.values()
    )
    each = further_flops_per_token(training, training.model, VOCAB_SIZE)
    assert num_flops(training, VOCAB_SIZE) - num_flops(dense, VOCAB_SIZE) == 6 * 4 * LENGTH * each
    bytes_of = partial(needed_bytes, vocab_size=VOCAB_SIZE, shards=1, sequences=1)
    # Weights twice, gradients for a tree of two micro-batches, and two numbers of AdamW's.
    assert bytes_of(training) - bytes_of(dense) == (4 + 4 + 4 * 2 + 8) * extra
    spec = small_spec(multi_token=falling(config), **FEW)
    assert flops_of(spec, VOCAB_SIZE, 0, 8) == num_flops(training, VOCAB_SIZE)
    assert flops_of(spec, VOCAB_SIZE, 6, 8) == flops_of(small_spec(**FEW), VOCAB_SIZE, 6, 8)
    # A head is a layer, and an output layer more to multiply with.
    one_head = further_flops_per_token(small_training(multi_token=Heads(num_tokens=2)), training.model, VOCAB_SIZE)
    wider = training.model.model_copy(update={"num_layers": training.model.num_layers + 1})
    layer = flops_per_token(wider, VOCAB_SIZE) - flops_per_token(training.model, VOCAB_SIZE)
    assert one_head == layer + 6 * VOCAB_SIZE * training.model.hidden_size
