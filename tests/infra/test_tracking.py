"""The tracker: against a real MLflow server, against none, and across an outage."""

import json
import time
import uuid
from pathlib import Path

import pytest

from infra import tracking
from infra.errors import ServiceError
from infra.mlflow_calls import CLAIM_TAG, DIGEST_TAG, GAIN_LOWER_TAG, KEY_TAG, _name, _param_text, best_claim
from infra.settings import Settings
from infra.spool import Delivery, Spool
from infra.tracking import Tracker
from tests.fixtures_servers import free_port


@pytest.fixture
def tracker(connected: Settings, tmp_path: Path) -> Tracker:
    """A tracker of the live server."""
    return Tracker(connected.mlflow.tracking_uri, tmp_path / "spool")


def _client(tracker: Tracker):  # type: ignore[no-untyped-def]
    from mlflow import MlflowClient

    return MlflowClient(tracker.uri)


def test_a_server_that_is_away_at_the_start_is_named_with_the_command_that_starts_it(tmp_path: Path) -> None:
    tracker = Tracker(f"http://127.0.0.1:{free_port()}", tmp_path)
    with pytest.raises(ServiceError, match=r"MLflow does not answer at http://127.*mixwright up"):
        tracker.parent_run("demo", "demo", "key", {})


def test_a_run_is_found_again_by_its_lineage_and_runs_again(tracker: Tracker, tmp_path: Path) -> None:
    key = uuid.uuid4().hex
    first = tracker.parent_run("demo", "pipeline", key, {"mixwright.stage": "pipeline"})
    tracker.finish(first, "FAILED")
    later = Tracker(tracker.uri, tmp_path / "other")
    assert later.parent_run("demo", "pipeline", key) == first
    run = _client(tracker).get_run(first)
    assert run.info.status == "RUNNING"
    assert run.data.tags[KEY_TAG] == key
    assert tracker.run_url(first) == f"{tracker.uri}/#/experiments/{run.info.experiment_id}/runs/{first}"


def test_a_child_with_the_same_key_is_made_once_and_logging_again_changes_nothing(
    tracker: Tracker, tmp_path: Path
) -> None:
    parent = tracker.parent_run("demo", "pipeline", uuid.uuid4().hex)
    curve = [(step, 1.0 / (step + 1)) for step in range(1200)]
    ids = set()
    for attempt in range(3):
        again = Tracker(tracker.uri, tmp_path / str(attempt))
        child = again.child_run(parent, "proxy-0", "proxy-key", {"mixwright.kind": "design"})
        again.log(child, params={"seed": 0, "weights": [0.5, 0.5]}, metrics={"bpb: a+b": 1.5}, curves={"loss": curve})
        if attempt == 1:
            again.finish(child)
        ids.add(child)
    client = _client(tracker)
    run = client.get_run(child)
    assert len(ids) == 1
    assert run.info.status == "FINISHED"
    assert run.data.params == {"seed": "0", "weights": "[0.5, 0.5]"}
    assert run.data.metrics["bpb: a_b"] == 1.5
    history = client.get_metric_history(child, "loss")
    assert sorted((point.step, point.value) for point in history) == curve
    assert run.data.tags["mlflow.parentRunId"] == parent


def test_what_a_killed_run_left_running_is_killed_with_all_below_it_and_nothing_else(tracker: Tracker) -> None:
    key, other = uuid.uuid4().hex, uuid.uuid4().hex
    parent, living = tracker.parent_run("demo", "pipeline", key), tracker.parent_run("demo", "pipeline", other)
    stage = tracker.child_run(parent, "search", "search-key")
    proxy, done = tracker.child_run(stage, "proxy-0", "p0"), tracker.child_run(stage, "proxy-1", "p1")
    tracker.finish(done)
    assert tracker.kill("demo", key) == 3
    assert tracker.kill("no such experiment", key) == tracker.kill("demo", key) == 0
    statuses = [_client(tracker).get_run(run).info.status for run in (parent, stage, proxy, done, living)]
    assert statuses == ["KILLED", "KILLED", "KILLED", "FINISHED", "RUNNING"]


def test_a_run_that_was_stopped_is_killed_and_one_that_failed_is_failed(tracker: Tracker) -> None:
    for error, status in ((KeyboardInterrupt(), "KILLED"), (SystemExit(143), "KILLED"), (ValueError(), "FAILED")):
        run = tracker.parent_run("demo", "pipeline", uuid.uuid4().hex)
        tracker.finish_after(error, run)
        assert _client(tracker).get_run(run).info.status == status


def test_the_runs_of_a_demo_are_logged_within_seconds(tracker: Tracker) -> None:
    parent = tracker.parent_run("demo", "pipeline", uuid.uuid4().hex)
    began = time.monotonic()
    for number in range(33):
        child = tracker.child_run(parent, f"run-{number}", f"key-{number}")
        curve = [(step, 2.0) for step in range(100)]
        tracker.log(child, params={"seed": number}, metrics={"mean": 1.0}, curves={"loss": curve, "rate": curve})
        tracker.finish(child)
    assert tracker.unsent == 0
    assert time.monotonic() - began < 20, "33 runs are three calls each"


def test_a_dataset_input_carries_the_full_digest_and_the_dvc_revision(tracker: Tracker) -> None:
    run = tracker.parent_run("demo", "pipeline", uuid.uuid4().hex)
    digest = "ab" * 32
    for _ in range(2):
        tracker.log_dataset_input(
            run, "raw", digest, "ingest", {"dvc.rev": "data/demo/v1", "dvc.md5": "0" * 32 + ".dir"}
        )
    (found,) = _client(tracker).get_run(run).inputs.dataset_inputs
    tags = {tag.key: tag.value for tag in found.tags}
    assert found.dataset.digest == digest[:36]
    assert tags == {
        "mlflow.data.context": "ingest",
        DIGEST_TAG: digest,
        "dvc.rev": "data/demo/v1",
        "dvc.md5": "0" * 32 + ".dir",
    }


def test_a_model_is_registered_once_and_its_alias_brings_the_same_bytes_back(tracker: Tracker, tmp_path: Path) -> None:
    import mlflow.artifacts

    run, name = tracker.parent_run("demo", "pipeline", uuid.uuid4().hex), f"model-{uuid.uuid4().hex[:8]}"
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 100)
    first = tracker.register_model(run, folder, name, ["searched", "first"], {"mixwright.mixture": "searched"})
    assert tracker.register_model(run, folder, name, ["searched"]) == first == "1"
    (folder / "config.json").write_text('{"a": 1}')
    assert tracker.register_model(run, folder, name, ["searched"]) == "2"
    client = _client(tracker)
    assert client.get_model_version_by_alias(name, "searched").version == "2"
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
    runs = [tracker.parent_run("demo", "pipeline", key) for key in keys]
    client = _client(tracker)

    def registered(number: int, tags: dict[str, str]) -> tuple[str | None, dict[str, str]]:
        version = tracker.register_model(
            runs[number], folder, name, ("newest",), {"dvc.rev": f"data/v{number + 1}", **tags}
        )
        return version, {alias: str(at) for alias, at in client.get_registered_model(name).aliases.items()}

    assert registered(0, claimed(None)) == ("1", {"newest": "1"})
    assert registered(1, claimed(0.02)) == ("2", {"newest": "2", "champion": "2"})
    # The same bytes from a stricter run that claims nothing: a version of its own, and the champion stays.
    assert registered(2, claimed(None, gain=9.0)) == ("3", {"newest": "3", "champion": "2"})
    champion = client.get_model_version_by_alias(name, "champion")
    assert (champion.run_id, champion.tags["dvc.rev"], champion.tags[KEY_TAG]) == (runs[1], "data/v2", keys[1])
    assert champion.tags[CLAIM_TAG] == "true"
    # The first run again is the first version again, with tags that are true now.
    assert registered(0, claimed(0.03)) == ("1", {"newest": "1", "champion": "1"})
    assert client.get_model_version(name, "1").tags[CLAIM_TAG] == "true"
    assert registered(0, claimed(None))[1]["champion"] == "2"


def test_artifacts_of_a_run_are_stored(tracker: Tracker, tmp_path: Path) -> None:
    run = tracker.parent_run("demo", "pipeline", uuid.uuid4().hex)
    page = tmp_path / "report.html"
    page.write_text("<p>here</p>")
    tracker.log_artifact(run, page)
    tracker.log_artifact(run, page.parent, "all")
    tracker.log_text(run, "pictures/regret.svg", "<svg/>")
    client = _client(tracker)
    assert [found.path for found in client.list_artifacts(run)] == ["all", "pictures", "report.html"]
    assert [found.path for found in client.list_artifacts(run, "pictures")] == ["pictures/regret.svg"]
    assert "all/report.html" in [found.path for found in client.list_artifacts(run, "all")]


def test_what_mlflow_refuses_is_an_error_and_not_spooled(tracker: Tracker) -> None:
    run = tracker.parent_run("demo", "pipeline", uuid.uuid4().hex)
    tracker.log(run, params={"seed": 0})
    with pytest.raises(ServiceError, match="refused"):
        tracker.log(run, params={"seed": 1})
    assert tracker.unsent == 0


def test_what_is_said_during_an_outage_is_spooled_and_told_afterwards(
    tracker: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = tracker.parent_run("demo", "pipeline", uuid.uuid4().hex)
    address = tracker.uri
    tracker.uri, tracker._client = f"http://127.0.0.1:{free_port()}", None
    began = time.monotonic()
    stage = tracker.child_run(parent, "search", "search-key")
    for number in range(20):
        child = tracker.child_run(stage, f"proxy-{number}", f"proxy-{number}")
        tracker.log(child, params={"seed": number}, curves={"loss": [(0, 3.0), (1, 2.0)]})
        tracker.finish(child)
    assert time.monotonic() - began < 30, "an outage costs one timeout, not one per call"
    assert tracker.unsent == 61
    assert stage.startswith("pending-")
    tracker.uri, tracker._client, tracker._away_until = address, None, 0.0
    tracker.finish(stage)
    assert tracker.unsent == 0
    client = _client(tracker)
    place = client.get_run(parent).info.experiment_id
    (found,) = client.search_runs([place], f"tags.`mlflow.parentRunId` = '{parent}'")
    assert (found.info.status, found.data.tags[KEY_TAG]) == ("FINISHED", "search-key")
    proxies = client.search_runs([place], f"tags.`mlflow.parentRunId` = '{found.info.run_id}'")
    assert {(run.info.run_name, run.info.status, run.data.metrics["loss"]) for run in proxies} == {
        (f"proxy-{number}", "FINISHED", 2.0) for number in range(20)
    }
    later = Tracker(address, tracker._spool.path.parent)
    later.tag(stage, {"note": "from another process"})
    assert client.get_run(found.info.run_id).data.tags["note"] == "from another process"


def test_the_spool_keeps_order_and_loses_nothing_that_was_not_delivered(tmp_path: Path) -> None:
    spool, heard = Spool(tmp_path / "s.jsonl"), []

    def deliver(call: str, arguments: dict[str, object]) -> None:
        if call == "b" and len(heard) == 1:
            heard.append("refused")
            raise ServiceError("away")
        heard.append(call)

    for call in "abc":
        spool.add(call, {"x": call})
    with pytest.raises(ServiceError):
        spool.deliver(deliver, ServiceError)
    assert len(spool) == 2
    assert spool.deliver(deliver, ServiceError) == Delivery(sent=2)
    assert heard == ["a", "refused", "b", "c"]
    assert len(spool) == 0


def test_a_line_torn_by_a_kill_is_dropped_and_the_next_one_is_whole(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s.jsonl")
    spool.add("a", {})
    with spool.path.open("a") as stream:
        stream.write('{"call": "to')
    spool.add("b", {})
    heard: list[str] = []
    assert spool.deliver(lambda call, _: heard.append(call), ServiceError).sent == 2
    assert heard == ["a", "b"]


def test_what_cannot_be_delivered_is_set_aside_with_its_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    spool, heard = Spool(tmp_path / "s.jsonl"), list[str]()

    def deliver(call: str, arguments: dict[str, object]) -> None:
        if call == "artifact":
            raise FileNotFoundError("gone.html")
        if call == "away" and len(heard) < 3:
            heard.append("away")
            raise ServiceError("no server")
        heard.append(call)

    spool.add("a", {})
    with spool.path.open("ab") as stream:
        stream.write(b'{"call": "torn"\n\xff\xfe\n[1]\n{"call": "b", "arguments": null}\n')
    for call in ("artifact", "b", "away", "c"):
        spool.add(call, {})
    with pytest.raises(ServiceError):
        spool.deliver(deliver, ServiceError)
    assert (heard, len(spool)) == (["a", "b", "away"], 2)
    assert spool.deliver(deliver, ServiceError) == Delivery(sent=2)
    reasons = [json.loads(line)["reason"] for line in spool.rejected_path.read_text().splitlines()]
    assert len(reasons) == 5
    assert reasons[-1] == "FileNotFoundError: gone.html"
    assert all(reason.startswith("this line is not a call") for reason in reasons[:4])


def test_a_spool_with_lines_that_no_server_takes_stops_no_run(
    tracker: Tracker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tracker.parent_run("demo", "pipeline", uuid.uuid4().hex)
    tracker.log(run, params={"seed": 0})
    deleted = tracker.parent_run("demo", "pipeline", uuid.uuid4().hex)
    _client(tracker).delete_run(deleted)
    spool = tracker._spool
    spool.add("log", {"run": run, "params": {"seed": 1}, "metrics": {}, "curves": {}})
    spool.add("artifact", {"run": run, "path": str(tmp_path / "gone.html"), "folder": ""})
    spool.add("text", {"run": deleted, "name": "note.txt", "text": "too late"})
    spool.add("finish", {"run": "pending-unknown", "status": "FINISHED"})
    spool.add("tag", {"run": run, "tags": {"note": "behind them"}})
    tracker._known._path.write_text("{")
    later = Tracker(tracker.uri, spool.path.parent)
    assert later.parent_run("demo", "pipeline", uuid.uuid4().hex)
    assert later.unsent == 0
    assert _client(tracker).get_run(run).data.tags["note"] == "behind them"
    told = capsys.readouterr().err
    assert "cannot be delivered and were put into" in told
    assert later.replay() == 0 and not capsys.readouterr().err


def test_names_and_long_values_fit_what_mlflow_takes() -> None:
    assert _name("bpb:C++ (headers)") == "bpb:C__ _headers_"
    long = _param_text("x" * 10_000)
    assert len(long) == 6000
    assert "sha256" in long
    assert _param_text("y" * 10_000)[-70:] != long[-70:]
    assert tracking._PATIENCE_S > 0
