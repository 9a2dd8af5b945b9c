"""What runs are compared by in MLflow's table."""

from pathlib import Path

import pytest

from flows.config import read_config
from flows.headline import headline_metrics, headline_params
from tests.report.folders import stage_folders


def test_the_numbers_of_a_run_are_those_of_its_decision_its_models_and_its_documents(tmp_path: Path) -> None:
    folders = stage_folders(tmp_path)
    found = headline_metrics(folders["ingest"].parent)
    assert found["claim"] == found["forecast_inside"] == 1.0
    assert found["gain"] == found["gain_over/natural"] == pytest.approx(0.03)
    assert found["gain_over/uniform"] == pytest.approx(0.04)
    assert found["gain_lower"] < found["gain"] < found["gain_upper"]
    assert found["bits_per_byte/natural"] - found["bits_per_byte/searched"] == pytest.approx(0.03)
    assert (found["documents"], found["models"], found["domains"]) == (9, 9, 3)
    assert found["documents_kept_share"] == found["documents_kept"] / 9
    single = headline_metrics(stage_folders(tmp_path / "one", seeds=1)["ingest"].parent)
    assert single["claim"] == 0 and "gain_lower" not in single


def test_the_choices_of_a_run_are_its_strategy_its_sizes_and_its_seeds() -> None:
    found = headline_params(read_config("demo").params)
    assert found["search.strategy"] == "default"
    assert (found["train.num_seeds"], found["train.optimizer"], found["train.schedule"]) == (3, "adamw", "wsd")
    assert found["train.tokens"] == read_config("demo").params.train.training.num_tokens
