"""A ladder as its user runs it: nano models on a small pool, in this process."""

import csv
import itertools
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from infra.storage import FolderStore
from tasks.core.errors import ConfigError
from tasks.ladder.config import LadderParams
from tasks.ladder.plan import planned, require_affordable
from tasks.ladder.published import RUNS_FILE, Ladder
from tasks.ladder.stage import plan, run
from tasks.runtime.context import Workshop
from tasks.tokenize.pool import read_pool
from tasks.training.model_size import num_flops
from tasks.training.schedules.rates import learning_rate
from tests.evaluation.test_stage import pool_with_tokenizer
from tests.in_process import InProcess, Listener
from tests.mixture.test_stage import PROXY

SIZES = [{"name": f"w{width}", "training": {"model": {"hidden_size": width}}} for width in (8, 12)]


def params(**changes: Any) -> LadderParams:
    values = {"training": PROXY, "sizes": SIZES, "tokens_per_parameter": (0.5, 1.0), "max_epochs": 8.0}
    return LadderParams.model_validate(values | changes)


def workshop(root: Path, executor: InProcess) -> Workshop:
    return Workshop(executor, FolderStore(root / "store"), Listener())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, InProcess]:
    root, executor = tmp_path_factory.mktemp("ladder"), InProcess()
    pool_with_tokenizer(root / "tokenize")
    run(params(), inputs={"tokenize": root / "tokenize"}, output=root / "ladder", workshop=workshop(root, executor))
    return root, executor


def test_every_size_is_trained_for_every_number_of_tokens_and_measured_on_every_domain(
    finished: tuple[Path, InProcess],
) -> None:
    root, executor = finished
    told = Ladder.read(root / "ladder")
    assert executor.done.count("train_run") == executor.done.count("measure") == len(told.runs) == 4
    assert [one.size for one in told.runs] == ["w8", "w8", "w12", "w12"]
    for branch, trunk in itertools.pairwise(told.runs[:2]):
        assert (branch.trunk_step is None, trunk.trunk_step is None, 2 * branch.tokens) == (False, True, trunk.tokens)
    with (root / "ladder" / RUNS_FILE).open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["params", "tokens", "flops", "seed", "set", "loss"]
    assert [float(row["loss"]) for row in rows] == [bpb for one in told.runs for bpb in one.bits_per_byte.values()]


def test_the_plan_knows_what_was_run_and_what_a_larger_ladder_would_take(finished: tuple[Path, InProcess]) -> None:
    root, _ = finished
    inputs, executor = {"tokenize": root / "tokenize"}, InProcess()
    more = params(sizes=[*SIZES, {"name": "w16", "training": {"model": {"hidden_size": 16}}}])
    found, pool = plan(more, inputs=inputs, workshop=workshop(root, executor))
    assert {one.run.size for one in found if one.finished} == {"w8", "w12"} and executor.done == []
    by_run = [(one.run.spec.trunk is None, one.spent == one.flops) for one in found]
    assert all(is_trunk == whole for is_trunk, whole in by_run)
    assert all(one.flops == num_flops(one.run.spec.training, pool.vocab_size) for one in found)
    run(more, inputs=inputs, output=root / "more", workshop=workshop(root, executor))
    assert executor.done.count("train_run") == 2
    assert Ladder.read(root / "more").runs[:4] == Ladder.read(root / "ladder").runs


def test_a_ladder_above_its_budget_is_refused_before_anything_is_trained(finished: tuple[Path, InProcess]) -> None:
    root, _ = finished
    executor, total = InProcess(), Ladder.read(root / "ladder").spent_flops
    with pytest.raises(ConfigError, match=r"the ladder takes .* w8 alone take"):
        run(
            params(num_seeds=1),
            inputs={"tokenize": root / "tokenize"},
            output=root / "dear",
            workshop=workshop(root, executor),
            budget_flops=0.9 * total,
        )
    runs = planned(params(), read_pool(root / "tokenize", "train"))
    require_affordable(runs, 27, 10 * total)
    assert executor.done == []


def test_a_branch_has_the_rates_of_a_run_of_its_own_length(tmp_path: Path) -> None:
    pool = read_pool(pool_with_tokenizer(tmp_path / "tokenize"), "train")
    trunk, branch = planned(params(sizes=SIZES[:1], decay_fraction=0.5), pool)
    rates = {
        one.spec.name: [learning_rate(one.spec.training, step) for step in range(one.spec.training.num_steps)]
        for one in (trunk, branch)
    }
    long, short = rates[trunk.spec.name], rates[branch.spec.name]
    assert len(long) == 2 * len(short)
    flat = [sum(rate == max(own) for rate in own) / len(own) for own in (long, short)]
    assert flat == [pytest.approx(0.5, abs=1 / len(short))] * 2
    assert short[0] == long[0] and short[-1] < 0.5 * max(short)
    alone = params(sizes=SIZES[:1], tokens_per_parameter=(0.5,), decay_fraction=0.5)
    (own,) = planned(alone, pool)
    assert short == [learning_rate(own.spec.training, step) for step in range(len(short))]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"sizes": [SIZES[0], SIZES[0]]}, "w8 stand there twice"),
        ({"tokens_per_parameter": (2.0, 3.0)}, "do not ascend by multiples of the first"),
        ({"tokens_per_parameter": (2.0, 1.0)}, "do not ascend"),
        ({"weights": {"d0": 0}}, "nothing to train on"),
        ({"sizes": [{"name": "a", "training": {"num_tokens": 64}}]}, "num_tokens follow from tokens_per_parameter"),
        ({"sizes": [{"name": "a", "training": {"model": {"sequence_length": 8}}}]}, "is that of all sizes"),
    ],
)
def test_params_that_are_no_ladder_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        params(**changes)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tokens_per_parameter": (0.01, 0.02)}, "2 of 2 cannot be run.*size w8: its shortest run"),
        ({"weights": {"d9": 1}}, "the ladder has weights for d9"),
        ({"max_epochs": 0.01}, "weights cannot be met under the caps"),
        (
            {"weights": {"d0": 1}, "max_epochs": 0.5},
            r"cannot be run:\n  size w8, [\d,]+ tokens: w8-1x-seed30000: 1 of 3 domains",
        ),
    ],
)
def test_sizes_that_cannot_be_run_are_told_before_anything_is_trained(
    changes: dict[str, Any], told: str, tmp_path: Path
) -> None:
    pool = read_pool(pool_with_tokenizer(tmp_path / "tokenize"), "train")
    with pytest.raises(ConfigError, match=f"(?s){told}"):
        planned(params(**changes), pool)
