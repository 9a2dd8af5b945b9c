"""Stage hooks: decided once at the boundary, written into the plan, replayed by a resume; one more is one module."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.executors import LocalExecutor
from infra.storage import FolderStore
from tasks.core.code import ROOT
from tasks.core.errors import ConfigError, EvidenceError
from tasks.core.handles import Tree
from tasks.core.results import Here
from tasks.runtime.context import Workshop
from tasks.runtime.stages import published
from tasks.tokenize.pool import read_pool, write_pool
from tasks.training import planned
from tasks.training.hooks.boundary import Boundary, under_caps
from tasks.training.hooks.by_loss import ByLoss, decide
from tasks.training.model import decoder, initial_weights
from tasks.training.params import Branch, TrainParams
from tasks.training.planned import StageHook
from tasks.training.published import TrainedRun, TrainedRuns
from tasks.training.published_run import read_ledger, read_losses
from tasks.training.run import train
from tasks.training.stage import run
from tasks.training.types import Phase, RunSpec
from tasks.training.unit import RunArgs, train_run
from tests.in_process import InProcess, Listener
from tests.training.conftest import LENGTH, VOCAB_SIZE, domain, make_pool, small_training
from tests.training.test_stage import TOKENIZER, sign

STEP = 4 * LENGTH
EVEN = [0.4, 0.4, 0.2]
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
    boundary = Boundary((0.5, 0.5, 0.0), (1.0,) * 3, model, pool, (), 0)
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


KINDS = "tasks/training/hooks/kinds.py"
LINES = (
    (
        "hooks import by_loss\n",
        "hooks import backwards, by_loss\nfrom tasks.training.hooks.backwards import Backwards\n",
    ),
    ("HookConfig = ByLoss\n", 'HookConfig = Annotated[Backwards | ByLoss, Field(discriminator="kind")]\n'),
    ("from typing import assert_never\n", "from typing import Annotated, assert_never\n\nfrom pydantic import Field\n"),
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
