"""The command of a stage decides what its params leave to the machine before the stage sees them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click
import pytest
from click.testing import CliRunner

from tasks.core.errors import ConfigError
from tasks.core.manifest import Manifest
from tasks.core.params import Params
from tasks.runtime import command as core_command
from tasks.runtime.command import StageExtras, command_of, stage_command
from tasks.stages import stage_named


class Leveled(Params):
    """A stage whose level may be left to the machine."""

    level: Literal["auto", "low", "high"] = "auto"


def leveled(decided: str, seen: list[Leveled]) -> click.Command:
    """Return a stage's command on a machine that decides so; what it is run with is seen."""

    def run(params: Leveled, **_: object) -> Manifest:
        """Do nothing."""
        seen.append(params)
        raise ConfigError("the stage has begun")

    def decide(params: Leveled) -> Leveled:
        return params.model_copy(update={"level": decided}) if params.level == "auto" else params

    return stage_command("leveled", Leveled, run, about="A toy.", inputs=("before",), extras=StageExtras(decide=decide))


def test_a_stage_is_run_with_what_was_decided_and_keeps_it_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXWRIGHT_HOME", str(tmp_path / "home"))
    before, seen = tmp_path / "before", list[Leveled]()
    before.mkdir()
    Manifest("before", {}, {}, "code", ()).write(before)
    words = ["--input", str(before), "--output", str(tmp_path / "out"), "--workers", "1"]
    for decided, more in (("low", ()), ("high", ()), ("high", ("--set", "leveled.level=high"))):
        result = CliRunner().invoke(leveled(decided, seen), [*words, *more])
        assert "the stage has begun" in result.output, result.output
    assert [params.level for params in seen] == ["low", "low", "high"]


@pytest.mark.parametrize(
    ("stage_name", "module", "machine", "training"),
    [
        ("search", "tasks.mixture.command", "proxy_precision", lambda params: params.proxy),
        ("train", "tasks.training.command", "full_precision", lambda params: params.training),
    ],
)
def test_search_and_train_leave_their_precision_to_the_machine(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage_name: str,
    module: str,
    machine: str,
    training: Callable[[Any], Any],
) -> None:
    found = list[str]()

    def once(params: Any, decide: Callable[[Any], Any], *_: object) -> Any:
        found.extend([training(params).precision, training(decide(params)).precision])
        raise ConfigError("decided")

    monkeypatch.setenv("MIXWRIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(core_command, "decided_once", once)
    monkeypatch.setattr(core_command, "asked_of", lambda *_: "asked")
    monkeypatch.setattr(f"{module}.{machine}", lambda: "bfloat16")
    stage = stage_named(stage_name)
    words = [word for name in stage.inputs for word in ("--input", f"{name}={name}")]
    result = CliRunner().invoke(command_of(stage), [*words, "--output", str(tmp_path / "out"), "--workers", "1"])
    assert (result.exit_code, found) == (2, ["auto", "bfloat16"]), result.output
