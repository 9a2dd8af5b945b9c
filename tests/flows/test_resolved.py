"""What a config leaves open is decided once, before a run has a name, and stays decided wherever the run goes on."""

import json
from pathlib import Path

import pytest
import yaml

from flows.config import PipelineConfig, PipelineParams, read_config, resolved, resolved_params
from flows.run import params_text
from tasks.core.errors import DataError
from tasks.runtime.command import decided_once


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A machine whose precisions a test may change."""
    found = {"proxies": "float32", "full": "float32"}
    monkeypatch.setattr("tasks.mixture.command.proxy_precision", lambda: found["proxies"])
    monkeypatch.setattr("tasks.training.command.full_precision", lambda: found["full"])
    return found


def precisions(params: PipelineParams) -> tuple[str, ...]:
    second = params.search.transfer
    between = [] if second is None or second.training is None else [second.training]
    sizes = [params.search.proxy, *between, params.train.training]
    return tuple(training.precision for training in sizes)


def test_the_default_leaves_the_precision_to_the_machine(machine: dict[str, str]) -> None:
    machine["proxies"] = "bfloat16"
    asked = read_config("demo")
    assert precisions(asked.params) == ("auto", "auto")
    # Proxies, the second size between them and the full run, and that.
    assert precisions(resolved(asked).params) == ("bfloat16", "bfloat16", "float32")
    assert resolved(resolved(asked)) == resolved(asked)


def test_a_second_size_of_proxies_is_decided_too(machine: dict[str, str]) -> None:
    machine["proxies"] = "bfloat16"
    second = json.dumps({"training": read_config("demo").params.train.training.model_dump(mode="json")})
    asked = read_config("demo", settings=(f"search.transfer={second}",))
    assert precisions(resolved(asked).params) == ("bfloat16", "bfloat16", "float32")


@pytest.mark.usefixtures("machine")
def test_what_is_named_stays() -> None:
    asked = read_config("demo", settings=("search.proxy.precision=bfloat16",))
    assert precisions(resolved(asked).params) == ("bfloat16", "bfloat16", "float32")


@pytest.mark.usefixtures("machine")
def test_params_yaml_of_a_run_says_what_was_decided() -> None:
    text = params_text(resolved(PipelineConfig()))
    assert yaml.safe_load(text)["train"]["training"]["precision"] == "float32"
    assert "auto" not in {line.partition(": ")[2] for line in text.splitlines()}


def test_a_run_that_goes_on_on_another_machine_keeps_what_was_decided(tmp_path: Path, machine: dict[str, str]) -> None:
    asked = PipelineParams()
    first = decided_once(asked, resolved_params, tmp_path, "run")
    machine |= {"proxies": "bfloat16", "full": "bfloat16"}
    assert decided_once(asked, resolved_params, tmp_path, "run") == first
    assert precisions(decided_once(asked, resolved_params, tmp_path, "another run")) == ("bfloat16", "bfloat16")
    assert decided_once(first, resolved_params, tmp_path, "run") == first


def test_a_damaged_decision_is_named_and_not_made_up(tmp_path: Path, machine: dict[str, str]) -> None:
    decided_once(PipelineParams(), resolved_params, tmp_path, "run")
    (kept,) = (tmp_path / "decided").iterdir()
    kept.write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"run\.json: this is damaged"):
        decided_once(PipelineParams(), resolved_params, tmp_path, "run")
    assert machine["proxies"] == "float32"
