"""`mixwright harness`: what is typed reaches lm-evaluation-harness as it is. Here something stands in for it."""

import sys
from types import ModuleType

import pytest
from click.testing import CliRunner

from cli.main import main


def test_the_harness_gets_every_word_and_its_mistakes_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []

    def evaluate() -> None:
        told.append(sys.argv)
        raise ValueError("Tasks not found: nope")

    stand_in, adapter = ModuleType("lm_eval.__main__"), ModuleType("tasks.evaluation.harness.adapter")
    vars(stand_in)["cli_evaluate"], vars(adapter)["register"] = evaluate, lambda: told.append("registered")
    for module in (ModuleType("lm_eval"), stand_in, adapter):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(sys, "argv", ["mixwright"])
    words = ["--model", "mixwright", "--model_args", "pretrained=m", "--tasks", "nope", "-x", "--log_samples"]
    result = CliRunner().invoke(main, ["harness", *words])
    assert told == ["registered", ["lm-eval", *words]]
    assert (result.exit_code, result.output) == (2, "ConfigError: lm-evaluation-harness: Tasks not found: nope\n")
