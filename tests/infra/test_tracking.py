"""The tracker: against a real MLflow server, against none, and across an outage."""

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.errors import ServiceError
from infra.mlflow_calls import CLAIM_TAG, DIGEST_TAG, GAIN_LOWER_TAG, KEY_TAG, _name, _param_text, best_claim
from infra.records import Dataset, Model, Records, RunRecord
from infra.settings import Settings
from infra.tracking import Tracker
from tests.fixtures_servers import free_port

LOSS = tuple((step, 1.0 / (step + 1)) for step in range(1200))


@pytest.fixture
def tracker(connected: Settings, tmp_path: Path) -> Tracker:
    """A tracker of the live server."""
    return Tracker(connected.mlflow.tracking_uri, "demo", tmp_path / "records")


@pytest.fixture
def key() -> str:
    """The key of a lineage of the test's own."""
    return uuid.uuid4().hex


def _client(tracker: Tracker):  # type: ignore[no-untyped-def]
    from mlflow import MlflowClient

    return MlflowClient(tracker.uri)


def _id(tracker: Tracker, key: str) -> str:
    return tracker.run_url(key).rpartition("/")[2]


def _run(tracker: Tracker, key: str) -> Any:
    return _client(tracker).get_run(_id(tracker, key))


def _below(tracker: Tracker, key: str) -> list[Any]:
    above = _run(tracker, key).info
    return list(_client(tracker).search_runs([above.experiment_id], f"tags.`mlflow.parentRunId` = '{above.run_id}'"))


def test_a_server_that_is_away_at_the_start_is_named_with_the_command_that_starts_it(tmp_path: Path) -> None:
    tracker = Tracker(f"http://127.0.0.1:{free_port()}", "demo", tmp_path)
    with pytest.raises(ServiceError, match=r"MLflow does not answer at http://127.*mixwright up"):
        tracker.start("key", "demo")


def test_a_run_is_found_again_by_its_lineage_and_runs_again(tracker: Tracker, key: str, tmp_path: Path) -> None:
    tracker.start(key, "pipeline", tags={"mixwright.stage": "pipeline"})
    first = _id(tracker, key)
    tracker.change(key, status="FAILED")
    later = Tracker(tracker.uri, "demo", tmp_path / "other")
    later.start(key, "pipeline")
    assert _id(later, key) == first
    run = _client(tracker).get_run(first)
    assert run.info.status == "RUNNING"
    assert run.data.tags[KEY_TAG] == key
    assert tracker.run_url(key) == f"{tracker.uri}/#/experiments/{run.info.experiment_id}/runs/{first}"


def test_a_run_below_with_the_same_key_is_made_once_and_shown_again_it_changes_nothing(
    tracker: Tracker, key: str, tmp_path: Path
) -> None:
    for attempt in range(3):
        again = Tracker(tracker.uri, "demo", tmp_path / str(attempt))
        again.start(key, "pipeline")
        record = RunRecord(
            key=f"{key}/proxy",
            name="proxy-0",
            parent=key,
            params={"seed": 0, "weights": [0.5, 0.5]},
            metrics={"bpb: a+b": 1.5},
            curves={"loss": LOSS},
            tags={"mixwright.kind": "design"},
        )
        again.put(record)
        again.put(record.changed(status="FINISHED"))
    (run,) = _below(again, key)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"seed": "0", "weights": "[0.5, 0.5]"}
    assert run.data.metrics["bpb: a_b"] == 1.5
    history = _client(tracker).get_metric_history(run.info.run_id, "loss")
    assert tuple(sorted((point.step, point.value) for point in history)) == LOSS


def test_a_run_that_was_finished_stays_so_when_its_stage_starts_again(tracker: Tracker, key: str) -> None:
    tracker.start(key, "pipeline")
    for status in ("FINISHED", "FAILED"):
        tracker.start(f"{key}/{status}", "search", key)
        tracker.change(f"{key}/{status}", status=status)
        tracker.start(f"{key}/{status}", "search", key)
    assert sorted(run.info.status for run in _below(tracker, key)) == ["FINISHED", "RUNNING"]


def test_what_a_killed_run_left_running_is_killed_with_all_below_it_and_nothing_else(
    tracker: Tracker, key: str, tmp_path: Path
) -> None:
    other = Tracker(tracker.uri, "demo", tmp_path / "other")
    other.start("living" + key, "pipeline")
    tracker.start(key, "pipeline")
    tracker.start("search", "search", key)
    for number, status in enumerate(("RUNNING", "FINISHED")):
        tracker.put(RunRecord(key=f"p{number}", name=f"proxy-{number}", parent="search", status=status))
    assert tracker.kill(key) == 3
    assert Tracker(tracker.uri, "no such experiment", tmp_path).kill(key) == tracker.kill(key) == 0
    statuses = [_run(tracker, each).info.status for each in (key, "search", "p0", "p1")]
    assert statuses == ["KILLED", "KILLED", "KILLED", "FINISHED"]
    assert _run(other, "living" + key).info.status == "RUNNING"
    again = Tracker(tracker.uri, "demo", tmp_path / "records")
    again.start(key, "pipeline")
    again.start("search", "search", key)
    assert [_run(again, each).info.status for each in (key, "search")] == ["RUNNING", "RUNNING"]


def test_a_run_that_was_stopped_is_killed_and_one_that_failed_is_failed(tracker: Tracker, key: str) -> None:
    for error, status in ((KeyboardInterrupt(), "KILLED"), (SystemExit(143), "KILLED"), (ValueError(), "FAILED")):
        tracker.start(key, "pipeline")
        tracker.end_after(error, key)
        assert _run(tracker, key).info.status == status


class _Counted:
    """An MLflow client that counts the calls of its methods, by name."""

    def __init__(self, client: Any) -> None:
        self._client, self.calls = client, list[str]()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            self.calls.append(name)
            return getattr(self._client, name)(*args, **named)

        return call


def test_a_finished_run_costs_four_calls_and_none_when_it_is_put_again(
    tracker: Tracker, key: str, tmp_path: Path
) -> None:
    tracker.start(key, "pipeline")
    curve = tuple((step, 2.0) for step in range(100))
    runs = [
        RunRecord(
            key=f"{key}/{number}",
            name=f"run-{number}",
            parent=key,
            status="FINISHED",
            params={"seed": number},
            metrics={"mean": 1.0},
            curves={"loss": curve, "rate": curve},
        )
        for number in range(5)
    ]
    tracker._client = counted = _Counted(_client(tracker))  # type: ignore[assignment]
    for run in runs:
        tracker.put(run)
    assert counted.calls == ["search_runs"] + ["create_run", "log_batch", "log_batch", "set_terminated"] * 5
    assert tracker.num_waiting == 0
    again = Tracker(tracker.uri, "demo", tmp_path / "records")
    again._client = counted = _Counted(_client(tracker))  # type: ignore[assignment]
    for run in runs:
        again.put(run)
    assert counted.calls == []


def test_a_dataset_input_carries_the_full_digest_and_the_dvc_revision(tracker: Tracker, key: str) -> None:
    digest = "ab" * 32
    tags = {"dvc.rev": "data/demo/v1", "dvc.md5": "0" * 32 + ".dir"}
    tracker.start(key, "pipeline")
    for note in ("first", "second"):
        given = Dataset(name="raw", digest=digest, context="ingest", tags=tags)
        tracker.label(key, {"note": note}, datasets=(given,))
    (found,) = _run(tracker, key).inputs.dataset_inputs
    assert found.dataset.digest == digest[:36]
    assert {tag.key: tag.value for tag in found.tags} == {"mlflow.data.context": "ingest", DIGEST_TAG: digest, **tags}


def test_a_model_is_registered_once_and_its_alias_brings_the_same_bytes_back(
    tracker: Tracker, key: str, tmp_path: Path
) -> None:
    import mlflow.artifacts

    name, folder = f"model-{key[:8]}", tmp_path / "export"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 100)
    tracker.start(key, "pipeline")
    client = _client(tracker)

    def registered(note: str, *aliases: str, **tags: str) -> str:
        model = Model(name=name, folder=folder, aliases=aliases, tags=tags)
        tracker.label(key, {"note": note}, models=(model,))
        return str(client.get_model_version_by_alias(name, "searched").version)

    assert registered("first", "searched", "first", **{"mixwright.mixture": "searched"}) == "1"
    assert registered("again", "searched") == "1"
    (folder / "config.json").write_text('{"a": 1}')
    assert registered("other bytes", "searched") == "2"
    assert client.get_model_version_by_alias(name, "first").version == "1"
    assert client.get_model_version(name, "1").tags["mixwright.mixture"] == "searched"
    got = Path(
        mlflow.artifacts.download_artifacts(
            f"models:/{name}@searched", dst_path=str(tmp_path / "got"), tracking_uri=tracker.uri
        )
    )
    for path in folder.iterdir():
        assert (got / path.name).read_bytes() == path.read_bytes()


def claimed(lower: float | None, gain: float = 1.0) -> dict[str, str]:
    told = {} if lower is None else {GAIN_LOWER_TAG: repr(lower)}
    return {CLAIM_TAG: str(lower is not None).lower(), "mixwright.gain": repr(gain), **told}


@pytest.mark.parametrize(
    ("versions", "best"),
    [
        ([], None),
        ([claimed(None), claimed(None, gain=9.0)], None),
        ([claimed(None), claimed(0.01)], 2),
        ([claimed(0.01), claimed(None, gain=9.0)], 1),
        ([claimed(0.02), claimed(0.01)], 1),
        ([claimed(0.02), claimed(0.03)], 2),
        ([claimed(0.02), claimed(0.02)], 2),
        ([claimed(0.02), {CLAIM_TAG: "false", GAIN_LOWER_TAG: "0.5"}], 1),
        ([{CLAIM_TAG: "true"}, claimed(0.02)], 2),
    ],
)
def test_the_champion_is_the_claim_that_is_sure_of_most(versions: list[dict[str, str]], best: int | None) -> None:
    assert best_claim(dict(enumerate(versions, start=1))) == best


def test_every_run_has_a_version_of_its_own_and_the_champion_leads_to_its_evidence(
    tracker: Tracker, tmp_path: Path
) -> None:
    name, folder = f"model-{uuid.uuid4().hex[:8]}", tmp_path / "export"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    keys = [uuid.uuid4().hex for _ in range(3)]
    trackers = [Tracker(tracker.uri, "demo", tmp_path / key) for key in keys]
    for each, key in zip(trackers, keys, strict=True):
        each.start(key, "pipeline")
    client = _client(tracker)

    def registered(number: int, tags: dict[str, str]) -> dict[str, str]:
        model = Model(name=name, folder=folder, aliases=("newest",), tags={"dvc.rev": f"data/v{number + 1}", **tags})
        trackers[number].change(keys[number], models=(model,))
        return {alias: str(at) for alias, at in client.get_registered_model(name).aliases.items()}

    assert registered(0, claimed(None)) == {"newest": "1"}
    assert registered(1, claimed(0.02)) == {"newest": "2", "champion": "2"}
    # The same bytes from a stricter run that claims nothing: a version of its own, and the champion stays.
    assert registered(2, claimed(None, gain=9.0)) == {"newest": "3", "champion": "2"}
    champion = client.get_model_version_by_alias(name, "champion")
    assert champion.run_id == _id(trackers[1], keys[1])
    assert (champion.tags["dvc.rev"], champion.tags[KEY_TAG]) == ("data/v2", keys[1])
    assert champion.tags[CLAIM_TAG] == "true"
    # The first run again is the first version again, with tags that are true now.
    assert registered(0, claimed(0.03)) == {"newest": "1", "champion": "1"}
    assert client.get_model_version(name, "1").tags[CLAIM_TAG] == "true"
    assert registered(0, claimed(None))["champion"] == "2"


def test_artifacts_of_a_run_are_stored(tracker: Tracker, key: str, tmp_path: Path) -> None:
    page = tmp_path / "all" / "report.html"
    page.parent.mkdir()
    page.write_text("<p>here</p>")
    tracker.start(key, "pipeline")
    tracker.change(key, artifacts=(page, page.parent), texts={"pictures/regret.svg": "<svg/>"})
    client, run = _client(tracker), _id(tracker, key)
    assert [found.path for found in client.list_artifacts(run)] == ["all", "pictures", "report.html"]
    assert [found.path for found in client.list_artifacts(run, "pictures")] == ["pictures/regret.svg"]
    assert "all/report.html" in [found.path for found in client.list_artifacts(run, "all")]


def test_what_mlflow_refuses_is_an_error_and_is_told_once_later(
    tracker: Tracker, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker.start(key, "pipeline")
    tracker.change(key, params={"seed": 0})
    with pytest.raises(ServiceError, match="refused"):
        tracker.change(key, params={"seed": 1})
    gone = RunRecord(key="gone", name="gone", parent=key, status="FINISHED", artifacts=(tmp_path / "gone.html",))
    with pytest.raises(FileNotFoundError):
        tracker.put(gone)
    Records(tmp_path / "records").put(RunRecord(key="stray", name="stray", parent="nobody"))
    Records(tmp_path / "records").put(RunRecord(key="whole", name="whole", parent=key, status="FINISHED"))
    later = Tracker(tracker.uri, "demo", tmp_path / "records")
    assert later.catch_up() == 1
    assert "3 of the 4 runs that waited for it cannot be shown in full" in capsys.readouterr().err
    assert later.catch_up() == later.num_waiting == 0 and not capsys.readouterr().err
    assert _run(later, "whole").info.status == "FINISHED"


def test_what_ends_during_an_outage_is_shown_by_whoever_comes_after_it(
    tracker: Tracker, key: str, tmp_path: Path
) -> None:
    tracker.start(key, "pipeline")
    address = tracker.uri
    tracker.uri, tracker._client = f"http://127.0.0.1:{free_port()}", None
    began = time.monotonic()
    tracker.start(f"{key}/search", "search", key)
    for number in range(20):
        tracker.put(
            RunRecord(
                key=f"{key}/{number}",
                name=f"proxy-{number}",
                parent=f"{key}/search",
                status="FINISHED",
                params={"seed": number},
                curves={"loss": ((0, 3.0), (1, 2.0))},
            )
        )
    assert time.monotonic() - began < 30, "an outage costs one timeout, not one per run"
    assert tracker.num_waiting == 21
    assert tracker.run_url(f"{key}/search") == tracker.uri
    with pytest.raises(ServiceError, match="does not answer"):
        tracker.catch_up()
    assert tracker.num_waiting == 21
    later = Tracker(address, "demo", tmp_path / "records")
    assert later.catch_up() == 21
    later.label(f"{key}/search", {"note": "from another process"}, status="FINISHED")
    (found,) = _below(later, key)
    assert (found.info.status, found.data.tags[KEY_TAG]) == ("FINISHED", f"{key}/search")
    assert found.data.tags["note"] == "from another process"
    assert {
        (run.info.run_name, run.info.status, run.data.metrics["loss"]) for run in _below(later, f"{key}/search")
    } == {(f"proxy-{number}", "FINISHED", 2.0) for number in range(20)}


def test_the_process_that_met_the_outage_shows_all_of_it_when_the_server_is_back(tracker: Tracker, key: str) -> None:
    tracker.start(key, "pipeline")
    address = tracker.uri
    tracker.uri, tracker._client = f"http://127.0.0.1:{free_port()}", None
    tracker.start(f"{key}/search", "search", key)
    tracker.uri, tracker._client, tracker._away_until = address, None, time.monotonic()
    tracker.start(f"{key}/train", "train", key)
    assert tracker.num_waiting == 0
    assert sorted(run.info.run_name for run in _below(tracker, key)) == ["search", "train"]


def test_a_server_that_lost_the_run_is_given_all_of_it_again(tracker: Tracker, key: str, tmp_path: Path) -> None:
    tracker.start(key, "pipeline")
    tracker.put(RunRecord(key="proxy", name="proxy", parent=key, status="FINISHED", metrics={"bpb": 1.0}))
    _client(tracker).delete_run(_id(tracker, key))
    later = Tracker(tracker.uri, "demo", tmp_path / "records")
    later.start(key, "pipeline")
    (run,) = _below(later, key)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"bpb": 1.0})


def test_a_record_that_a_kill_tore_is_not_taken_for_one(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.put(RunRecord(key="whole", name="whole"))
    (tmp_path / "waiting" / "torn.json").write_text('{"key": "to')
    (tmp_path / "waiting" / "half.part").write_text('{"key": "to')
    assert [record.name for record in records.waiting()] == ["whole"]
    assert records.find("torn") is None


def test_names_and_long_values_fit_what_mlflow_takes() -> None:
    assert _name("bpb:C++ (headers)") == "bpb:C__ _headers_"
    long = _param_text("x" * 10_000)
    assert len(long) == 6000
    assert "sha256" in long
    assert _param_text("y" * 10_000)[-70:] != long[-70:]


def test_a_run_under_way_goes_on_under_its_id_over_kills_and_ends_as_the_finished_one(
    tracker: Tracker, key: str, tmp_path: Path
) -> None:
    tracker.start(key, "pipeline")
    tracker.start("train", "train", key)
    speed = tuple((step, 100.0 + step) for step in range(3))
    for _ in range(2):
        again = Tracker(tracker.uri, "demo", tmp_path / "records")
        again.live("run", "run", "train", {"loss": LOSS[:3], "tokens_per_s": speed})
        (run,) = _below(tracker, "train")
        assert run.info.status == "RUNNING"
        again.change("run", status="KILLED")
    tracker.put(RunRecord(key="run", name="run", parent="train", status="FINISHED", curves={"loss": LOSS[:5]}))
    tracker.live("run", "run", "train", {"loss": LOSS[:9]})
    (ended,) = _below(tracker, "train")
    assert (ended.info.run_id, ended.info.status) == (run.info.run_id, "FINISHED")
    for name, curve in (("loss", LOSS[:5]), ("tokens_per_s", speed)):
        history = _client(tracker).get_metric_history(run.info.run_id, name)
        assert tuple(sorted((point.step, point.value) for point in history)) == curve
