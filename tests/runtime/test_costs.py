"""What work cost is known of every attempt, and changes no byte of a result."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import main
from infra.distributed import GroupMember
from infra.storage import FolderStore
from tasks.core.errors import DataError, StoppedError
from tasks.core.results import Here, UnitResult
from tasks.runtime import costs
from tasks.runtime import step as step_module
from tasks.runtime.context import Workshop
from tasks.runtime.costs import attempts_at, attempts_for, metered, stage_costs, total, unit_metrics
from tasks.runtime.stages import StageRun
from tasks.runtime.step import Step
from tasks.runtime.worker import run_distributed
from tests.in_process import InProcess
from tests.runtime.test_stages import Heard, WordParams, shop, words
from tests.runtime.test_step import NUMBERED, contents

BURN_S = 0.05


def burn(word: str, here: Here) -> UnitResult:
    """Use the processor for a moment, half of it in a child; a word that is bad fails, one that is late stops."""
    end = time.process_time() + BURN_S
    while time.process_time() < end:
        pass
    subprocess.run([sys.executable, "-S", "-c", "sum(range(3_000_000))"], check=True)
    if word == "bad":
        raise DataError("bad")
    if word == "late":
        raise StoppedError("late")
    return UnitResult(summary={"documents": 3})


def burn_together(given: Sequence[str], places: Sequence[Here]) -> list[UnitResult | Exception]:
    """Use the processor for all words at once."""
    end = time.process_time() + BURN_S
    while time.process_time() < end:
        pass
    return [DataError("bad") if word == "bad" else UnitResult() for word in given]


BURN = Step("test.burn", "burning", burn, tokens=len)
TOGETHER = Step("test.burn-together", "burning", burn_together, grouped=True)


@pytest.fixture
def here(tmp_path: Path) -> Workshop:
    return Workshop(InProcess(), FolderStore(tmp_path / "store"))


def states(workshop: Workshop, step: Step, output: str = "") -> list[str]:
    return sorted(one.state for one in attempts_for(workshop.store, output).get(step.name, ()))


def test_a_unit_costs_the_time_of_its_process_and_of_its_children(here: Workshop) -> None:
    (record,) = BURN.map(here, ["word"])
    (attempt,) = attempts_at(here.store, BURN.name, record.key)
    assert attempt.state == "finished"
    assert attempt.cost.cpu_s > BURN_S * 1.2, "the child's time is missing"
    assert attempt.cost.gpu_s == 0.0 < attempt.cost.cpu_s <= attempt.cost.busy_s * os.cpu_count()  # type: ignore[operator]
    assert unit_metrics(here.store, BURN.name, record.key)["cost/cpu_s"] == attempt.cost.cpu_s


def test_a_share_of_a_gpu_costs_that_share_of_its_seconds(here: Workshop) -> None:
    with metered(here.store, "s", ["key"], "", gpus=0.25):
        time.sleep(0.02)
    (attempt,) = attempts_at(here.store, "s", "key")
    assert attempt.cost.gpu_s == pytest.approx(0.25 * attempt.cost.busy_s) and attempt.cost.gpu_s >= 0.005


@pytest.mark.parametrize(("word", "state"), [("bad", "failed"), ("late", "stopped")])
def test_what_did_not_finish_is_counted_and_the_unit_then_cost_both_attempts(
    here: Workshop, monkeypatch: pytest.MonkeyPatch, word: str, state: str
) -> None:
    with pytest.raises((DataError, StoppedError)):
        BURN.map(here, [word])
    assert states(here, BURN) == [state]
    # The same unit, under whose key nothing else is changed, gets through.
    (key,) = (one.key for one in attempts_for(here.store, "")[BURN.name])
    with metered(here.store, BURN.name, [key], "", 0.0):
        pass
    first, second = sorted(attempts_at(here.store, BURN.name, key), key=lambda one: one.cost.cpu_s, reverse=True)
    assert (first.state, second.state) == (state, "finished")
    assert unit_metrics(here.store, BURN.name, key)["cost/cpu_s"] == first.cost.cpu_s + second.cost.cpu_s


def test_of_a_killed_attempt_it_is_known_what_it_cost_until_then(
    here: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs, "_WRITTEN_EVERY_S", 0.01)
    with metered(here.store, "s", ["key"], "", 0.0):
        end = time.process_time() + BURN_S
        while time.process_time() < end:
            pass
        (attempt,) = attempts_at(here.store, "s", "key")  # as it would be left by a kill now
    assert (attempt.state, attempt.cost.cpu_s > 0) == ("under way", True)


def test_units_that_are_made_together_share_what_it_cost_and_one_may_fail_alone(here: Workshop) -> None:
    with pytest.raises(DataError, match="bad"):
        TOGETHER.map(here, ["a", "bad"], group_size=2)
    one, other = attempts_for(here.store, "")[TOGETHER.name]
    assert one.cost == other.cost and BURN_S / 2 <= one.cost.cpu_s < BURN_S
    assert states(here, TOGETHER) == ["failed", "finished"]


def test_every_process_of_a_unit_is_paid_for(here: Workshop) -> None:
    order = step_module._order(NUMBERED, "a", here, "cpu", 0.0)
    for rank in (1, 0):
        run_distributed(order, GroupMember(2, rank))
    assert len(attempts_at(here.store, NUMBERED.name, order.key)) == 2


def test_what_is_found_again_costs_nothing_and_its_first_cost_stays_known(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    for name, params in (("one", WordParams()), ("two", WordParams(words=("a", "bb", "ccc")))):
        manifest = words(params, inputs={}, output=tmp_path / name / "data" / "words", workshop=shop(store))
    made = {step.step: step for step in stage_costs(store, "words", manifest.key) or ()}
    assert made["toy.write"].amount.documents == 3
    assert set(made) == {"toy.write", "words.driver"}
    assert (made["toy.write"].lost_attempts, made["toy.write"].unknown) == (0, 0)
    own = {name: attempts_for(store, str(tmp_path / name / "data" / "words")) for name in ("one", "two")}
    assert [len(own[name]["toy.write"]) for name in own] == [2, 1]
    assert made["toy.write"].cost.busy_s == pytest.approx(sum(total(each["toy.write"]).busy_s for each in own.values()))


def test_the_time_of_workers_that_end_within_a_stage_is_not_the_driver_s_too(tmp_path: Path) -> None:
    store, book = FolderStore(tmp_path / "store"), costs.Book()
    book.begin("out")
    worker = [sys.executable, "-S", "-c", "import time\nwhile time.process_time() < 0.3: pass"]
    subprocess.run(worker, check=True)
    book.close(store, "words", "key")
    (own,) = stage_costs(store, "words", "key") or ()
    assert own.cost.cpu_s < 0.2


@pytest.mark.parametrize("wrong", [("--cpu-hour", "nan"), ("--gpu-hour", "inf"), ("--currency", "a b")])
def test_prices_that_are_none_are_told_in_one_sentence(wrong: tuple[str, str]) -> None:
    result = CliRunner().invoke(main, ["costs", *wrong])
    assert (result.exit_code, type(result.exception)) == (2, SystemExit), result.output
    assert f"{wrong[0][2:].replace('-', '_')}: " in result.stderr


def test_costs_are_in_no_published_byte(tmp_path: Path) -> None:
    manifests = [
        words(WordParams(), inputs={}, output=tmp_path / name / "words", workshop=shop(FolderStore(tmp_path / name)))
        for name in ("one", "two")
    ]
    assert manifests[0] == manifests[1]
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert list((tmp_path / "one" / "costs").rglob("*.json"))


def asked(*args: str) -> str:
    result = CliRunner().invoke(main, ["costs", *args])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_tells_both_costs_what_was_lost_and_money_where_there_are_prices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXWRIGHT_HOME", str(tmp_path / "home"))
    store, folder = FolderStore(tmp_path / "home" / "store"), tmp_path / "words"
    workshop = Workshop(InProcess(), store, Heard())
    workshop.book.begin(str(folder))
    with pytest.raises(DataError):
        BURN.map(workshop, ["bad"])
    # Of a stage that never published, as one that was killed, it is told too.
    (stage,) = json.loads(asked(str(folder), "--json"))["stages"]
    assert (stage["stage"], stage["not_finished"]) == ("test", {"failed": 1}) and stage["made"]["cpu_s"] > BURN_S
    # Its name is that of the stage that worked for the folder, whatever the steps are called.
    assert StageRun(workshop, "arms", words.__module__, WordParams(), {}, folder).unchanged() is None
    assert json.loads(asked(str(folder), "--json"))["stages"][0]["stage"] == "arms"
    words(WordParams(), inputs={}, output=folder, workshop=workshop)
    (stage,) = json.loads(asked(str(folder), "--json", "--cpu-hour", "3600"))["stages"]
    by_label = {step["label"]: step for step in stage["steps"]}
    assert (by_label["words"]["units"], by_label["words"]["found"]) == (2, 0)
    assert by_label["test.burn, not in what is published"]["made"]["cpu_s"] > BURN_S
    assert stage["made"]["money"] == pytest.approx(stage["made"]["cpu_s"])
    assert stage["not_finished"] == {"failed": 1}
    text = asked(str(folder))
    assert "words: 1 attempts did not finish (here: 1 failed); they cost 0." in text
    assert "USD" not in text and "EUR" in asked(str(folder), "--gpu-hour", "2", "--currency", "EUR")


def test_what_nobody_measured_is_said_and_not_counted_as_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXWRIGHT_HOME", str(tmp_path / "home"))
    words(WordParams(), inputs={}, output=tmp_path / "words", workshop=shop(FolderStore(tmp_path / "elsewhere")))
    assert "words: what it cost is not known here" in asked(str(tmp_path / "words"))
    (tmp_path / "none" / "data").mkdir(parents=True)
    result = CliRunner().invoke(main, ["costs", str(tmp_path / "none")])
    assert (result.exit_code, "no stage has begun here" in result.output) == (2, True)
