"""Teachers: what a run learns from other models, in which steps, and which models cannot teach it."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F  # noqa: N812 (its usual name)

from infra.storage import FolderStore
from tasks.core.errors import ConfigError
from tasks.runtime.context import Workshop
from tasks.tokenize.pool import TokenPool
from tasks.training.config import ModelConfig
from tasks.training.data import run_data
from tasks.training.export import read_model, write_model
from tasks.training.loss import scored
from tasks.training.losses.z_loss import ZLoss
from tasks.training.model import Scoring, initial_model, initial_weights
from tasks.training.parallel.ddp import Ddp
from tasks.training.params import TrainParams
from tasks.training.run import train
from tasks.training.schedules.cosine import Cosine
from tasks.training.stacked import train_stacked
from tasks.training.stacked_layout import layout_of
from tasks.training.stacked_model import gradient_and_nats
from tasks.training.stage import run, teachers_of
from tasks.training.step_losses import token_weights
from tasks.training.teachers.distillation import Distillation
from tasks.training.teachers.kinds import HuggingFaceTeacher
from tasks.training.teachers.soft_labels import SoftLabels
from tasks.training.types import RunSpec
from tests.in_process import InProcess, Listener
from tests.training.conftest import LENGTH, VOCAB_SIZE, make_pool, small_spec, small_training
from tests.training.test_stage import TOKENIZER, hand_written, sign

SALT: dict[str, Any] = {"weight": 0.6, "top_k": 5, "first_steps": 3}
FEW: dict[str, object] = {"num_tokens": 6 * 4 * LENGTH, "warmup_steps": 0}


def teacher(folder: Path, seed: int = 5, vocab_size: int = VOCAB_SIZE, **changes: object) -> HuggingFaceTeacher:
    """Write a narrow model that is sure of itself."""
    folder.mkdir(parents=True)
    model = small_training(**{"hidden_size": 8, "num_heads": 2, "initializer_range": 1.0, **changes}).model
    write_model(initial_model(model, vocab_size, seed), vocab_size - 1, folder)
    (folder / "tokenizer.json").write_text(json.dumps(TOKENIZER), encoding="utf-8")
    return HuggingFaceTeacher(kind="hugging_face", folder=str(folder))


def taught_spec(*teachers: HuggingFaceTeacher, distillation: dict[str, Any] = SALT, **changes: object) -> RunSpec:
    spec = small_spec(**{**FEW, "distillation": distillation, **changes})
    return replace(spec, teachers=teachers_of(teachers))


def rows(count: int, size: int) -> torch.Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(count + size))


@pytest.mark.parametrize("loss", [None, ZLoss(weight=0.3)])
@pytest.mark.parametrize(
    "config",
    [
        Distillation(weight=0.25),
        Distillation(weight=0.7, temperature=2.0, top_k=3),
        Distillation(weight=0.2, cross_entropy_weight=1.0),
    ],
)
def test_the_gradient_is_that_of_the_loss_mixed_with_the_divergence(config: Distillation, loss: ZLoss | None) -> None:
    hidden, output, targets = rows(300, 8).requires_grad_(), rows(31, 8).requires_grad_(), torch.arange(300) % 31
    counts, outputs = rows(300, 1)[:, 0].abs(), (rows(31, 6), rows(31, 4))
    labels = SoftLabels(config, (rows(300, 6), rows(300, 4)), outputs)
    total, each = scored(hidden, output, targets, loss, counts, labels)
    ours = torch.autograd.grad(total, (hidden, output))
    logits, warmth = hidden @ output.T, config.temperature
    entropies = F.cross_entropy(logits, targets, reduction="none")
    # What is recorded is the cross-entropy alone.
    assert torch.allclose(each, entropies, atol=1e-5)
    losses = entropies if loss is None else entropies + loss.weight * logits.logsumexp(dim=1) ** 2
    shares = sum((one @ out.T / warmth).softmax(dim=1) for one, out in zip(labels.hidden, outputs, strict=True)) / 2
    if config.top_k is not None:
        least = shares.sort(dim=1, descending=True).values[:, config.top_k - 1 : config.top_k]
        shares = torch.where(shares >= least, shares, 0.0)
        shares = shares / shares.sum(dim=1, keepdim=True)
    apart = warmth**2 * F.kl_div((logits / warmth).log_softmax(dim=1), shares, reduction="none").sum(dim=1)
    own = 1 - config.weight if config.cross_entropy_weight is None else config.cross_entropy_weight
    theirs = torch.autograd.grad(((own * losses + config.weight * apart) * counts).sum(), (hidden, output))
    for found, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_stack_of_a_gpu_learns_what_one_of_a_cpu_does() -> None:
    model = small_training(initializer_range=0.3).model
    layout = layout_of(model, VOCAB_SIZE)
    rows_NW = torch.stack([layout.row(initial_weights(model, VOCAB_SIZE, seed)) for seed in range(2)])
    pairs = torch.randint(0, VOCAB_SIZE, (2, 3, 2, LENGTH), generator=torch.Generator().manual_seed(0))
    pairs[:, :, 1, 4:7] = -1
    config, output = Distillation(weight=0.5, top_k=4), rows(VOCAB_SIZE, 6)
    soft_N = [SoftLabels(config, (rows(3 * LENGTH + own, 6)[own:],), (output,)) for own in range(2)]
    totals = []
    for at_once in (False, True):
        totals.append(torch.empty_like(rows_NW))
        given = (layout, rows_NW, rows_NW.clone(), pairs, totals[-1], torch.empty(2, 3))
        gradient_and_nats(*given, at_once=at_once, scoring=Scoring(gaps=True), soft_N=soft_N)
    torch.testing.assert_close(totals[0], totals[1], rtol=1e-4, atol=1e-4)


def test_both_engines_learn_the_same_from_teachers_and_a_run_its_own_in_a_stack(
    pool: TokenPool, tmp_path: Path
) -> None:
    two = [teacher(tmp_path / str(seed), seed) for seed in range(2)]
    spec, other = taught_spec(*two), replace(taught_spec(*two), name="other", seed=1)
    alone, beside = train(spec, pool), train_stacked([other, spec], pool)[1]
    spread = train(taught_spec(*two, parallel=Ddp()), pool)
    assert not isinstance(beside, Exception) and beside.losses == alone.losses
    assert all(torch.equal(beside.model.weights[name], one) for name, one in alone.model.weights.items())
    assert spread.losses == pytest.approx(alone.losses, abs=1e-4)
    plain, first = train(small_spec(**FEW), pool), train(taught_spec(two[0]), pool)
    assert alone.losses[0] == plain.losses[0] and abs(alone.losses[-1] - plain.losses[-1]) > 1e-3
    assert first.losses[-1] != alone.losses[-1]


@pytest.mark.parametrize(("parallel", "selected"), [(None, {}), (Ddp(), {}), (None, {"select_share": 0.5})])
def test_a_phase_ends_at_its_step_and_a_kill_there_changes_nothing(
    pool: TokenPool, tmp_path: Path, parallel: Ddp | None, selected: dict[str, float]
) -> None:
    one, config = teacher(tmp_path / "teacher"), SALT | selected
    spec = taught_spec(one, checkpoint_every_steps=1, parallel=parallel, distillation=config)
    whole, always = train(spec, pool), train(taught_spec(one, distillation=config | {"first_steps": None}), pool)
    if parallel is None:
        assert whole.losses[:4] == always.losses[:4] and whole.losses[4] != always.losses[4]

    def die(step: int, numbers: object) -> None:
        if step == SALT["first_steps"]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(spec, pool, checkpoints=tmp_path / "kept", on_step=die)
    resumed = train(spec, pool, checkpoints=tmp_path / "kept")
    assert resumed.losses == whole.losses
    assert all(torch.equal(resumed.model.weights[name], one) for name, one in whole.model.weights.items())


def test_a_run_that_is_its_own_teacher_has_nothing_to_learn(pool: TokenPool, tmp_path: Path) -> None:
    # The weights that a run of seed 0 begins with.
    own = teacher(tmp_path / "own", 0, hidden_size=16, num_heads=4, initializer_range=0.02)
    norms = []
    for weight in (1e-9, 1.0):
        spec = taught_spec(
            own, distillation={"weight": weight}, num_tokens=4 * LENGTH, schedule=Cosine(), warmup_steps=0
        )
        train(spec, pool, on_step=lambda _, numbers: norms.append(numbers.norm))
    assert norms[1] < 1e-4 * norms[0]


def test_a_teacher_selects_samples_that_cost_it_most_where_it_knows_the_token(pool: TokenPool, tmp_path: Path) -> None:
    one = teacher(tmp_path / "teacher")
    config = Distillation(weight=0.5, top_k=2, temperature=3.0, select_share=0.5)
    # Two rows: shares are 0.5, 0.3, 0.2 and 0.7, 0.2, 0.1.
    hidden, output = torch.tensor([[0.5, 0.3, 0.2], [0.7, 0.2, 0.1]]).log(), torch.eye(3)
    nats = SoftLabels(config, (hidden,), (output,)).learnable_nats(torch.tensor([1, 2]))
    assert nats.tolist() == pytest.approx([-math.log(0.3), 0.0])
    # A selection alone, with nothing to learn from the teacher.
    picked = {"weight": 1e-9, "top_k": 60, "select_share": 0.5}
    stack, ddp = (train(taught_spec(one, distillation=picked, parallel=each), pool) for each in (None, Ddp()))
    plain = train(taught_spec(one, distillation={"weight": 1e-9}), pool)
    assert ddp.losses == pytest.approx(stack.losses, abs=1e-4)
    # Losses are those of all samples.
    assert stack.losses[0] == plain.losses[0] and abs(stack.losses[-1] - plain.losses[-1]) > 1e-3


def test_the_chosen_samples_count_and_all_others_do_not(pool: TokenPool) -> None:
    spec = small_spec(**FEW, distillation={"weight": 0.5, "top_k": 3, "select_share": 0.5})
    data = run_data(spec, pool)
    given = (spec.training, data, data.read(0, 4), 0, None, 0, lambda one: one, torch.device("cpu"))
    found = token_weights(*given, torch.tensor([1.0, 3.0, 3.0, 2.0]))
    assert found is not None and found.shape == (4, LENGTH)
    assert found[:, 0].tolist() == found[:, -1].tolist() == [0.0, 2.0, 2.0, 0.0]


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    """A pool with a tokenizer, and a recipe."""
    make_pool(tmp_path / "tokenize")
    (tmp_path / "tokenize" / "tokenizer.json").write_text(json.dumps(TOKENIZER), encoding="utf-8")
    sign("tokenize", tmp_path / "tokenize")
    stage = {"tokens": 6 * 4 * LENGTH, "weights": [0.5, 0.5]}
    return {"tokenize": tmp_path / "tokenize", "recipe": hand_written(tmp_path / "r.json", stage, "alpha", "beta")}


def stage(inputs: dict[str, Path], output: Path, **changes: Any) -> Path:
    values = {"training": small_training(**FEW), "num_seeds": 1} | changes
    place = Workshop(InProcess(), FolderStore(output.parent / "store"), Listener())
    run(TrainParams.model_validate(values), inputs=inputs, output=output, workshop=place)
    return output


def test_the_stage_takes_teachers_by_their_content(inputs: dict[str, Path], tmp_path: Path) -> None:
    first = stage(inputs, tmp_path / "first")
    training = small_training(**FEW, distillation=SALT)
    run_teacher = {"kind": "checkpoint", "folder": str(first), "run": "by-hand-seed0"}
    folder_teacher = {"kind": "hugging_face", "folder": str(first / "export")}
    found = [
        stage(inputs, tmp_path / one["kind"], training=training, teachers=[one])
        for one in (run_teacher, folder_teacher)
    ]
    models = [read_model(folder / "models/by-hand-seed0").weights for folder in (first, *found)]
    assert all(torch.equal(weight, models[2][name]) for name, weight in models[1].items())
    assert any(not torch.equal(weight, models[0][name]) for name, weight in models[1].items())


OTHER = {**TOKENIZER, "normalizer": {"type": "Lowercase"}}


@pytest.mark.parametrize(
    ("changes", "distillation", "message"),
    [
        ({"tokenizer": OTHER}, {}, "its tokenizer is not the pool's: normalizer differ"),
        (
            {"vocab_size": VOCAB_SIZE - 4},
            {},
            "its vocabulary has 60 tokens, the pool's 64. Tokenize with its tokenizer",
        ),
        ({"sequence_length": 8}, {}, "its context is 8 tokens, and samples have 16"),
        ({"twice": True}, {}, "two of the 2 have the same weights: an ensemble is of several models"),
        ({}, {"top_k": None, "select_share": 0.5}, "among the teachers' top_k, and top_k is null"),
        ({}, {"top_k": 65}, "top_k 65 of a vocabulary of 64"),
        ({}, {"first_steps": 7}, "first_steps 7 is beyond the end of a run of 6 steps"),
        ({"missing": True}, {}, r"teachers\.folder: .* has no config\.json"),
    ],
)
def test_what_cannot_teach_a_run_is_refused_by_name_before_its_first_step(
    inputs: dict[str, Path], tmp_path: Path, changes: dict[str, Any], distillation: dict[str, Any], message: str
) -> None:
    config = teacher(tmp_path / "t", **{name: one for name, one in changes.items() if name in _OF_A_MODEL})
    if "tokenizer" in changes:
        (tmp_path / "t" / "tokenizer.json").write_text(json.dumps(changes["tokenizer"]), encoding="utf-8")
    folder = "nowhere" if "missing" in changes else config.folder
    named = [{"kind": "hugging_face", "folder": folder}] * (1 + ("twice" in changes))
    with pytest.raises((ConfigError, ValueError), match=message):
        stage(
            inputs,
            tmp_path / "out",
            training={**small_training(**FEW).model_dump(), "distillation": {**SALT, **distillation}},
            teachers=named,
        )


_OF_A_MODEL = {"vocab_size", *ModelConfig.model_fields}


def test_a_run_without_its_teachers_or_with_some_for_nothing_is_refused(pool: TokenPool, tmp_path: Path) -> None:
    for parallel in (None, Ddp()):
        with pytest.raises(ConfigError, match="says how to learn from teachers, and there are none"):
            train(small_spec(**FEW, distillation=SALT, parallel=parallel), pool)
    idle = replace(small_spec(**FEW), teachers=teachers_of([teacher(tmp_path / "t")]))
    with pytest.raises(ConfigError, match="has 1 teacher"):
        train(idle, pool)
