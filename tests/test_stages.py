"""All that speaks of stages follows from one table, tasks/stages.py; and a new stage is what CONTRIBUTING says it is."""

import importlib
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows import stages as stage_flows
from flows.config import PipelineParams
from tasks.core.code import code_of
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
    assert "StageRun(" in inspect.getsource(driver.run), "`explain` asks a driver up to there, so that nothing is done"


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
    # Else they are one: what the server is given of two of them (tests/infra/test_servers.py) it is given of all.
    own = {"entrypoint", "description"}
    rest = [{name: each[name] for name in each if name not in own} for each in read("prefect.yaml")["deployments"]]
    assert all(each == rest[0] for each in rest)
    assert {name: getattr(stage_flows, name).name for name in NAMES} == {name: name for name in NAMES}
    with pytest.raises(AttributeError, match="no flow trian; there are ingest, curate"):
        _ = stage_flows.trian
    assert tuple(READ) == stage_named("report").inputs
    # A version of the whole pipeline records what dvc.yaml names, so the pipeline runs every stage of it.
    recipe = (project / "flows" / "pipeline.py").read_text(encoding="utf-8")
    assert tuple(re.findall(r'run\.stage\("(\w+)"\)', recipe)) == NAMES


def _called(stage: dict[str, Any]) -> dict[str, Any]:
    """Return what dvc.yaml says of a stage."""
    return stage | {"cmd": shlex.split(stage["cmd"])}


def _expected(stage: Stage) -> dict[str, Any]:
    data = [f"data/{name}" for name in stage.inputs]
    named = data if stage.inputs == (RAW,) else [f"{name}=data/{name}" for name in stage.inputs]
    inputs = [word for name in named for word in ("--input", name)]
    words = ["python", "-m", stage.package, "--params", "params.yaml", *inputs, "--output", f"data/{stage.name}"]
    modules = code_of((stage.driver.partition(":")[0],)).modules
    code = sorted({f"tasks/{name.split('.')[1]}" for name in modules if name.startswith("tasks.")})
    return {"cmd": words, "deps": [*data, *code], "params": [stage.name], "outs": [f"data/{stage.name}"]}


# What CONTRIBUTING says of a stage of one's own: a package (tests/toys/stage is one) and these lines.
ROW = """    Stage(
        "toy",
        "Count the documents of each source.",
        inputs=("ingest",),
        params="tasks.toy.config:ToyParams",
        driver="tasks.toy.stage:run",
        publishes=("tasks.toy.published:DocumentCounts",),
    ),
)
NAMES = """
DVC = """  toy:
    cmd: python -m tasks.toy --params params.yaml --input ingest=data/ingest --output data/toy
    deps:
      - data/ingest
      - tasks/core
      - tasks/toy
    params:
      - toy
    outs:
      - data/toy
"""
DEPLOYMENT = """  - name: local
    description: Count the documents of each source.
    entrypoint: flows/stages.py:toy
    tags: [mixwright]
    parameters: *parameters
    work_pool: *pool
    concurrency_limit: *limit
    schedules: *nightly
"""
LINES = (
    ("tasks/stages.py", ")\nNAMES = ", ROW),
    (
        "flows/config.py",
        "from tasks.training.params",
        "from tasks.toy.config import ToyParams\nfrom tasks.training.params",
    ),
    ("flows/config.py", "    report: ReportParams = ReportParams()\n", "{}    toy: ToyParams = ToyParams()\n"),
    ("flows/pipeline.py", '        page = run.stage("report")\n', '{}        counts = run.stage("toy")\n'),
    ("flows/pipeline.py", "decision, page])", "decision, page, counts])"),
)


def _checkout_with_a_toy(project: Path, root: Path) -> Path:
    """Return a copy of the project with a stage more; what was compiled comes with it, and nothing half written."""
    for name in ("cli", "flows", "tasks", "infra", "configs", "tests", "docs/schemas"):
        shutil.copytree(project / name, root / name, ignore=shutil.ignore_patterns("*.pyc.*"))
    for name in ("dvc.yaml", "prefect.yaml", "params.yaml", "pyproject.toml"):
        shutil.copyfile(project / name, root / name)
    shutil.copytree(project / "tests" / "toys" / "stage", root / "tasks" / "toy")
    for name, before, after in LINES:
        text = (root / name).read_text(encoding="utf-8")
        assert text.count(before) == 1, f"{name}: {before!r}"
        (root / name).write_text(text.replace(before, after.replace("{}", before)), encoding="utf-8")
    for name, entry in (("dvc.yaml", DVC), ("prefect.yaml", DEPLOYMENT)):
        with (root / name).open("a", encoding="utf-8") as stream:
            stream.write(entry)
    return root


# What `python -m MODULE WORDS > FILE` does, one after the other in one process.
MODULES = """
import contextlib, json, runpy, sys
for file, module, *words in json.loads(sys.argv[1]):
    sys.argv = [module, *words]
    with open(file, "w", encoding="utf-8") as printed, contextlib.redirect_stdout(printed):
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            assert not end.code, (module, end.code)
"""


def test_a_stage_more_is_a_package_and_the_lines_that_contributing_names(project: Path, tmp_path: Path) -> None:
    root = _checkout_with_a_toy(project, tmp_path / "checkout")
    (tmp_path / "raw" / "web").mkdir(parents=True)
    rows = [{"id": f"d{number}", "text": "words " * number} for number in range(1, 5)]
    (tmp_path / "raw" / "web" / "a.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    raw, ingested, printed = str(tmp_path / "raw"), str(tmp_path / "ingested"), str(tmp_path / "printed")
    toy = ("--params", "params.yaml", "--input", f"ingest={ingested}", "--output", str(tmp_path / "toy"))
    tests = ("tests/test_stages.py", "tests/test_architecture.py", "tests/cli/test_schemas.py")
    chosen = "by_hand or is_there[toy] or pure_modules or nobody_imports or of_the_contracts"
    commands = (
        ("params.yaml", "cli", "params"),
        (printed, "cli.schemas"),
        (f"{printed}-help", "cli", "--help"),
        (printed, "tasks.ingest", "--input", raw, "--output", ingested),
        (f"{printed}-result", "tasks.toy", *toy, "--set", "toy.min_characters=10", "--json"),
        (
            f"{printed}-tests",
            "pytest",
            "-q",
            "-n",
            "0",
            "-p",
            "no:cacheprovider",
            "--assert",
            "plain",
            *tests,
            "-k",
            chosen,
        ),
    )
    done = subprocess.run(
        [sys.executable, "-c", MODULES, json.dumps(commands)],
        cwd=root,
        env=os.environ | {"MIXWRIGHT_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    found = Path(f"{printed}-tests")
    assert done.returncode == 0, done.stderr + (found.read_text() if found.exists() else "")
    assert re.search(r"^\d+ passed", found.read_text().splitlines()[-1]), found.read_text()
    assert "Count the documents of each source." in Path(f"{printed}-help").read_text()
    assert json.loads(Path(f"{printed}-result").read_text())["stage"] == "toy"
    assert json.loads((tmp_path / "toy" / "counts.json").read_text()) == {"format": 1, "documents": {"web": 3}}
