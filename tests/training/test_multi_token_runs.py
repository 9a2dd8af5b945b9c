"""Runs that are trained on further tokens: one run in both engines, killed or stacked, and a model that has none of it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from tasks.core.errors import ConfigError
from tasks.core.manifest import Manifest
from tasks.tokenize.pool import TokenPool, read_pool
from tasks.training.checkpoint import read
from tasks.training.data_config import DataConfig
from tasks.training.losses.z_loss import ZLoss
from tasks.training.model import initial_weights
from tasks.training.model_size import num_flops, num_parameters
from tasks.training.multi_token.cost import num_further_parameters
from tasks.training.multi_token.kinds import MultiTokenKind
from tasks.training.multi_token.predictor import all_shapes
from tasks.training.objectives.lin_upper import LinUpper
from tasks.training.optimizers.muon import Muon
from tasks.training.parallel.ddp import Ddp
from tasks.training.published_run import read_losses
from tasks.training.run import train
from tasks.training.stacked import train_stacked
from tasks.training.static_mask import StaticMask
from tasks.training.transforms.goldfish import Goldfish
from tasks.training.types import Phase, Trunk
from tests.training.conftest import LENGTH, VOCAB_SIZE, small_spec, small_training
from tests.training.products import products_of
from tests.training.test_branches import EARLY, LATE, STEP, inputs, params, stage, trained  # noqa: F401 (a fixture)
from tests.training.test_multi_token import BY_KIND, FEW, KINDS, falling

# Widths that fill no vector register: the second run of a stack does not begin on a cache line.
UNEVEN: dict[str, object] = {
    **{"hidden_size": 28, "num_heads": 2, "num_kv_heads": 2, "intermediate_size": 37},
    **{"sequence_length": 5, "sequences_per_step": 3, "micro_batches": 1},
}


@BY_KIND
def test_both_engines_give_one_run_and_a_kill_across_a_change_of_the_weight_leaves_no_trace(
    pool: TokenPool, tmp_path: Path, config: MultiTokenKind
) -> None:
    runs = []
    for parallel in (None, Ddp()):
        spec = small_spec(multi_token=falling(config), parallel=parallel, checkpoint_every_steps=3, **FEW)

        def die(step: int, numbers: object) -> None:
            if step == 5:
                raise KeyboardInterrupt

        runs.append(train(spec, pool))
        kept = tmp_path / str(len(runs))
        with pytest.raises(KeyboardInterrupt):
            train(spec, pool, checkpoints=kept, on_step=die)
        tensors, _ = read(kept, 3)
        shapes = all_shapes(spec.training.multi_token, spec.training.model, VOCAB_SIZE)
        assert {name: tuple(one.shape) for name, one in tensors.items() if "/" not in name} == shapes
        resumed = train(spec, pool, checkpoints=kept)
        assert resumed.losses == runs[-1].losses
        assert all(torch.equal(resumed.model.weights[name], one) for name, one in runs[-1].model.weights.items())
    assert runs[1].losses == pytest.approx(runs[0].losses, abs=1e-4) and runs[1].ledger == runs[0].ledger
    baseline = train(small_spec(**FEW), pool)
    assert runs[0].losses[0] == baseline.losses[0] and runs[0].losses != pytest.approx(baseline.losses, abs=1e-4)
    assert runs[0].model.weights.keys() == baseline.model.weights.keys()


@pytest.mark.parametrize(
    ("config", "precision"), [(KINDS[0], "bfloat16"), (KINDS[1], "float32"), (KINDS[2], "bfloat16")]
)
def test_in_a_stack_each_run_asks_for_the_products_and_has_the_bits_that_it_has_alone(
    pool: TokenPool, config: MultiTokenKind, precision: str
) -> None:
    few = {**UNEVEN, "num_tokens": 3 * 15, "warmup_steps": 0, "multi_token": config, "precision": precision}
    specs = [small_spec(weights, seed, **few) for weights, seed in (((0.5, 0.3, 0.2), 0), ((0.1, 0.1, 0.8), 1))]
    for one, spec in zip(train_stacked(specs, pool), specs, strict=True):
        alone = train(spec, pool)
        assert not isinstance(one, Exception) and one.losses == alone.losses
        assert all(torch.equal(one.model.weights[name], weight) for name, weight in alone.model.weights.items())
    if precision == "float32":
        once, twice = (products_of(lambda count=count: train_stacked(specs[:1] * count, pool)) for count in (1, 2))
        assert twice == {product: 2 * times for product, times in once.items()}


@BY_KIND
def test_both_engines_agree_beside_whatever_else_makes_a_token_or_a_weight_count(
    pool: TokenPool, config: MultiTokenKind
) -> None:
    more: dict[str, object] = {
        "loss": ZLoss(weight=0.1),
        "objective": LinUpper(burn_in_steps=1),
        "data": DataConfig(transform=Goldfish(context_tokens=3), document_mask=True),
        "static_mask": StaticMask(sparsity=0.5),
        "method": Muon(),
        "num_tokens": 4 * 4 * LENGTH,
    }
    stacked, spread = (
        train(small_spec(**{**FEW, **more, "multi_token": each, "parallel": parallel}), pool)
        for each, parallel in ((config, None), (config, Ddp()))
    )
    assert spread.losses == pytest.approx(stacked.losses, abs=1e-4)
    for name, weight in stacked.model.weights.items():
        torch.testing.assert_close(spread.model.weights[name], weight, rtol=0, atol=2e-3)


HEADS = {"kind": "heads", "num_tokens": 2}


@pytest.mark.parametrize(
    ("multi_token", "changes", "told"),
    [
        (
            {**HEADS, "shared_layers": 3},
            {},
            "share 3 layers of a model that has 2; set shared_layers to a number from 1",
        ),
        (HEADS, {"num_layers": 1}, "share 0 layers of a model that has 1"),
        ({"kind": "heads", "num_tokens": 16}, {}, "predicts 16 tokens ahead, and samples have 16"),
        (HEADS, {"experts": {"num_experts": 4, "num_active": 2}}, "multi_token is not worked out for model.experts"),
        (HEADS, {"mup": {"base_hidden_size": 8}}, "multi_token is not worked out for mup"),
        (
            {**HEADS, "changes": [{"from_fraction": 0.5, "over_fraction": 0.3, "weight": 0}] * 2},
            {},
            r"changes.1 begins at 0.5 of the run, within or before the change that ends at 0.8",
        ),
        (
            {**HEADS, "changes": [{"from_fraction": 0.9, "over_fraction": 0.3, "weight": 0}]},
            {},
            "changes.0 ends at 1.2 of the run, behind its end",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_by_name(
    multi_token: dict[str, object], changes: dict[str, object], told: str
) -> None:
    with pytest.raises(ValidationError, match=told):
        small_training(multi_token=multi_token, **changes)


def test_what_is_published_is_the_model_alone_and_only_a_branch_goes_on_with_the_rest(
    inputs: dict[str, Path],  # noqa: F811
    tmp_path: Path,
) -> None:
    training = small_training(multi_token=HEADS, milestone_every_steps=6)
    asked = params({"name": "same", "step": 6, "stages": [stage(LATE)]}, training=training)
    runs, _ = trained(asked, inputs, tmp_path)
    told, folder = runs["trunk-seed0"], tmp_path / "train"
    assert runs["same-seed0"].weights_digest == told.weights_digest
    names = initial_weights(training.model, VOCAB_SIZE, 0).keys()
    for place in (folder / told.folder, folder / "export"):
        assert load_file(place / "model.safetensors").keys() == names
    assert told.parameters == num_parameters(training.model, VOCAB_SIZE)[0]
    assert told.flops == num_flops(training, VOCAB_SIZE) > num_flops(small_training(), VOCAB_SIZE)
    summary, further = Manifest.read(folder).summary, num_further_parameters(training)
    assert summary["parameters_for_training_only"] == further
    assert summary["optimizer_state_bytes"] == 8 * (told.parameters + further)
    state = load_file(folder / told.folder / "milestones/step-000000006/state.safetensors")
    assert {*state} > {*all_shapes(training.multi_token, training.model, VOCAB_SIZE)}
    start = {"kind": "checkpoint", "folder": str(folder), "run": told.name, "step": 6, "with_optimizer": True}
    other, _ = trained(params(start=start), inputs, tmp_path / "plain")
    phases = tuple(Phase(6 * STEP, tuple(weights)) for weights in (EARLY, LATE))
    again = train(replace(small_spec(), phases=phases, optimizer_steps=6), read_pool(inputs["tokenize"]), initial=state)
    assert list(read_losses(tmp_path / "plain/train" / other["trunk-seed0"].folder)) == list(again.losses)
    with pytest.raises(ConfigError, match="multi_token trains weights beside it, which no start has"):
        trained(params(start=start, training=training), inputs, tmp_path / "further")


def test_a_branch_predicts_the_tokens_that_its_trunk_did() -> None:
    with pytest.raises(ConfigError, match="multi_token differ from those of small"):
        replace(small_spec(multi_token=HEADS), trunk=Trunk(small_spec(), 6))
