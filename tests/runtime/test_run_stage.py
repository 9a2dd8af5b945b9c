"""A stage of the table is run: where nothing has changed its driver is not even imported."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from infra.storage import FolderStore
from tasks.core.account import Account, Count
from tasks.core.manifest import Manifest
from tasks.evaluation.config import EvaluateParams
from tasks.runtime.context import Explaining, Workshop
from tasks.runtime.stages import StageRun, run_stage
from tasks.stages import Driver, Stage, stage_named
from tests.in_process import InProcess

USUAL = EvaluateParams()
INPUTS = ("tokenize", "search", "train")
Run = Callable[..., str]


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(InProcess(), FolderStore(tmp_path / "store"))


def _publish(
    workshop: Workshop, folder: Path, inputs: dict[str, str], text: str, account: Account | None = None
) -> None:
    stage = StageRun(workshop, folder.name, "tasks.evaluation.stage", USUAL, inputs, folder)
    stage.publish({"text": text}, account=account)


@pytest.fixture
def run(tmp_path: Path, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the stage on what three others published and say who ended it: its driver, or the look before."""

    def driver(params: EvaluateParams, **_: object) -> Manifest:
        return Manifest("the driver", {}, {}, "", ())

    def load(stage: Stage) -> Driver:
        return driver

    monkeypatch.setattr(Stage, "load_driver", load)
    for name in INPUTS:
        _publish(workshop, tmp_path / name, {}, name)

    def ended(params: EvaluateParams = USUAL, workshop: Workshop = workshop, inputs: tuple[str, ...] = INPUTS) -> str:
        places = {name: tmp_path / name for name in inputs}
        stage, output = stage_named("evaluate"), tmp_path / "evaluate"
        return run_stage(stage, params, inputs=places, output=output, workshop=workshop).stage

    return ended


def _done(tmp_path: Path, workshop: Workshop, extra: dict[str, str], account: Account | None = None) -> None:
    digests = {name: Manifest.read(tmp_path / name).output for name in INPUTS}
    _publish(workshop, tmp_path / "evaluate", digests | extra, "decision", account)


def test_an_unchanged_stage_is_taken_without_its_driver(tmp_path: Path, workshop: Workshop, run: Run) -> None:
    assert run() == "the driver", "nothing was published"
    _done(tmp_path, workshop, {})
    assert run() == "evaluate"
    assert run(inputs=("tokenize", "search")) == "the driver", "it may take something in the place of an input"
    assert run(EvaluateParams(confidence=0.8)) == "the driver"
    assert run(workshop=replace(workshop, explaining=Explaining())) == "the driver", "it explains what it would do"
    _publish(workshop, tmp_path / "search", {}, "another recipe")
    assert run() == "the driver"


def test_a_damaged_file_is_left_to_the_driver(tmp_path: Path, workshop: Workshop, run: Run) -> None:
    _done(tmp_path, workshop, {})
    (tmp_path / "evaluate" / "text").write_text("DECISION")
    assert run() == "the driver"


def test_a_stage_that_read_a_users_file_or_kept_nothing_is_left_to_its_driver(
    tmp_path: Path, workshop: Workshop, run: Run
) -> None:
    _done(tmp_path, workshop, {"a file": "0" * 64})
    assert run() == "the driver"
    nothing = Account(taken=Count(1, 1), kept=Count(), dropped={"short": Count(1, 1)})
    _done(tmp_path, workshop, {}, nothing)
    assert run() == "the driver"
