"""All that speaks of stages follows from one table, tasks/stages.py; and a new stage is what CONTRIBUTING says it is."""

import importlib
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows import stages as stage_flows
from flows.config import PipelineParams
from tasks.core.params import Params
from tasks.core.published import Published
from tasks.report.load import READ
from tasks.runtime.command import command_of
from tasks.stages import NAMES, RAW, STAGES, Stage, stage_named


@pytest.mark.parametrize("stage", STAGES, ids=NAMES)
def test_the_table_names_what_is_there(stage: Stage) -> None:
    assert issubclass(stage.load_params(), Params)
    assert all(issubclass(contract, Published) for contract in stage.load_publishes())
    assert set(stage.inputs) <= {RAW, *NAMES[: NAMES.index(stage.name)]}, "a stage reads what comes before it"
    main = importlib.import_module(f"{stage.package}.__main__")
    assert main.__doc__ == f"`python -m {stage.package}` is `mixwright {stage.name}`."
    assert command_of(stage).name == stage.name
    driver: Any = importlib.import_module(f"{stage.package}.stage")
    assert (driver.run, driver.STAGE) == (stage.load_driver(), stage.name)


def test_what_is_written_by_hand_follows_the_table(project: Path) -> None:
    def read(name: str) -> Any:
        return yaml.safe_load((project / name).read_text(encoding="utf-8"))

    assert {name: field.annotation for name, field in PipelineParams.model_fields.items()} == {
        stage.name: stage.load_params() for stage in STAGES
    }
    assert tuple(read("params.yaml")) == NAMES
    assert {name: _called(stage) for name, stage in read("dvc.yaml")["stages"].items()} == {
        stage.name: _expected(stage) for stage in STAGES
    }
    deployments = {each["entrypoint"]: each["description"] for each in read("prefect.yaml")["deployments"]}
    del deployments["flows/pipeline.py:pipeline"]
    assert deployments == {f"flows/stages.py:{stage.name}": stage.about for stage in STAGES}
    assert {name: vars(stage_flows)[name].name for name in NAMES} == {name: name for name in NAMES}
    assert tuple(READ) == stage_named("report").inputs


def _called(stage: dict[str, Any]) -> dict[str, Any]:
    """Return what dvc.yaml says of a stage, but for the code it depends on."""
    data = [path for path in stage["deps"] if path.startswith("data/")]
    return {"cmd": shlex.split(stage["cmd"]), "data": data, "params": stage["params"], "outs": stage["outs"]}


def _expected(stage: Stage) -> dict[str, Any]:
    data = [f"data/{name}" for name in stage.inputs]
    named = data if stage.inputs == (RAW,) else [f"{name}=data/{name}" for name in stage.inputs]
    inputs = [word for name in named for word in ("--input", name)]
    words = ["python", "-m", stage.package, "--params", "params.yaml", *inputs, "--output", f"data/{stage.name}"]
    return {"cmd": words, "data": data, "params": [stage.name], "outs": [f"data/{stage.name}"]}
