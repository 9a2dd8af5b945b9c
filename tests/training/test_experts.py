"""Sparse experts: who a token goes to, how use is balanced over a whole step, what is dropped and told."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from tasks.core.errors import ConfigError
from tasks.tokenize.pool import TokenPool
from tasks.training.checkpoint import read
from tasks.training.experts.balance import balance, next_coefficients, shares
from tasks.training.experts.top_k import Adaptive, Balance, Gate, TopK, mixed, probabilities
from tasks.training.experts.use import expert_state, information
from tasks.training.model import Decoder, decoder, initial_weights
from tasks.training.model_size import flops_per_token, num_parameters
from tasks.training.parallel.ddp import Ddp
from tasks.training.parallel.fsdp import Fsdp
from tasks.training.run import train
from tasks.training.stacked import train_stacked
from tasks.training.types import Phase, RunSpec
from tests.training.conftest import LENGTH, VOCAB_SIZE, small_spec, small_training

FOUR = {"num_experts": 4, "num_active": 2}
FULL = {**FOUR, "capacity_factor": 1.0, "balance": {"coefficient": 0.5, "adaptive": {"most": 1.0}}}
FEW: dict[str, object] = {"num_tokens": 6 * 4 * LENGTH, "warmup_steps": 0, "initializer_range": 0.2}


def values(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def halves(number: int, rows: Tensor) -> Tensor:
    """An expert that can be told from the others."""
    return rows * (number + 1) + number


@pytest.mark.parametrize(("scale", "offset"), [(0.1, 3.0), (1.0, -10.0), (20.0, 5.0)])
def test_a_normalised_gate_does_not_feel_scale_and_offset_of_logits(scale: float, offset: float) -> None:
    logits = values(5, 6)
    expected, found = (probabilities(Gate(scale=2.0), each) for each in (logits, scale * logits + offset))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    plain = probabilities(Gate(normalised=False), logits)
    torch.testing.assert_close(plain, logits.softmax(dim=-1))
    assert not torch.allclose(plain, expected, atol=1e-3)


def test_a_gate_of_equal_logits_has_a_finite_slope_and_sends_tokens_to_the_first_experts() -> None:
    logits = torch.zeros(6, 4, requires_grad=True)
    out, routed = mixed(TopK(**FOUR), values(6, 3), logits, halves, 3, limited=True)
    out.sum().backward()
    assert logits.grad is not None and logits.grad.isfinite().all()
    assert routed.told_BX[:, :4].tolist() == [[3.0, 3.0, 0.0, 0.0]] * 2


@pytest.mark.parametrize("renormalised", [True, False])
def test_a_token_gets_the_weighted_sum_of_its_experts(renormalised: bool) -> None:
    config = TopK(num_experts=5, num_active=3, gate=Gate(renormalised=renormalised))
    x, logits = values(8, 4).requires_grad_(), values(8, 5, seed=1).requires_grad_()
    out, routed = mixed(config, x, logits, halves, 4, limited=True)
    gates = probabilities(config.gate, logits)
    best = gates.topk(3, dim=-1)
    weights = best.values / best.values.sum(dim=-1, keepdim=True) if renormalised else best.values
    made = torch.stack([halves(number, x) for number in range(5)], dim=1)
    expected = (made.gather(1, best.indices[:, :, None].expand(-1, -1, 4)) * weights[:, :, None]).sum(dim=1)
    torch.testing.assert_close(out, expected)
    ours_theirs = [torch.autograd.grad(each.square().sum(), (x, logits)) for each in (out, expected)]
    for ours, theirs in zip(*ours_theirs, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    told = routed.told_BX.detach()
    assert told[:, :5].sum(dim=1).tolist() == [12.0, 12.0] and told[:, 10].tolist() == [0.0, 0.0]
    torch.testing.assert_close(told[:, 5:10].sum(dim=0), routed.probability_E)
    top = gates.sort(dim=-1, descending=True).values.view(2, 4, 5)
    torch.testing.assert_close(told[:, 11:], torch.stack([(top[..., k] / top[..., k + 1]).sum(1) for k in (0, 1)], 1))


def test_an_expert_has_room_for_the_first_tokens_of_each_sample_and_none_depends_on_a_later_one() -> None:
    config = TopK(num_experts=4, num_active=2, capacity_factor=1.0)
    x, logits = values(16, 4), values(16, 4, seed=1) + torch.tensor([3.0, 0, 0, 0])
    out, routed = mixed(config, x, logits, halves, 8, limited=True)
    everyone, _ = mixed(config, x, logits, halves, 8, limited=False)
    assigned, dropped = routed.told_BX[:, :4], routed.told_BX[:, 8]
    assert dropped.tolist() == (assigned - 4).clamp(min=0).sum(dim=1).tolist() and dropped.min() > 0
    # The first four tokens of a sample have room everywhere.
    assert torch.equal(out.view(2, 8, 4)[:, :4], everyone.view(2, 8, 4)[:, :4]) and not torch.equal(out, everyone)
    changed = logits.clone().view(2, 8, 4)
    changed[:, 5:] = changed[:, 5:].flip(-1)
    again, _ = mixed(config, x, changed.view(16, 4), halves, 8, limited=True)
    assert torch.equal(again.view(2, 8, 4)[:, :5], out.view(2, 8, 4)[:, :5])


def test_coefficients_follow_the_drop_rate_and_without_drops_decay() -> None:
    config = TopK(**FOUR, capacity_factor=1.0, balance=Balance(adaptive=Adaptive()))
    first = torch.tensor([0.01, 0.004], dtype=torch.float64)
    coefficients = first
    for _ in range(20):
        coefficients = next_coefficients(config, coefficients, torch.zeros(2))
    torch.testing.assert_close(coefficients, first * 0.99**20)
    # 0.2 x 0.02 is below the cap, 0.2 x 0.9 is not.
    followed = next_coefficients(config, first, torch.tensor([0.9, 0.02], dtype=torch.float64))
    assert followed.tolist() == pytest.approx([0.01, 0.004])
    assert next_coefficients(TopK(**FOUR), first, torch.ones(2)) is first


def test_the_balance_is_1_where_all_experts_are_alike_and_num_experts_where_one_does_all() -> None:
    alike, one = torch.full((1, 4), 7.0), torch.tensor([[9.0, 0, 0, 0]])
    assert float(balance(shares(alike), shares(alike))) == 1.0
    assert float(balance(shares(one), shares(one))) == 4.0


def test_micro_batches_of_one_source_each_are_less_balanced_than_all_of_them() -> None:
    """A router that knows sources, and micro-batches of one source each: only over the global batch this is balance."""
    logits = torch.eye(4).repeat_interleave(2, dim=0) * 4
    gates = probabilities(Gate(), logits).view(4, 2, 4)
    assigned = F.one_hot(gates.argmax(dim=-1), 4).sum(dim=1).float()
    alone = [
        balance(shares(own[None]), part.mean(dim=0)[None]).item() for own, part in zip(assigned, gates, strict=True)
    ]
    together = balance(shares(assigned.sum(dim=0)[None]), gates.mean(dim=(0, 1))[None]).item()
    assert together == pytest.approx(1.0) and float(np.mean(alone)) > 1.5


def gradients(model: Decoder, step: Tensor, parts: int, config: TopK) -> tuple[list[float], list[Tensor]]:
    """Return the balance of each layer and the gradient of a step in so many parts, whoever makes them."""
    state = expert_state(small_training(experts=config), 1)
    assert state is not None
    looked = state.routing()
    for part in step.chunk(parts):
        with torch.no_grad():
            model(part[:, 0], routing=looked)
    told = looked.taken().double().sum(dim=0)
    routing = state.routing(state.shares(told) if state.needs_shares else None)
    for part in step.chunk(parts):
        total, _ = model(part[:, 0], targets_BT=part[:, 1], routing=routing)
        total.backward()
    found = [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]
    model.zero_grad()
    return balance(shares(told[:, :4]), shares(told[:, 4:8])).tolist(), found


def test_over_the_global_batch_balance_and_gradient_are_the_same_for_any_micro_batches() -> None:
    model_config = small_training(experts=FOUR, initializer_range=0.3).model
    model = decoder(model_config, VOCAB_SIZE, initial_weights(model_config, VOCAB_SIZE, 0))
    step = torch.randint(0, VOCAB_SIZE, (8, 2, LENGTH), generator=torch.Generator().manual_seed(0))
    found = {}
    for over in ("global_batch", "micro_batch"):
        config = TopK(**FOUR, balance=Balance(coefficient=5.0, over=over))  # type: ignore[arg-type]
        found[over] = [gradients(model, step, parts, config) for parts in (1, 2, 4, 8)]
    (value, whole), *others = found["global_batch"]
    for other, parts in others:
        assert other == pytest.approx(value, rel=1e-6)
        for one, each in zip(whole, parts, strict=True):
            torch.testing.assert_close(each, one, atol=2e-4, rtol=2e-4)
    assert any(not torch.allclose(a, b, atol=1e-2) for a, b in zip(whole, found["micro_batch"][2][1], strict=True))


@pytest.mark.parametrize("experts", [FULL, {**FOUR, "balance": {"over": "micro_batch", "coefficient": 0.5}}])
def test_both_engines_make_the_same_run_and_tell_the_same_of_it(pool: TokenPool, experts: dict[str, object]) -> None:
    one, *others = (
        train(small_spec(experts=experts, parallel=parallel, **FEW), pool)
        for parallel in (None, Ddp(), Fsdp(recompute_activations=True))
    )
    assert one.experts is not None
    for other in others:
        assert other.losses == pytest.approx(one.losses, abs=1e-4)
        assert other.experts is not None
        for ours, theirs in zip(one.experts.layers, other.experts.layers, strict=True):
            assert theirs.whole_drop_rate == pytest.approx(ours.whole_drop_rate, abs=0.02)
            assert theirs.balance == pytest.approx(ours.balance, abs=0.02)
    dropped = [layer.whole_drop_rate for layer in one.experts.layers]
    assert all(rate > 0.05 for rate in dropped) if "capacity_factor" in experts else dropped == [0.0, 0.0]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_stack_of_runs_with_experts_gives_each_the_bits_it_has_alone(pool: TokenPool, precision: str) -> None:
    options: dict[str, object] = {**FEW, "experts": FULL, "precision": precision}
    specs = [small_spec(weights, seed, **options) for weights, seed in (((0.5, 0.3, 0.2), 0), ((0.1, 0.1, 0.8), 1))]
    for one, spec in zip(train_stacked(specs, pool), specs, strict=True):
        alone = train(spec, pool)
        assert not isinstance(one, ConfigError) and one.losses == alone.losses and one.experts == alone.experts
        assert all(torch.equal(one.model.weights[name], weight) for name, weight in alone.model.weights.items())


class KilledError(Exception):
    """What a test throws into a run, where a kill would end it."""


@pytest.mark.parametrize("parallel", [None, Ddp()])
def test_a_killed_run_goes_on_with_its_coefficients_and_counts(
    pool: TokenPool, tmp_path: Path, parallel: Ddp | None
) -> None:
    spec = small_spec(experts=FULL, parallel=parallel, initializer_range=0.2, checkpoint_every_steps=3)
    straight = train(spec, pool)

    def die(step: int, numbers: object) -> None:
        if step == 8:
            raise KilledError

    with pytest.raises(KilledError):
        train(spec, pool, checkpoints=tmp_path, on_step=die)
    _, record = read(tmp_path, 6)
    assert len(set(record["experts"]["coefficients"]) - {0.5}) == 2
    resumed = train(spec, pool, checkpoints=tmp_path)
    assert resumed.losses == straight.losses and resumed.experts == straight.experts
    assert all(torch.equal(resumed.model.weights[name], one) for name, one in straight.model.weights.items())


def test_what_is_told_is_of_the_last_tenth_and_by_domain(pool: TokenPool) -> None:
    told = list[dict[str, float]]()
    run = train(
        small_spec(experts=FULL, num_tokens=20 * 4 * LENGTH),
        pool,
        on_step=lambda _, one: told.append(dict(one.experts)),
    )
    used = run.experts
    assert used is not None and (used.first_step, used.last_step) == (18, 19)
    for layer in used.layers:
        assert sum(domain.tokens for domain in layer.domains.values()) == 2 * 4 * LENGTH
        assert all(sum(domain.shares) == pytest.approx(1.0) for domain in layer.domains.values())
    assert len(told) == 20 and 0.8 < told[-1]["experts/balance"] < 4
    mean = float(np.mean([one["experts/drop_rate"] for one in told]))
    assert mean == pytest.approx(float(np.mean([layer.whole_drop_rate for layer in used.layers])))
    assert json.loads(used.text())["layers"][0]["domains"].keys() <= {"alpha", "beta", "gamma"}


def test_information_is_that_of_domain_and_expert() -> None:
    assert information(np.array([[5.0, 0.0], [0.0, 5.0]])) == pytest.approx(1.0)
    assert information(np.array([[5.0, 5.0], [1.0, 1.0]])) == pytest.approx(0.0)


def test_parameters_are_all_experts_and_operations_those_of_the_active_ones() -> None:
    model, dense = small_training(experts=FOUR).model, small_training().model
    one = 3 * dense.hidden_size * dense.intermediate_size
    router = 4 * dense.hidden_size
    assert num_parameters(model, 64)[0] - num_parameters(dense, 64)[0] == 2 * (3 * one + router)
    assert flops_per_token(model, 64) - flops_per_token(dense, 64) == 6 * 2 * (one + router)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"experts": {"num_experts": 4, "num_active": 5}}, "num_active 5 is more than num_experts 4"),
        ({"experts": {"num_experts": 2, "num_active": 2}}, "two normalised logits are always 1 and -1"),
        ({"experts": {"num_experts": 4, "num_active": 1}}, "the weight of one active expert"),
        ({"experts": {**FOUR, "gate": {"normalised": False, "scale": 2.0}}}, "gate.scale 2.0 is of normalised logits"),
        ({"experts": {**FOUR, "balance": {"adaptive": {}}}}, "without capacity_factor none is"),
        ({"experts": {"num_experts": 6, "num_active": 2, "capacity_factor": 1.0}}, "room for 5.33 tokens"),
        ({"experts": FOUR, "architecture": "qwen3"}, "experts go with Llama's attention"),
        ({"experts": FOUR, "mup": {"base_hidden_size": 8}}, "mup is not worked out for model.experts"),
        ({"experts": FOUR, "parallel": {"kind": "ddp", "compile": True}}, "parallel.compile does not go with"),
    ],
)
def test_what_does_not_go_together_is_refused_by_name(changes: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        small_training(**changes)


def test_a_stage_whose_samples_the_experts_do_not_divide_is_refused() -> None:
    training = small_training(experts={"num_experts": 8, "num_active": 2, "capacity_factor": 1.0})
    phases = [Phase(training.num_tokens // 2, (1.0,), sequence_length=length) for length in (None, 2)]
    with pytest.raises(ConfigError, match=r"phase 1: model.experts: capacity_factor 1.0 x 2 tokens"):
        RunSpec("longer", tuple(phases), 0, training)
