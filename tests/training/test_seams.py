"""Loss, objective and transform: on they are what they say in both engines."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tasks.core.code import ROOT, code_of
from tasks.tokenize.pool import TokenPool
from tasks.training.data import run_data
from tasks.training.data_config import DataConfig
from tasks.training.ledger import rebuilt_ledger
from tasks.training.loss import nats_per_row, scored
from tasks.training.losses.z_loss import ZLoss
from tasks.training.model import Scoring, initial_weights
from tasks.training.objectives.kinds import ObjectiveKind, weights
from tasks.training.objectives.lin_upper import LinUpper
from tasks.training.objectives.objective import StepLosses
from tasks.training.objectives.reweighted import Reweighted, Shape
from tasks.training.parallel.ddp import Ddp
from tasks.training.run import train
from tasks.training.stacked_layout import layout_of
from tasks.training.stacked_model import gradient_and_nats, nats_of_tokens
from tasks.training.transforms.goldfish import Goldfish, transformed
from tests.training.conftest import LENGTH, VOCAB_SIZE, small_spec, small_training
from tests.training.documents import memory_pool

GOLDFISH = DataConfig(transform=Goldfish(context_tokens=3))
ON: dict[str, object] = {"loss": ZLoss(weight=0.1), "objective": LinUpper(burn_in_steps=2), "data": GOLDFISH}
FEW: dict[str, object] = {"num_tokens": 6 * 4 * LENGTH, "warmup_steps": 0}


@pytest.mark.parametrize("name", ON)
def test_each_changes_the_run_and_both_engines_make_the_same_one(pool: TokenPool, name: str) -> None:
    plain, one, other = (
        train(small_spec(**FEW, **more), pool) for more in ({}, {name: ON[name]}, {name: ON[name], "parallel": Ddp()})
    )
    assert other.losses == pytest.approx(one.losses, abs=1e-4)
    assert other.ledger == one.ledger
    assert max(abs(a - b) for a, b in zip(one.losses, plain.losses, strict=True)) > 1e-3


def test_steps_of_burn_in_are_those_of_a_run_without_an_objective(pool: TokenPool) -> None:
    for parallel in (None, Ddp()):
        options: dict[str, object] = {**FEW, "parallel": parallel}
        plain, held = (train(small_spec(**options, objective=each), pool) for each in (None, LinUpper(burn_in_steps=6)))
        assert held.losses == plain.losses
        assert all(torch.equal(held.model.weights[name], one) for name, one in plain.model.weights.items())


def rows(count: int, size: int) -> Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("loss", [None, ZLoss(weight=0.3)])
def test_the_gradient_is_that_of_weight_times_loss(loss: ZLoss | None, weighed: bool) -> None:
    hidden, output, targets = rows(700, 8).requires_grad_(), rows(31, 8).requires_grad_(), torch.arange(700) % 31
    counts = rows(700, 1)[:, 0].abs() if weighed else None
    total, each = scored(hidden, output, targets, loss, counts)
    ours = torch.autograd.grad(total, (hidden, output))
    logits = hidden @ output.T
    losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    assert torch.allclose(each, losses, atol=1e-5) and not each.requires_grad
    if loss is not None:
        losses = losses + loss.weight * logits.logsumexp(dim=1) ** 2
    theirs = torch.autograd.grad((losses * (1.0 if counts is None else counts)).sum(), (hidden, output))
    for found, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_stack_of_a_gpu_computes_what_one_of_a_cpu_does() -> None:
    model = small_training(initializer_range=0.3).model
    layout = layout_of(model, VOCAB_SIZE)
    rows_NW = torch.stack([layout.row(initial_weights(model, VOCAB_SIZE, seed)) for seed in range(2)])
    pairs = torch.randint(0, VOCAB_SIZE, (2, 3, 2, LENGTH), generator=torch.Generator().manual_seed(0))
    pairs[:, :, 1, 4:7] = -1
    weights_NST, scoring = rows(6, LENGTH).abs().view(2, 3, LENGTH), Scoring(gaps=True, loss=ZLoss(weight=0.1))
    totals = []
    for at_once in (False, True):
        total_NW, nats_NS = torch.empty_like(rows_NW), torch.empty(2, 3)
        given = (layout, rows_NW, rows_NW.clone(), pairs, total_NW, nats_NS)
        gradient_and_nats(*given, at_once=at_once, scoring=scoring, weights_NST=weights_NST)
        totals.append(total_NW)
        each_NST = nats_of_tokens(layout, rows_NW, rows_NW.clone(), pairs, scoring)
        assert torch.equal(each_NST == -1, pairs[:, :, 1] == -1)
        torch.testing.assert_close(each_NST.clamp(min=0).sum(dim=2), nats_NS)
    torch.testing.assert_close(totals[0], totals[1], rtol=1e-4, atol=1e-4)


def losses_of(*means: float, objective: ObjectiveKind = LinUpper()) -> list[float]:  # noqa: B008 (frozen)
    nats = torch.tensor(means)[:, None].expand(-1, 4)
    found = weights(objective, StepLosses(0, nats, torch.zeros(len(means)).long()))
    assert found.shape == nats.shape
    return [float(one) for one in found[:, 0]]


def test_lin_upper_weighs_samples_below_the_middle_less_and_all_others_alike() -> None:
    low, middle, high = losses_of(1.0, 2.0, 3.0)
    assert low < middle == high and low + middle + high == pytest.approx(3.0)
    # h is -1, 0 and 1: f = min(h + 1, 1) is 0, 1 and 1.
    assert middle / low == pytest.approx(np.e)
    # A sample in which nothing is predicted is not among them.
    assert losses_of(1.0, -1.0, 3.0) == pytest.approx([*losses_of(1.0, 3.0)[:1], 1.0, *losses_of(1.0, 3.0)[1:]])


@pytest.mark.parametrize("shape", ["lin_upper", "quadratic", "upper", "extremes"])
def test_samples_that_are_alike_count_alike_and_a_high_temperature_makes_them_so(shape: Shape | str) -> None:
    def at(temperature: float) -> ObjectiveKind:
        if shape == "lin_upper":
            return LinUpper(temperature=temperature)
        return Reweighted.model_validate({"shape": shape, "temperature": temperature})

    assert losses_of(2.0, 2.0, 2.0, objective=at(1.0)) == pytest.approx([1.0] * 3)
    assert losses_of(1.0, 2.0, 9.0, objective=at(1e7)) == pytest.approx([1.0] * 3)
    assert losses_of(1.0, 2.0, 9.0, objective=at(1.0)) != pytest.approx([1.0] * 3, abs=0.01)


@pytest.mark.parametrize(
    ("shape", "expected"), [("quadratic", (0, 0.75, 1, 0)), ("upper", (0, 0.25, 0.5, 1)), ("extremes", (1, 0.5, 0, 1))]
)
def test_kin_of_lin_upper_weigh_by_their_shapes_of_the_scaled_loss(shape: Shape, expected: tuple[float, ...]) -> None:
    # h is -1, -1/2, 0 and 1.
    found = losses_of(1.0, 2.0, 3.0, 5.0, objective=Reweighted(shape=shape, temperature=0.5))
    powers = np.exp(np.array(expected) / 0.5)
    assert found == pytest.approx(4 * powers / powers.sum())


def test_a_goldfish_leaves_out_the_same_tokens_of_a_passage_wherever_it_stands() -> None:
    tokens = np.random.default_rng(0).integers(0, 4000, 20_001)
    config = Goldfish(every=4, context_tokens=5)
    row, moved = transformed(config, tokens), transformed(config, tokens[1234:])
    gaps = row.targets == -1
    assert gaps.mean() == pytest.approx(0.25, abs=0.01) and not gaps[:4].any()
    assert np.array_equal(gaps[1234 + 4 :], (moved.targets == -1)[4:])
    assert np.array_equal(row.inputs, tokens[:-1]) and np.array_equal(row.targets[~gaps], tokens[1:][~gaps])
    assert np.array_equal(transformed(config, tokens[:5]).targets, tokens[1:5])


def test_the_ledger_counts_what_is_predicted(pool: TokenPool) -> None:
    spec = small_spec(**FEW, data=GOLDFISH)
    run, data = train(spec, pool), run_data(spec, pool)
    batch = data.read(0, 24)
    counted = (batch.pairs[:, 1] != -1).sum()
    assert sum(run.ledger.token_totals) == counted < 24 * LENGTH
    assert sum(map(sum, run.ledger.bytes)) == pool.token_bytes[batch.pairs[:, 1]][batch.pairs[:, 1] != -1].sum()
    assert rebuilt_ledger(data) == run.ledger


def test_padding_is_no_target_behind_a_transform_either() -> None:
    padded, both = DataConfig(packing="best_fit"), DataConfig(packing="best_fit", transform=Goldfish())
    packed = memory_pool({"a": [13] * 40, "b": [17] * 60})
    ends = [
        run_data(small_spec((0.5, 0.5), data=each), packed).read(0, 48).pairs[:, 1] == -1 for each in (padded, both)
    ]
    assert ends[0].any() and (ends[1] >= ends[0]).all()


@torch.no_grad()
def test_a_part_of_a_step_in_which_nothing_is_predicted_has_no_gradient() -> None:
    nothing = torch.empty(0, 8)
    assert nats_per_row(rows(1, 8), rows(31, 8), torch.tensor([3])).shape == (1,)
    with torch.enable_grad():
        output = rows(31, 8).requires_grad_()
        total, _ = scored(nothing, output, torch.empty(0, dtype=torch.int64))
        (gradient,) = torch.autograd.grad(total, output)
    assert float(total) == 0.0 and not gradient.any()


LINES = {
    "tasks/training/losses/kinds.py": (
        (
            "losses import z_loss\n",
            "losses import smoothed, z_loss\nfrom tasks.training.losses.smoothed import Smoothed\n",
        ),
        ("LossKind = ZLoss\n", "LossKind = Smoothed | ZLoss\n"),
        (
            "        case ZLoss():\n",
            "        case Smoothed():\n            return smoothed.per_token(config, logits_NV, targets_N)\n{}",
        ),
    ),
    "tasks/training/objectives/kinds.py": (
        (
            "objectives import lin_upper, reweighted\n",
            "objectives import by_domain, lin_upper, reweighted\nfrom tasks.training.objectives.by_domain import ByDomain\n",
        ),
        ("ObjectiveKind = Annotated[LinUpper", "ObjectiveKind = Annotated[ByDomain | LinUpper"),
        (
            "        case LinUpper():\n",
            "        case ByDomain():\n            return by_domain.weights(config, losses)\n{}",
        ),
    ),
    "tasks/training/optimizers/kinds.py": (
        (
            "import adafactor, adamw, frugal, low_rank, muon\n",
            "import adafactor, adamw, frugal, low_rank, muon, signs\nfrom tasks.training.optimizers.signs import Signs\n",
        ),
        ("LowRank | Muon,", "LowRank | Muon | Signs,"),
        ("        case _:\n", "        case Signs():\n            found = signs.METHOD\n{}"),
    ),
    "tasks/training/transforms/kinds.py": (
        (
            "transforms import goldfish, ul2\n",
            "transforms import goldfish, rotated, ul2\nfrom tasks.training.transforms.rotated import Rotated\n",
        ),
        ("TransformKind = Annotated[Goldfish", "TransformKind = Annotated[Goldfish | Rotated"),
        (
            "        case Ul2():\n            ul2",
            "        case Rotated():\n            return\n{}",
        ),
        (
            "        case Ul2():\n            return",
            "        case Rotated():\n            return rotated.transformed(tokens_U, number, seed)\n{}",
        ),
    ),
}
PROGRAM = """
from pathlib import Path
import numpy as np
from tasks.training.data_config import DataConfig
from tasks.training.data import run_data
from tasks.training.run import train
from tests.training.conftest import make_pool, small_spec
pool, kept = make_pool(Path("pool")), Path("kept")
toys = {
    "loss": {"kind": "smoothed"}, "objective": {"kind": "by_domain", "of_domains": [1, 2, 0.5]},
    "data": {"transform": {"kind": "rotated"}}, "method": {"kind": "signs"},
}
plain = train(small_spec(), pool)
for name in toys:
    assert train(small_spec(**{name: toys[name]}), pool).losses[-1] != plain.losses[-1], name
run, spread = train(small_spec(**toys), pool), train(small_spec(**toys, parallel={"kind": "ddp"}), pool)
assert max(abs(a - b) for a, b in zip(run.losses, spread.losses)) < 1e-4
def die(step, numbers):
    if step == 7:
        raise KeyboardInterrupt
try:
    train(small_spec(**toys), pool, checkpoints=kept, on_step=die)
except KeyboardInterrupt:
    pass
resumed = train(small_spec(**toys), pool, checkpoints=kept)
assert resumed.losses == run.losses and resumed.ledger == run.ledger
assert all((weight == run.model.weights[name]).all() for name, weight in resumed.model.weights.items())
data, lines = run_data(small_spec(**toys), pool), run_data(small_spec(), pool)
whole, parts = data.read(0, 8).pairs, np.concatenate([data.read(first, first + 2).pairs for first in range(0, 8, 2)])
assert (whole == parts).all() and (whole[:, 0] != lines.read(0, 8).pairs[:, 0]).any()
assert ((whole[:, 1] == -1).sum(axis=1) == 1).all()
assert (run_data(small_spec(seed=1, **toys), pool).read(0, 8).pairs != whole).any()
"""


def test_a_loss_an_objective_an_optimizer_and_a_transform_more_are_a_module_each_and_lines_in_one_place(
    tmp_path: Path,
) -> None:
    root = tmp_path / "checkout"
    shutil.copytree(ROOT / "tasks", root / "tasks", ignore=shutil.ignore_patterns("__pycache__"))
    for toy, folder in (
        ("loss/smoothed", "losses"),
        ("objective/by_domain", "objectives"),
        ("optimizer/signs", "optimizers"),
        ("transform/rotated", "transforms"),
    ):
        shutil.copy(ROOT / f"tests/toys/{toy}.py", root / "tasks/training" / folder)
    for name, lines in LINES.items():
        text = (root / name).read_text(encoding="utf-8")
        for before, after in lines:
            assert text.count(before) == 1, before
            text = text.replace(before, after.replace("{}", before))
        (root / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert code_of(("tasks.training.unit",), root).digest == code_of(("tasks.training.unit",)).digest
