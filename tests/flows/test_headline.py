"""What runs are compared by in MLflow's table."""

from pathlib import Path

import pytest

from flows.config import read_config
from flows.headline import headline_metrics, headline_params, headline_tables, run_costs
from infra.settings import PriceSettings
from infra.storage import FolderStore
from tasks.core.manifest import Manifest
from tasks.evaluation.numbers import OBJECTIVES
from tasks.evaluation.published import Decision, MeasuredModels
from tasks.runtime.costs import Book
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
    assert found["gain_over/uniform_lower"] < found["gain_over/uniform"]
    assert found["forecast_gain_lower"] < found["forecast_gain"] == pytest.approx(0.021)
    decision = Decision.read(folders["evaluate"])
    for domain, row in decision.per_domain.items():
        assert found[f"bits_per_byte/searched/{domain}"] == row["searched"]
    single = headline_metrics(stage_folders(tmp_path / "one", seeds=1)["ingest"].parent)
    assert single["claim"] == 0 and "gain_lower" not in single


def test_the_choices_of_a_run_are_its_strategy_its_sizes_and_its_seeds() -> None:
    found = headline_params(read_config("demo").params)
    assert found["search.strategy"] == "default"
    assert (found["train.num_seeds"], found["train.optimizer"], found["train.schedule"]) == (3, "adamw", "wsd")
    assert found["train.tokens"] == read_config("demo").params.train.training.num_tokens


def test_an_objective_of_another_unit_is_not_called_bits_per_byte(tmp_path: Path) -> None:
    evaluate = stage_folders(tmp_path)["evaluate"]
    decision = Decision.read(evaluate)
    losses = {name: dict.fromkeys(row, 0.5) for name, row in list(decision.per_domain.items())[:1]}
    decision.model_copy(update={"unit": "loss", "per_task": losses}).write(evaluate)
    found, overall = headline_metrics(tmp_path), MeasuredModels.read(evaluate).overall
    assert {name: found[f"objective/{name}"] for name in overall} == overall
    assert not {f"bits_per_byte/{name}" for name in overall} & {*found}
    (task,) = losses
    assert found[f"task_loss/natural/{task}"] == 0.5 == headline_tables(tmp_path)["tasks"][0]["natural"]
    assert {*OBJECTIVES.values()} == {"bits_per_byte", "nats_per_token", "objective"}


def test_the_tables_of_a_run_have_a_row_per_gain_and_per_domain(tmp_path: Path) -> None:
    folders = stage_folders(tmp_path)
    tables, decision = headline_tables(tmp_path), Decision.read(folders["evaluate"])
    rows = {(row["over"], row["on"]): row for row in tables["gains"]}
    assert rows[("uniform", "objective")]["gain"] == decision.comparisons["uniform"].gain
    assert len(rows) == len(decision.comparisons) * (1 + len(decision.per_domain))
    assert [row["domain"] for row in tables["mixtures"]] == list(decision.per_domain)
    assert sum(row["searched weight"] for row in tables["mixtures"]) == pytest.approx(1.0)


def test_the_costs_of_a_run_are_told_by_stage_in_money_and_whole_where_all_of_it_is_known(tmp_path: Path) -> None:
    folders, store = stage_folders(tmp_path), FolderStore(tmp_path / "store")
    assert run_costs(store, folders.values(), PriceSettings()) == ({}, ())
    Book(str(folders["train"]), -10.0).close(store, "train", Manifest.read(folders["train"]).key)
    prices = PriceSettings(cpu_hour=3600, currency="EUR")
    found, rows = run_costs(store, folders.values(), prices)
    assert found["cost/train/EUR"] == pytest.approx(found["cost/train/cpu_s"]) and found["cost/train/EUR"] > 10
    assert [(row["stage"], row["step"]) for row in rows] == [("train", "own process")]
    assert "cost/cpu_s" not in found
    whole, _ = run_costs(store, [folders["train"]], prices)
    assert whole["cost/cpu_s"] == found["cost/train/cpu_s"]
