"""Elastic weight consolidation: its gradient is the formula, lambda 0 is the baseline, and a run has its start's anchor."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F  # noqa: N812 (its usual name)

from tasks.core.errors import ConfigError
from tasks.core.handles import Handle
from tasks.core.results import Here
from tasks.runtime.files import file_handle, folder_tree
from tasks.tokenize.pool import TokenPool
from tasks.training.data import run_data
from tasks.training.ewc.anchor import ANCHOR_FILE, anchor_of
from tasks.training.ewc.fisher import fisher, samples_of
from tasks.training.ewc.params import EarlierDomain, Ewc
from tasks.training.ewc.unit import AnchorArgs, anchor
from tasks.training.measure import bits_per_byte
from tasks.training.model import initial_model
from tasks.training.parallel.ddp import Ddp
from tasks.training.parallel.fsdp import Fsdp
from tasks.training.params import TrainParams
from tasks.training.published import TrainedRuns
from tasks.training.result import RunResult
from tasks.training.run import train
from tasks.training.stacked import train_stacked
from tasks.training.types import RunSpec
from tests.training.conftest import LENGTH, VOCAB_SIZE, make_pool, small_spec, small_training
from tests.training.test_branches import EARLY, stage
from tests.training.test_starts import inputs, trained

__all__ = ["inputs"]
STEP = 4 * LENGTH
ALPHA = (EarlierDomain(domain="alpha", weight=1.0),)
GAMMA = (0.0, 0.0, 1.0)
CONSTANT: dict[str, Any] = {"schedule": {"kind": "wsd", "decay_fraction": 0.0}}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pool."""
    folder = tmp_path_factory.mktemp("ewc")
    make_pool(folder / "pool")
    return folder


@pytest.fixture(scope="module")
def learnt(place: Path) -> tuple[TokenPool, RunResult]:
    """The pool, and a model that has learnt its first domain."""
    from tasks.tokenize.pool import read_pool

    pool = read_pool(place / "pool")
    return pool, train(small_spec((1.0, 0.0, 0.0), num_tokens=24 * STEP, **CONSTANT), pool)


@pytest.fixture(scope="module")
def held(place: Path, learnt: tuple[TokenPool, RunResult]) -> Handle:
    """What the unit makes of the model: its weights and their Fisher information."""
    from safetensors.torch import save_file

    from tasks.training.branches import Milestone

    save_file({name: one.clone() for name, one in learnt[1].model.weights.items()}, place / "state.safetensors")
    state = file_handle(place / "state.safetensors")
    config = Ewc(strength=0.0, tokens=32 * LENGTH, earlier=ALPHA)
    args = AnchorArgs(config, small_training().model, folder_tree(place / "pool"), milestone=Milestone(state, state))
    anchor(args, Here(place))
    return file_handle(place / ANCHOR_FILE)


def spec_of(held: Handle, strength: float, **changes: Any) -> RunSpec:
    ewc = Ewc(strength=strength, tokens=32 * LENGTH, earlier=ALPHA)
    return replace(small_spec(GAMMA, **{"num_tokens": 10 * STEP, "ewc": ewc, **CONSTANT, **changes}), anchor=held)


def test_the_information_is_the_mean_squared_gradient_of_samples_over_their_tokens(pool: TokenPool) -> None:
    model, config = initial_model(small_training().model, VOCAB_SIZE, 3), Ewc(strength=1, tokens=48, earlier=ALPHA)
    samples = [*samples_of(config, small_training().model, pool)]
    assert [tuple(one.shape) for one in samples] == [(1, 2, LENGTH)] * 3
    found = fisher(model, iter(samples))
    sums = {name: torch.zeros_like(weight) for name, weight in model.weights.items()}
    for pairs in samples:
        logits = model(pairs[:, 0])[0] @ model.output.T
        nats = F.cross_entropy(logits, pairs[0, 1], reduction="sum")
        names, weights = zip(*model.named_parameters(), strict=True)
        for name, slope in zip(names, torch.autograd.grad(nats, weights), strict=True):
            sums[name] += slope**2 / (3 * LENGTH)
    for name, one in found.items():
        torch.testing.assert_close(one, sums[name], rtol=1e-4, atol=1e-7)
        assert float(one.sum()) > 0
    again = fisher(
        initial_model(small_training().model, VOCAB_SIZE, 3), samples_of(config, small_training().model, pool)
    )
    assert all(torch.equal(again[name], one) for name, one in found.items())


def test_the_gradient_of_the_penalty_is_strength_times_information_times_distance(held: Handle) -> None:
    found = anchor_of(spec_of(held, 3.0), "cpu")
    assert found is not None
    moved = {name: (one + torch.randn(one.shape)).requires_grad_() for name, one in found.weights.items()}
    penalty = sum((found.fisher[name] * (one - found.weights[name]) ** 2).sum() for name, one in moved.items())
    slopes = torch.autograd.grad(3.0 / 2 * penalty, list(moved.values()))
    ours = {name: torch.ones_like(one) for name, one in moved.items()}
    found.pull(ours, {name: one.detach() for name, one in moved.items()})
    for (name, one), slope in zip(ours.items(), slopes, strict=True):
        torch.testing.assert_close(one, slope + 1, msg=name)


@pytest.mark.parametrize("parallel", [None, Ddp(), Fsdp()])
def test_no_strength_is_the_baseline_to_the_bit_and_both_engines_agree(
    learnt: tuple[TokenPool, RunResult], held: Handle, parallel: Ddp | Fsdp | None
) -> None:
    pool, base = learnt
    start = base.model.weights

    def made(spec: RunSpec) -> RunResult:
        return train(spec, pool, initial={name: one.clone() for name, one in start.items()})

    plain = made(replace(spec_of(held, 0.0, parallel=parallel, ewc=None), anchor=None))
    nothing, some = made(spec_of(held, 0.0, parallel=parallel)), made(spec_of(held, 300.0, parallel=parallel))
    assert nothing.losses == plain.losses
    assert all(torch.equal(nothing.model.weights[name], one) for name, one in plain.model.weights.items())
    # At the start the penalty pulls nowhere, and what is recorded are the nats alone.
    assert some.losses[:2] == plain.losses[:2] and some.losses[2] != plain.losses[2]
    stacked = made(spec_of(held, 300.0))
    assert some.losses == pytest.approx(stacked.losses, abs=1e-4)


def test_the_stronger_the_penalty_the_less_is_forgotten(learnt: tuple[TokenPool, RunResult], held: Handle) -> None:
    pool, base = learnt
    specs = [replace(spec_of(held, strength), name=f"run-{strength}") for strength in (0.0, 30.0, 3000.0)]
    before, ends = bits_per_byte(base.model, pool, "search")["alpha"], []
    for spec in specs:
        result = train(spec, pool, initial={name: one.clone() for name, one in base.model.weights.items()})
        ends.append(bits_per_byte(result.model, pool, "search")["alpha"] - before)
    assert ends[0] > ends[1] > ends[2] and ends[0] - ends[2] > 0.3


@pytest.mark.parametrize("parallel", [None, Ddp()])
def test_a_killed_run_is_held_near_to_the_same_weights(
    learnt: tuple[TokenPool, RunResult], held: Handle, tmp_path: Path, parallel: Ddp | None
) -> None:
    pool, start = learnt[0], learnt[1].model.weights
    spec = spec_of(held, 300.0, parallel=parallel, checkpoint_every_steps=2)
    whole = train(spec, pool, initial={name: one.clone() for name, one in start.items()})

    def die(step: int, numbers: object) -> None:
        if step == 5:
            raise KeyboardInterrupt

    initial = {name: one.clone() for name, one in start.items()}
    with pytest.raises(KeyboardInterrupt):
        train(spec, pool, checkpoints=tmp_path, initial=initial, on_step=die)
    resumed = train(spec, pool, checkpoints=tmp_path, initial=initial)
    assert resumed.losses == whole.losses
    assert all(torch.equal(resumed.model.weights[name], one) for name, one in whole.model.weights.items())


def test_the_stage_estimates_once_for_all_strengths_and_branches_have_their_own(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    base = trained(inputs, tmp_path, "base")
    start = {"kind": "checkpoint", "folder": str(base), "run": "by-hand-seed0"}
    ewc = {"strength": 300.0, "tokens": 8 * LENGTH}
    few = {"num_tokens": 6 * STEP, "milestone_every_steps": 3}
    own = {"name": "late", "step": 3, "stages": [stage(EARLY, 2)], "ewc": ewc | {"strength": 1e4}}
    same = {"name": "same", "step": 3, "stages": [{"tokens": 3 * STEP, "weights": {"alpha": 0.5, "beta": 0.5}}]}
    recipe = json.loads(inputs["recipe"].read_text(encoding="utf-8"))
    recipe["stages"] = [recipe["stages"][0] | {"tokens": 3 * STEP}] * 2
    inputs["recipe"].write_text(json.dumps(recipe), encoding="utf-8")
    asked = {"start": start, "training": small_training(ewc=ewc, **few), "branches": [own, same]}
    runs = {one.name: one for one in TrainedRuns.read(trained(inputs, tmp_path, "held", **asked)).runs}
    # What follows in the trunk, held near to what the trunk is, is the trunk.
    assert runs["same-seed0"].weights_digest == runs["by-hand-seed0"].weights_digest
    made = sorted(path.name for path in (tmp_path / "store/train.anchor").iterdir())
    weaker = asked | {"training": small_training(ewc=ewc | {"strength": 1.0}, **few), "branches": []}
    (run,) = TrainedRuns.read(trained(inputs, tmp_path, "weaker", **weaker)).runs
    assert run.weights_digest != runs["by-hand-seed0"].weights_digest
    assert sorted(path.name for path in (tmp_path / "store/train.anchor").iterdir()) == made and len(made) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, r"training\.ewc holds weights near to those of a start, and runs begin with new ones"),
        (
            {"start": {"kind": "hugging_face", "folder": "x"}, "ewc": {"tokens": 40}},
            r"ewc\.tokens 40 are no whole number",
        ),
        ({"ewc": {"earlier": [{"domain": "a", "weight": 0.4}]}}, r"ewc\.earlier: the weights sum to 0\.4"),
    ],
)
def test_what_is_no_penalty_is_refused_with_the_params(changes: dict[str, Any], message: str) -> None:
    values = dict(changes)
    ewc = {"strength": 1.0, "tokens": 64, **values.pop("ewc", {})}
    training = small_training().model_dump() | {"ewc": ewc}
    with pytest.raises(ValueError, match=message):
        TrainParams.model_validate({"training": training, **values})


def test_a_penalty_on_what_the_pool_has_not_or_nobody_knows_is_refused_before_the_first_step(
    inputs: dict[str, Path], tmp_path: Path, pool: TokenPool
) -> None:
    base = trained(inputs, tmp_path, "base")
    known = {"kind": "checkpoint", "folder": str(base), "run": "by-hand-seed0"}
    unknown = {"kind": "hugging_face", "folder": str(base / "export")}
    for start, ewc, message in (
        (unknown, {"tokens": 64}, r"nobody knows what the model of the start was trained on\. Name ewc\.earlier"),
        (known, {"tokens": 64, "earlier": [{"domain": "delta", "weight": 1.0}]}, "1 of 1 earlier domains are not in"),
        (known, {"tokens": 9600}, r"more than 1 times(.|\n)*Lower ewc\.tokens"),
    ):
        training = small_training(ewc={"strength": 1.0, **ewc}, milestone_every_steps=6)
        with pytest.raises(ConfigError, match=message):
            trained(inputs, tmp_path, "refused", start=start, training=training)
    spec = small_spec(ewc=Ewc(strength=1.0, tokens=64, earlier=ALPHA))
    for run in (lambda: train(spec, pool), lambda: train_stacked([spec], pool)):
        with pytest.raises(
            ConfigError, match=r"small: training\.ewc holds weights near to those of a start, and this run"
        ):
            run()
    assert run_data(spec, pool).num_samples == 48
