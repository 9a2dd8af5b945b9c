"""How many workers can share a step: known before any is started, and refused with the numbers that would do."""

from dataclasses import replace
from pathlib import Path

import pytest

from infra.local_executor import LocalExecutor
from tasks.core.errors import ConfigError
from tasks.training.parallel.ddp import Ddp
from tasks.training.parallel.fsdp import Fsdp
from tasks.training.stage import run
from tasks.training.types import Phase, RunSpec
from tasks.training.worlds import (
    require_segments_shared,
    require_shared,
    shares_segments,
    smaller_worlds,
    workers_words,
)
from tests.training.conftest import LENGTH, small_training
from tests.training.test_stage import inputs, params, workshop

__all__ = ["inputs"]


@pytest.mark.parametrize(
    ("changes", "size", "told"),
    [
        (
            {"parallel": Fsdp()},
            3,
            r"4 sequences_per_step cannot .* by 3 workers\. Set MIXWRIGHT_WORLD_SIZE to 2 or 4, or",
        ),
        ({"parallel": Ddp()}, 6, r"4 sequences_per_step .* by 6 .* to 4, or sequences_per_step to a multiple of 6\."),
        (
            {"micro_batches": 4},
            3,
            r"4 micro_batches .* by 3 workers \(1, 2, 4, .* Set MIXWRIGHT_WORLD_SIZE to 2 or 4, or",
        ),
        ({"micro_batches": 2}, 4, r"2 micro_batches .* by 4 .* to 2, or micro_batches to a higher power of two\."),
    ],
)
def test_a_number_that_cannot_share_a_step_is_refused_with_the_nearest_that_can(
    changes: dict[str, object], size: int, told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        require_shared(small_training(**changes), size)


def test_a_stage_of_longer_samples_that_no_number_of_workers_shares_is_named() -> None:
    training = small_training(micro_batches=1)
    phases = (Phase(6 * 4 * LENGTH, (1.0,)), Phase(6 * 4 * LENGTH, (1.0,), sequence_length=2 * LENGTH))
    segments = RunSpec("run", phases, 0, training).segments
    assert shares_segments(segments, 2) and not shares_segments(segments, 4)
    with pytest.raises(ConfigError, match=r"steps 6 to 11 have 2 samples of 32 tokens, which 4 workers .* to 2"):
        require_segments_shared(segments, 4)


def test_a_stage_refuses_it_before_any_worker_is_started(
    inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(LocalExecutor, "map_distributed")
    place = workshop(tmp_path, LocalExecutor(3), world_size=3)
    with pytest.raises(ConfigError, match="4 sequences_per_step cannot be shared evenly by 3 workers"):
        run(params(1, parallel=Ddp()), inputs=inputs, output=tmp_path / "train", workshop=place)


def test_smaller_numbers_are_those_that_can_share_a_step() -> None:
    spread = small_training(parallel=Ddp(), sequences_per_step=12, num_tokens=12 * 12 * LENGTH)
    assert smaller_worlds(spread, 12, 2) == (6, 4, 3, 2)
    assert smaller_worlds(small_training(micro_batches=4), 4, 1) == (2, 1)
    assert smaller_worlds(spread, 2, 2) == ()


def test_a_stage_allows_smaller_numbers_only_where_it_is_told_the_least(
    inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[object]()

    def note(self: object, function: object, items: object, world_size: int, *others: object) -> None:
        asked.append((world_size, others[-1]))
        raise ConfigError("enough")

    monkeypatch.setattr(LocalExecutor, "map_distributed", note)
    place = workshop(tmp_path, LocalExecutor(4), world_size=4)
    for least in (None, 1):
        with pytest.raises(ConfigError, match="enough"):
            run(
                params(1, parallel=Ddp()),
                inputs=inputs,
                output=tmp_path / "train",
                workshop=replace(place, min_world_size=least),
            )
    assert asked == [(4, ()), (4, (2, 1))]


def test_a_change_of_workers_is_told_with_its_step() -> None:
    assert workers_words([(0, 1)]) == "by 1 worker"
    assert workers_words([[0, 4], [20, 2], [60, 1]]) == "by 4 workers, from step 20 on by 2, from step 60 on by 1"  # type: ignore[list-item]
