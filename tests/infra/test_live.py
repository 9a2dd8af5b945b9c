"""What runs measure on their way: told once over kills, with the rates, and shown again until it is seen."""

import json
from pathlib import Path

import pytest

from infra import live
from infra.errors import ServiceError
from infra.live import MetricsFile, metrics_of, showing


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of both clocks, to be moved."""
    now = [100.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(live.time, "process_time", lambda: now[0] / 2)
    return now


def values(step: int) -> dict[str, float]:
    return {"loss": 4.0 - step / 10, "tokens": 64.0 * step, "flops": 1e9 * step}


def test_rates_are_those_since_the_line_before(tmp_path: Path, clock: list[float]) -> None:
    told = MetricsFile(tmp_path / "measured" / "key", peak=1e9, devices=2, every_s=1.0, first_steps=0)
    for step in range(1, 8):
        told(step, values(step))
        clock[0] += 0.5
    rows, _ = metrics_of(tmp_path / "measured" / "key")
    assert [step for step, _ in rows] == [3, 5, 7]
    for _, row in rows:
        assert row["tokens_per_s"] == 128.0
        assert row["mfu"] == 1.0
        assert row["system/cpus"] == 0.5
        assert row["system/memory_mb"] > 1
    assert rows[0][1]["loss"] == 3.7
    assert not {"tokens", "flops"} & {*rows[0][1]}


def test_mfu_is_not_told_where_nobody_knows_the_peak(tmp_path: Path, clock: list[float]) -> None:
    told = MetricsFile(tmp_path / "key", first_steps=0)
    for step in (1, 2):
        told(step, values(step))
        clock[0] += 2
    assert "mfu" not in metrics_of(tmp_path / "key")[0][0][1]


def test_a_killed_run_tells_no_step_twice_and_goes_on_behind_a_torn_line(tmp_path: Path, clock: list[float]) -> None:
    path = tmp_path / "key"
    for first in (1, 3):
        told = MetricsFile(path, first_steps=0)
        for step in range(first, first + 5):
            told(step, values(step))
            clock[0] += 2
        with path.open("a") as stream:
            stream.write('[9, {"lo')
    assert [step for step, _ in metrics_of(path)[0]] == [2, 3, 4, 5, 6, 7]


def test_a_run_that_is_over_in_a_moment_is_told_in_full_and_without_rates(tmp_path: Path, clock: list[float]) -> None:
    told = MetricsFile(tmp_path / "key", first_steps=3)
    for step in range(1, 9):
        told(step, values(step))
        clock[0] += 0.3
    rows, _ = metrics_of(tmp_path / "key")
    assert [step for step, _ in rows] == [1, 2, 3, 5]
    assert ["tokens_per_s" in row for _, row in rows] == [False, False, False, True]


def test_what_is_there_can_be_shown_before_its_file_goes(tmp_path: Path) -> None:
    seen: list[int] = []
    with showing([tmp_path / "key"], lambda _, rows: seen.extend(step for step, _ in rows), every_s=60) as look:
        (tmp_path / "key").write_text('[1, {"loss": 1.0}]\n')
        look()
        (tmp_path / "key").unlink()
    assert seen == [1]


def test_what_could_not_be_shown_is_shown_again(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    away = iter([True, False])

    def show(index: int, rows: list[live.Row]) -> None:
        if next(away, False):
            raise ServiceError("the server is away")
        seen.extend((index, step) for step, _ in rows)

    paths = [tmp_path / "none", tmp_path / "some"]
    with showing(paths, show, every_s=0.01):
        for step in (1, 2):
            with paths[1].open("a") as stream:
                stream.write(json.dumps([step, {"loss": 1.0}]) + "\n")
            while len(seen) < step:
                pass
        with paths[1].open("a") as stream:
            stream.write(json.dumps([3, {"loss": 1.0}]) + "\n")
    assert seen == [(1, 1), (1, 2), (1, 3)]
