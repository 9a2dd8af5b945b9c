"""Stage hooks: decided once at the boundary, written into the plan, replayed by a resume; one more is one module."""

import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.local_executor import LocalExecutor
from infra.storage import FolderStore
from tasks.core.code import ROOT
from tasks.core.errors import ConfigError, EvidenceError
from tasks.core.handles import Tree
from tasks.core.results import Here
from tasks.runtime.context import Workshop
from tasks.runtime.stages import published
from tasks.tokenize.pool import read_pool, write_pool
from tasks.training import planned
from tasks.training.export import write_model
from tasks.training.hooks import ddk
from tasks.training.hooks.boundary import Boundary, under_caps
from tasks.training.hooks.by_loss import ByLoss, decide
from tasks.training.hooks.ddk import Ddk, next_weights
from tasks.training.model import decoder, initial_weights
from tasks.training.params import Branch, TrainParams
from tasks.training.planned import StageHook
from tasks.training.published import TrainedRun, TrainedRuns
from tasks.training.published_run import read_ledger, read_losses
from tasks.training.run import train
from tasks.training.stage import run, teachers_of
from tasks.training.teachers.kinds import HuggingFaceTeacher
from tasks.training.types import Phase, RunSpec
from tasks.training.unit import RunArgs, train_run
from tests.in_process import InProcess, Listener
from tests.training.conftest import LENGTH, VOCAB_SIZE, domain, make_pool, small_training
from tests.training.test_stage import TOKENIZER, sign

STEP = 4 * LENGTH
EVEN = [0.4, 0.4, 0.2]
CAPPED_DDK = {"kind": "ddk", "largest_ratio": 1e-3, "tokens_per_domain": 64}
HOOK = {"kind": "by_loss", "power": 2.0, "tokens_per_domain": 64}


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    """A pool with a tokenizer."""
    make_pool(tmp_path / "tokenize")
    (tmp_path / "tokenize" / "tokenizer.json").write_text(json.dumps(TOKENIZER), encoding="utf-8")
    sign("tokenize", tmp_path / "tokenize")
    return tmp_path / "tokenize"


def recipe(path: Path, *hooks: dict[str, Any] | None, max_epochs: float = 4.0, steps: float = 4) -> Path:
    stages = [{"tokens": int(steps * STEP), "weights": EVEN, "hook": hook} for hook in hooks]
    value = {"format": 2, "name": "by-hand", "domains": ["alpha", "beta", "gamma"], "stages": stages}
    path.write_text(json.dumps({**value, "max_epochs": max_epochs}))
    return path


def trained(tokens: Path, given: Path, output: Path, **changes: Any) -> TrainedRun:
    return all_trained(tokens, given, output, TrainParams(training=small_training(), num_seeds=1, **changes))[0]


def all_trained(tokens: Path, given: Path, output: Path, params: TrainParams) -> tuple[TrainedRun, ...]:
    place = Workshop(InProcess(), FolderStore(output / "store"), Listener())
    run(params, inputs={"tokenize": tokens, "recipe": given}, output=output / "train", workshop=place)
    return TrainedRuns.read(output / "train").runs


def test_what_hooks_decide_is_trained_and_published_and_the_run_is_that_of_its_plan(
    tokens: Path, tmp_path: Path
) -> None:
    found = trained(tokens, recipe(tmp_path / "r.json", None, HOOK, HOOK), tmp_path)
    first, second, third = (phase.weights for phase in found.phases)
    assert list(first) == EVEN and second not in {first, third} and sum(third) == pytest.approx(1)
    training, phases = small_training(), tuple(Phase(4 * STEP, each) for each in (first, second, third))
    again = train(RunSpec("again", phases, 0, training), read_pool(tokens))
    assert [each.samples for each in found.consumed.values()] == list(again.ledger.totals)
    assert found.final_loss == pytest.approx(again.losses[-1], abs=0)


def args(tokens: Path, *hooks: int) -> RunArgs:
    phases = tuple(Phase(4 * STEP, tuple(EVEN)) for _ in range(3))
    files: Tree = published(FolderStore(tokens), str(tokens)).tree()
    found = tuple(StageHook(index, ByLoss.model_validate(HOOK)) for index in hooks)
    return RunArgs(RunSpec("run", phases, 0, small_training(), 4.0), files, hooks=found)


def test_a_killed_run_asks_no_hook_again_and_ends_with_the_same_bytes(
    tokens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / name for name in ("whole", "scratch-whole", "killed", "scratch", "resumed")]
    for folder in folders:
        folder.mkdir()
    whole, scratch_whole, killed, scratch, resumed = folders
    train_run(args(tokens, 1, 2), Here(whole, scratch_whole))
    asked: list[int] = []

    def counted(config: ByLoss, boundary: Boundary) -> tuple[float, ...]:
        asked.append(boundary.step)
        if asked == [4, 8]:
            raise KeyboardInterrupt
        return by_loss(config, boundary)

    by_loss = planned.decide
    monkeypatch.setattr(planned, "decide", counted)
    with pytest.raises(KeyboardInterrupt):
        train_run(args(tokens, 1, 2), Here(killed, scratch))
    # What was to be decided next was damaged meanwhile; the steps up to it are made again.
    (scratch / "decided-1/step-000000008/state.safetensors").write_bytes(b"damaged")
    train_run(args(tokens, 1, 2), Here(resumed, scratch))
    assert asked == [4, 8, 8]
    for name in ("model.safetensors", "losses.csv", "ledger.csv"):
        assert (resumed / name).read_bytes() == (whole / name).read_bytes()
    (scratch / planned.PLAN_FILE).write_text("{")
    plan, more = planned.PLAN_FILE, tmp_path / "more"
    more.mkdir()
    train_run(args(tokens, 1, 2), Here(more, scratch))
    assert asked == [4, 8, 8, 4, 8]
    assert (scratch / plan).read_bytes() == (scratch_whole / plan).read_bytes()


def test_a_branch_goes_on_from_what_the_hooks_of_its_trunk_have_decided(tokens: Path, tmp_path: Path) -> None:
    given, training = recipe(tmp_path / "r.json", None, HOOK, HOOK), small_training(milestone_every_steps=2)
    (whole,) = all_trained(tokens, given, tmp_path, TrainParams(training=training, num_seeds=1))
    assert whole.weights_digest == trained(tokens, given, tmp_path / "without").weights_digest
    made = sorted((tmp_path / "train/models/by-hand-seed0/milestones").iterdir())
    assert [int(path.name[5:]) for path in made] == [2, 4, 6, 8, 10, 12]
    _, second, third = (dict(zip(whole.consumed, phase.weights, strict=True)) for phase in whole.phases)
    stages = [{"tokens": steps * STEP, "weights": own} for steps, own in ((2, second), (4, third))]
    branches = (
        Branch(name="behind-one", step=6, stages=stages, milestone_every_steps=2),
        Branch(name="behind-both", step=8, stages=stages[1:]),
        Branch(name="of-a-branch", trunk="behind-one", step=8, stages=stages[1:]),
    )
    trunk, one, both, last = all_trained(
        tokens, given, tmp_path, TrainParams(training=training, num_seeds=1, branches=branches)
    )
    assert trunk == whole
    assert both.weights_digest == whole.weights_digest and last.weights_digest == one.weights_digest
    ledgers = [read_ledger(tmp_path / "train" / each.folder) for each in (whole, both, one, last)]
    assert ledgers[0] == ledgers[1] and ledgers[2] == ledgers[3]
    # Two parts of one stage draw as much, in another order.
    losses = [read_losses(tmp_path / "train" / each.folder) for each in (whole, one)]
    assert losses[0][:6] == losses[1][:6] and losses[0][6:] != losses[1][6:]


def test_a_killed_run_with_hooks_publishes_the_milestones_of_one_never_killed(
    tokens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = args(tokens, 1, 2)
    given = replace(given, spec=replace(given.spec, training=small_training(milestone_every_steps=4)))
    for name in ("whole", "scratch-whole", "killed", "scratch", "resumed"):
        (tmp_path / name).mkdir()
    train_run(given, Here(tmp_path / "whole", tmp_path / "scratch-whole"))
    first = [planned.decide]

    def dies_second(*boundary: Any) -> tuple[float, ...]:
        if not first:
            raise KeyboardInterrupt
        return first.pop()(*boundary)

    monkeypatch.setattr(planned, "decide", dies_second)
    with pytest.raises(KeyboardInterrupt):
        train_run(given, Here(tmp_path / "killed", tmp_path / "scratch"))
    monkeypatch.undo()
    train_run(given, Here(tmp_path / "resumed", tmp_path / "scratch"))
    folders = [(tmp_path / name) for name in ("whole", "resumed")]
    one, other = ({path.relative_to(own): path.read_bytes() for path in own.rglob("*.*")} for own in folders)
    assert one == other and len([path for path in one if "milestones" in path.parts]) == 6


@pytest.mark.parametrize("power", [1e6, -1e6, 0.0])
def test_a_power_of_any_size_gives_weights_and_a_domain_without_one_may_be_empty(tmp_path: Path, power: float) -> None:
    tokens = {name: {"train": domain(name, step, 200)} for name, step in (("alpha", 1), ("beta", 5))}
    pool = write_pool(tmp_path, {**tokens, "empty": {}}, vocab_size=VOCAB_SIZE, document_end=VOCAB_SIZE - 1)
    config = small_training().model
    model = decoder(config, VOCAB_SIZE, initial_weights(config, VOCAB_SIZE, 0))
    boundary = Boundary((0.5, 0.5, 0.0), (1.0,) * 3, model, pool, (), 0, (0.5, 0.5, 0.0))
    found = decide(ByLoss(kind="by_loss", power=power), boundary)
    assert sum(found) == pytest.approx(0.5 if power else 1.0) and found[2] == 0


def test_epoch_caps_hold_for_what_a_hook_decides(tokens: Path, tmp_path: Path) -> None:
    held = trained(
        tokens, recipe(tmp_path / "r.json", None, {**HOOK, "power": 60.0}, max_epochs=0.28, steps=6), tmp_path
    )
    consumed = held.consumed["gamma"]
    assert consumed.epochs <= 0.28 and sum(each.samples for each in held.consumed.values()) == 48
    assert under_caps((6.0, 3.0, 1.0), (0.5, 0.4, 1.0)) == pytest.approx((0.5, 0.375, 0.125))
    with pytest.raises(EvidenceError, match="no mixture can be made of them"):
        under_caps((1.0, 0.0), (0.5, 1.0))
    with pytest.raises(EvidenceError, match="nan"):
        under_caps((float("nan"), 1.0), (1.0, 1.0))


def test_a_hook_that_cannot_decide_where_it_stands_is_refused_before_the_first_step(
    tokens: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"stages\.0: its hook would decide behind 0 tokens"):
        trained(tokens, recipe(tmp_path / "r.json", HOOK, None, None), tmp_path)
    with pytest.raises(ConfigError, match=r"stages\.1: its hook would decide behind 288 tokens"):
        trained(tokens, recipe(tmp_path / "r.json", None, HOOK, steps=4.5), tmp_path)
    given = {"tokenize": tokens, "recipe": recipe(tmp_path / "r.json", None, HOOK, HOOK)}
    params = TrainParams(training=small_training(milestone_every_steps=3), num_seeds=1)
    with pytest.raises(ConfigError, match=r"stages\.1: its hook decides behind step 4, which is no milestone with"):
        run(
            params,
            inputs=given,
            output=tmp_path / "out",
            workshop=Workshop(InProcess(), FolderStore(tmp_path), Listener()),
        )


def test_ddk_stays_alike_where_ratios_are_and_ends_where_its_formula_does() -> None:
    config = Ddk(kind="ddk", change=0.5)
    assert next_weights(config, [0.25] * 4, [3.0] * 4) == pytest.approx((0.25,) * 4)
    # r = a r q / (r q + 1 - r) + (1 - a) / N, with q = exp(2 - 1) of one domain of N = 4 and 1 of the others.
    q, n, found = math.e, 4, [0.25] * 4
    for _ in range(200):
        found = list(next_weights(config, found, [2.0, 1.0, 1.0, 1.0]))
    # (q - 1) r^2 + (1 - a q - (1 - a) (q - 1) / N) r - (1 - a) / N = 0
    b = 1 - 0.5 * q - 0.5 * (q - 1) / n
    closed = (-b + math.sqrt(b * b + 4 * (q - 1) * 0.5 / n)) / (2 * (q - 1))
    assert found[0] == pytest.approx(closed, abs=1e-9) and closed > 0.4
    assert found[1:] == pytest.approx([(1 - closed) / 3] * 3) and sum(found) == pytest.approx(1)
    assert next_weights(config, [0.0, 0.0, 1.0], [2.0, 1.0, None]) == pytest.approx((0.5, 0.5, 0.0))


def test_ddk_gives_more_to_the_domain_whose_teacher_is_further_ahead_and_asks_for_one(
    tokens: Path, tmp_path: Path
) -> None:
    pool = read_pool(tokens)
    spec = RunSpec("teacher", (Phase(12 * STEP, (0.0, 1.0, 0.0)),), 0, small_training(learning_rate=3e-2))
    folder = tmp_path / "teacher"
    folder.mkdir()
    write_model(train(spec, pool).model, VOCAB_SIZE - 1, folder)
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    (teacher,) = teachers_of([HuggingFaceTeacher(kind="hugging_face", folder=str(folder))])
    model = small_training().model
    new = decoder(model, VOCAB_SIZE, initial_weights(model, VOCAB_SIZE, 0))
    even = (1 / 3,) * 3
    boundary = Boundary(even, (1.0,) * 3, new, pool, (), 0, even, (teacher,))
    found = Ddk(kind="ddk", tokens_per_domain=64)
    alpha, beta, gamma = ddk.decide(found, boundary)
    assert beta > max(alpha, gamma) and alpha + beta + gamma == pytest.approx(1)
    capped = ddk.decide(found.model_copy(update={"largest_ratio": 1e-3}), boundary)
    assert capped == pytest.approx(even)
    # Where all ratios are the largest, half of the weights are those of the stage before.
    stages = [{"tokens": 4 * STEP, "weights": EVEN}, {"tokens": 4 * STEP, "weights": list(even), "hook": CAPPED_DDK}]
    value = {"format": 4, "name": "by-hand", "domains": ["alpha", "beta", "gamma"], "stages": stages, "max_epochs": 9.0}
    (tmp_path / "ddk.json").write_text(json.dumps(value))
    taught = small_training(num_tokens=8 * STEP, distillation={"weight": 0.2, "cross_entropy_weight": 1.0})
    (folder / "tokenizer.json").write_text(json.dumps(TOKENIZER), encoding="utf-8")
    teachers = (HuggingFaceTeacher(kind="hugging_face", folder=str(folder)),)
    (run,) = all_trained(
        tokens, tmp_path / "ddk.json", tmp_path, TrainParams(training=taught, num_seeds=1, teachers=teachers)
    )
    assert run.phases[1].weights == pytest.approx([0.5 * weight + 0.5 / 3 for weight in EVEN])
    with pytest.raises(ConfigError, match=r"stages\.1: its hook ddk compares the model with the teachers"):
        trained(tokens, recipe(tmp_path / "r.json", None, {"kind": "ddk"}, None), tmp_path)


KINDS = "tasks/training/hooks/kinds.py"
LINES = (
    (
        "hooks import by_loss, ddk\n",
        "hooks import backwards, by_loss, ddk\nfrom tasks.training.hooks.backwards import Backwards\n",
    ),
    ("Annotated[ByLoss | Ddk,", "Annotated[Backwards | ByLoss | Ddk,"),
    (
        "        case ByLoss():\n",
        "        case Backwards():\n            return backwards.decide(boundary)\n        case ByLoss():\n",
    ),
)


@pytest.mark.slow
def test_two_workers_decide_alike_and_make_the_bytes_of_one(tokens: Path, tmp_path: Path) -> None:
    given = {"tokenize": tokens, "recipe": recipe(tmp_path / "r.json", None, HOOK, HOOK)}
    params, outputs = TrainParams(training=small_training(), num_seeds=1), []
    for size in (1, 2):
        place = Workshop(LocalExecutor(2), FolderStore(tmp_path / f"store-{size}"), Listener(), size)
        outputs.append(run(params, inputs=given, output=tmp_path / f"out-{size}", workshop=place).output)
    assert outputs[0] == outputs[1]


@pytest.mark.slow
def test_a_hook_more_is_one_module_and_lines_in_one_place(tokens: Path, tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    for name in ("tasks", "infra"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "tests/toys/hook/backwards.py", root / "tasks/training/hooks/backwards.py")
    text = (root / KINDS).read_text(encoding="utf-8")
    for before, after in LINES:
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    (root / KINDS).write_text(text, encoding="utf-8")
    section = {"training": small_training().model_dump(mode="json"), "num_seeds": 1}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"train": section}))
    given = recipe(tmp_path / "r.json", None, {"kind": "backwards"}, None)
    words = ["--params", "params.yaml", "--recipe", str(given), "--input", f"tokenize={tokens}", "--output", "out"]
    done = subprocess.run(
        [sys.executable, "-m", "tasks.training", *words],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root), "MIXWRIGHT_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = TrainedRuns.read(tmp_path / "out").runs
    assert [list(phase.weights) for phase in found.phases] == [EVEN, pytest.approx(EVEN[::-1]), EVEN]
