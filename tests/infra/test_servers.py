"""Real servers: they start, they are reused, they explain themselves, and only our own processes are ever ended."""

import dataclasses
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from infra import servers
from infra.errors import LeaseError, ServiceError
from infra.leases import lease
from infra.servers import bootstrap, checks, process
from infra.servers.process import Service
from infra.servers.services import mlflow_server, prefect_server, worker
from infra.settings import Settings, load_settings, project_root
from tasks.stages import NAMES
from tests.fixtures_servers import free_port, local_settings


def _service(home: Path, code: str, **more: object) -> Service:
    command = (sys.executable, "-c", code)
    return Service("test", "Test server", command, lambda: dict(os.environ), home, "http://127.0.0.1", **more)  # type: ignore[arg-type]


def _wait_until_listening(port: int) -> None:
    deadline = time.monotonic() + 20
    while process.port_is_free("127.0.0.1", port):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_port_in_use_is_refused_with_the_port_and_the_setting_that_chooses_another(tmp_path: Path) -> None:
    settings = local_settings(tmp_path)
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.prefect.port))
        other.listen()
        with pytest.raises(ServiceError, match=rf"port {settings.prefect.port} .*MIXWRIGHT_PREFECT__PORT=\d+"):
            servers.up(settings)
        assert servers.status(settings).prefect.state == "port taken"
    assert servers.status(settings).mlflow.state == "stopped", "nothing is left running when the start is refused"


def test_a_server_that_ends_at_once_shows_the_last_lines_of_its_log(tmp_path: Path) -> None:
    service = _service(
        tmp_path, "print('the disk is made of cheese'); raise SystemExit(3)", health="http://127.0.0.1:1/"
    )
    process.start(service)
    with pytest.raises(ServiceError, match=r"ended while it was starting(.|\n)*made of cheese"):
        process.wait_ready(service, 20, lambda _: None)


def test_a_server_that_never_answers_is_given_up_after_the_timeout_and_says_so_meanwhile(tmp_path: Path) -> None:
    service = _service(
        tmp_path, "import time; print('thinking', flush=True); time.sleep(60)", health="http://127.0.0.1:1/"
    )
    process.start(service)
    with pytest.raises(ServiceError, match="did not answer within 1 s"):
        process.wait_ready(service, 1, lambda _: None)
    assert process.stop(service, 5)
    assert process.running(service) is None


def test_a_recycled_process_id_is_neither_taken_for_the_server_nor_ended(tmp_path: Path) -> None:
    service = _service(tmp_path, "import time; time.sleep(60)")
    process.start(service)
    record = json.loads(service.pid_file.read_text())
    pid = record["pid"]
    try:
        boot, ticks = record["started"].split()
        for other in (f"{boot} {int(ticks) - 6000}", f"{'0' * len(boot)} {ticks}"):
            service.pid_file.write_text(json.dumps(record | {"started": other}))
            assert process.running(service) is None, "another start, or another boot, is another process"
        assert not process.stop(service, 5)
        service.pid_file.write_text(json.dumps(record | {"command": [*record["command"], "--other"]}))
        assert process.running(service) is None, "another command line is another process"
        assert not process.stop(service, 5)
        assert psutil.pid_exists(pid)
        service.pid_file.write_text(json.dumps(record))
        assert process.running(service) is not None
    finally:
        service.pid_file.write_text(json.dumps(record))
        assert process.stop(service, 5)


def test_a_clock_that_is_set_changes_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = _service(tmp_path, "import time; time.sleep(60)")
    process.start(service)
    try:
        # What psutil computes from the wall clock moves when that is set by an hour.
        create_time = psutil.Process.create_time
        monkeypatch.setattr(psutil.Process, "create_time", lambda self: create_time(self) + 3600)
        assert process.running(service) is not None
        assert process.stop(service, 5), "and `down` ends it"
    finally:
        monkeypatch.undo()
        process.stop(service, 5)


def test_a_process_with_another_secret_is_started_anew(tmp_path: Path) -> None:
    word = {"WORD": "first"}
    service = _service(tmp_path, "import time; time.sleep(60)", secrets=("WORD",))
    service = dataclasses.replace(service, environment=lambda: {**os.environ, **word})
    process.start(service)
    try:
        assert process.started_as(service)
        word["WORD"] = "second"
        assert not process.started_as(service)
        assert "first" not in service.pid_file.read_text()
    finally:
        assert process.stop(service, 5)


def test_what_a_server_writes_nobody_else_reads(tmp_path: Path) -> None:
    file = tmp_path / "database"
    code = f"open({str(file)!r}, 'w').close(); print('done', flush=True)"
    service = _service(tmp_path, code, umask=0o077)
    process.start(service)
    deadline = time.monotonic() + 20
    while not service.log.read_text().strip():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for path in (file, service.log, service.pid_file):
        assert path.stat().st_mode & 0o777 == 0o600
    assert (
        prefect_server(load_settings(home=tmp_path)).umask == mlflow_server(load_settings(home=tmp_path)).umask == 0o077
    )


def test_stopping_ends_the_whole_family_even_a_child_in_another_session(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True)\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    service = _service(tmp_path, code)
    process.start(service)
    deadline = time.monotonic() + 20
    while not service.log.read_text().strip():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child = int(service.log.read_text())
    assert process.stop(service, 5)
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_no_secret_stands_on_a_command_line_or_in_a_pid_file(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, prefect={"auth_string": "admin:do-not-print", "port": free_port()})
    for service in (prefect_server(settings), mlflow_server(settings), worker(settings)):
        assert not any("do-not-print" in word for word in service.command)
        assert service.environment()["PREFECT_API_AUTH_STRING"] == "admin:do-not-print"
    assert prefect_server(settings).environment()["PREFECT_SERVER_API_AUTH_STRING"] == "admin:do-not-print"


def test_a_second_command_that_starts_servers_says_that_it_waits_and_gives_up_by_name(tmp_path: Path) -> None:
    settings, said = load_settings(home=tmp_path, timeouts={"start_s": 0.1}), list[str]()
    with (
        lease(tmp_path / "run" / "servers.lock", "the first"),
        pytest.raises(LeaseError, match=rf"process {os.getpid()} on .* \(the first\)"),
    ):
        servers.down(settings, said.append)
    assert said == ["waiting for another command that starts or stops the servers"]
    assert servers.down(settings, said.append) == ()


def test_a_server_named_by_the_settings_is_used_and_not_started(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, prefect={"url": f"http://127.0.0.1:{free_port()}/api"})
    with pytest.raises(ServiceError, match="MIXWRIGHT_PREFECT__URL"):
        servers.up(settings)
    assert servers.status(settings).prefect.state == "external, not answering"
    with pytest.raises(ServiceError, match=rf"{settings.prefect.api_url}.*mixwright up"):
        servers.require_ready(settings)


def test_the_servers_answer_and_the_flow_runs_can_be_listed(connected: Settings) -> None:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        assert isinstance(client.read_flow_runs(), list)
        assert isinstance(client.read_deployments(), list)
    assert all(each.ok for each in (servers.status(connected).prefect, servers.status(connected).mlflow))
    assert (connected.home / "prefect" / "prefect.db").is_file()
    assert (connected.home / "mlflow" / "mlflow.db").is_file()


def test_starting_again_reuses_the_same_processes_and_waits_for_nothing(live_servers: Settings) -> None:
    before, said = servers.status(live_servers), list[str]()
    after = servers.up(live_servers, said.append, with_worker=False)
    assert said == [], "nothing was started, and nothing had to be waited for"
    assert [each.pid for each in after.services[:2]] == [each.pid for each in before.services[:2]]


def test_doctor_finds_this_machine_in_order(live_servers: Settings) -> None:
    found = {check.name: check for check in servers.doctor(live_servers)}
    wrong = [check for name, check in found.items() if not check.ok and name != "Prefect worker"]
    assert not wrong
    assert found["Prefect worker"].advice == "Start it: mixwright up"
    assert found["package infra"].found == str(project_root() / "infra")


def test_doctor_names_a_library_that_breaks_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "version", lambda name: {"fastapi": "0.165.0", "sqlalchemy": "2.1.9"}[name])
    for name in ("fastapi", "sqlalchemy"):
        check = checks._library(name)
        assert not check.ok
        assert "constraints.txt" in check.advice


def test_pool_and_zombie_automation_are_made_once(connected: Settings, pooled: Settings) -> None:
    from prefect.client.orchestration import get_client

    prefect = connected.prefect.model_copy(update={"zombie_after_s": 120})
    bootstrap.create_pool_and_automation(connected.model_copy(update={"prefect": prefect}), lambda _: None)
    with get_client(sync_client=True) as client:
        assert client.read_work_pool(servers.WORK_POOL).type == "process"
        found = client.read_automations_by_name(bootstrap.ZOMBIES)
    assert [automation.trigger.within.total_seconds() for automation in found] == [120]


def test_deployments_of_prefect_yaml_are_registered_where_it_lies(
    connected: Settings, deployed: Settings, some_deployments: Path
) -> None:
    assert not bootstrap.deploy(deployed, lambda _: None, some_deployments), "nothing changed, nothing to do"
    _require_registered(some_deployments.parent, {"flows/pipeline.py:pipeline", "flows/stages.py:report"})


@pytest.mark.slow
def test_every_deployment_of_prefect_yaml_is_registered_where_this_checkout_lies(
    connected: Settings, pooled: Settings
) -> None:
    assert bootstrap.deploy(pooled, lambda _: None)
    _require_registered(
        project_root(), {"flows/pipeline.py:pipeline", *(f"flows/stages.py:{stage}" for stage in NAMES)}
    )


def _require_registered(place: Path, entrypoints: set[str]) -> None:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        found = {d.entrypoint: d for d in client.read_deployments() if "mixwright" in d.tags}
    assert set(found) == entrypoints
    for deployment in found.values():
        assert deployment.pull_steps == [{"prefect.deployments.steps.set_working_directory": {"directory": str(place)}}]
        assert list(deployment.parameter_openapi_schema["properties"]) == ["config"]
        assert [schedule.active for schedule in deployment.schedules] == [False]
        assert deployment.work_pool_name == servers.WORK_POOL


def test_down_ends_what_up_started_and_nothing_else(tmp_path: Path, live_servers: Settings) -> None:
    # Its database has its tables already: to make them takes longer than all the rest of a start.
    (tmp_path / "prefect").mkdir()
    with (
        closing(sqlite3.connect(live_servers.home / "prefect" / "prefect.db")) as made,
        closing(sqlite3.connect(tmp_path / "prefect" / "prefect.db")) as copy,
    ):
        made.backup(copy)
    port = free_port()
    settings = load_settings(home=tmp_path, prefect={"port": free_port()}, mlflow={"url": f"http://127.0.0.1:{port}"})
    code = (
        "import http.server as h\n"
        "class H(h.BaseHTTPRequestHandler):\n"
        "    def do_GET(self): self.send_response(200); self.end_headers()\n"
        "    def log_message(self, *a): pass\n"
        f"h.HTTPServer(('127.0.0.1', {port}), H).serve_forever()"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as bystander:
        try:
            _wait_until_listening(port)
            found = servers.up(settings, with_worker=False)
            assert found.prefect.pid is not None and found.mlflow.state == "external"
            assert servers.down(settings) == ("Prefect server",)
            assert not psutil.pid_exists(found.prefect.pid)
            assert bystander.poll() is None
            assert servers.down(settings) == (), "a second time there is nothing to end"
            assert process.port_is_free("127.0.0.1", settings.prefect.port)
        finally:
            bystander.kill()
