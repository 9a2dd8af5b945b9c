"""The study of optimizers: how it finds a learning rate, and what its table says."""

import pytest

from benchmarks.studies import frugal
from tasks.training.config import TrainingConfig


def test_every_arm_is_a_config_and_holds_the_bytes_of_its_formula() -> None:
    held = {
        name: frugal.held_bytes(frugal.training(100, rate, optimizer))
        for name, (rate, optimizer) in frugal.arms(100).items()
    }
    assert held["FRUGAL, density 1"] == held["AdamW"] == max(held.values())
    signs, columns, along = (held[f"FRUGAL, density {one}"] for one in ("0 (signs)", "0.25, columns", "0.25, svd"))
    assert signs < columns < along < held["Muon"]


def test_the_best_rate_has_a_worse_one_on_either_side(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def bits_of(pool: object, config: TrainingConfig, seeds: range) -> list[float]:
        tried.append(config.optimizer.learning_rate)
        return [abs(config.optimizer.learning_rate - 0.05)]

    monkeypatch.setattr(frugal, "bits_of", bits_of)
    config = frugal.training(100, 0.01, {"kind": "adamw"})
    assert frugal.best_rate(None, config) == pytest.approx(0.04)  # type: ignore[arg-type]
    assert sorted(tried) == pytest.approx([0.005, 0.01, 0.02, 0.04, 0.08])


def test_the_table_has_paired_differences_from_adamw() -> None:
    rows = {
        "AdamW": (0.01, [4.0, 4.1, 4.2], 100),
        "same": (0.01, [4.0, 4.1, 4.2], 100),
        "b": (0.1, [3.9, 4.0, 4.1], 25),
    }
    told = frugal.table(rows).splitlines()
    assert told[3] == "| same | 0.01 | 4.1000 | the same bits |  | 100 | 1.00 |"
    assert told[4] == "| b | 0.1 | 4.0000 | -0.1000 | -0.1000 to -0.1000 | 25 | 0.25 |"
