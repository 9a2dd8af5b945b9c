"""Real servers met by strangers: a rebound name, a page of another site, another user. And by their owner."""

import asyncio
import base64
import http.client
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from infra import servers
from infra.errors import ServiceError
from infra.secret import home_secret
from infra.settings import Settings

SOCKETS = ("/api/events/in", "/api/events/out", "/api/logs/out", "/api/task_runs/subscriptions/scheduled")


def _ask(port: int, path: str, *, secret: str | None = None, body: Any = None, **headers: str) -> tuple[int, str]:
    """Return the status and text of an answer; `Host` is sent as it is given."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if secret is not None:
        sent["Authorization"] = f"Basic {base64.b64encode(secret.encode()).decode()}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    data = None if body is None else json.dumps(body)
    try:
        connection.request("GET" if body is None else "POST", path, data, {"Content-Type": "application/json", **sent})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def _talk(settings: Settings, path: str, token: str | None, *, host: str = "", origin: str | None = None) -> str:
    """Open a WebSocket as Prefect's clients do; return the first answer's type, or how the door was shut."""
    port = settings.prefect.port
    address, line = f"ws://{host or f'127.0.0.1:{port}'}{path}", socket.create_connection(("127.0.0.1", port))
    protocols = [Subprotocol("prefect")]
    try:
        with line, connect(address, sock=line, origin=origin and Origin(origin), subprotocols=protocols) as opened:
            opened.send(json.dumps({"type": "auth", "token": token}))
            return str(json.loads(opened.recv(timeout=10))["type"])
    except InvalidStatus as refused:
        return str(refused.response.status_code)
    except ConnectionClosed as closed:
        return f"closed {closed.rcvd.code if closed.rcvd else None}"


@pytest.mark.parametrize(
    "name", ["evil.example", "10.evil.example", "10.evil.example:{port}", "127.0.0.1.evil.example:{port}"]
)
def test_a_page_whose_name_was_rebound_to_loopback_reads_nothing(live_servers: Settings, name: str) -> None:
    secret = home_secret(live_servers.home)
    for port, path in ((live_servers.prefect.port, "/api/csrf-token?client=x"), (live_servers.prefect.port, "/"),
                       (live_servers.mlflow.port, "/version"), (live_servers.mlflow.port, "/health")):  # fmt: skip
        host = name.format(port=port)
        assert _ask(port, path, Host=host, secret=secret)[0] == 403
        assert _ask(port, path, Host=host, Origin=f"http://{host}", secret=secret)[0] == 403
    for path in SOCKETS:
        assert _talk(live_servers, path, secret, host=name.format(port=live_servers.prefect.port)) == "403"


def test_a_page_of_another_site_reads_nothing_and_opens_no_websocket(live_servers: Settings) -> None:
    secret = home_secret(live_servers.home)
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{live_servers.mlflow.port}"):
        assert _ask(live_servers.prefect.port, "/api/admin/version", secret=secret, Origin=origin)[0] == 403
        for path in SOCKETS:
            assert _talk(live_servers, path, secret, origin=origin) == "403"
    assert _ask(live_servers.mlflow.port, "/version", secret=secret, Origin="http://evil.example")[0] == 403


def test_another_user_of_the_machine_reads_nothing_and_starts_nothing(live_servers: Settings) -> None:
    prefect, mlflow = live_servers.prefect.port, live_servers.mlflow.port
    for secret in (None, "mixwright:guess", "admin:password1234"):
        for path in ("/api/admin/version", "/api/csrf-token?client=x", "/api/docs", "/api/openapi.json"):
            assert _ask(prefect, path, secret=secret)[0] == 401
        assert _ask(prefect, "/api/deployments/filter", secret=secret, body={})[0] == 403, "its CSRF token comes first"
        for path in ("/", "/version", "/get-artifact", "/static-files/x.js", "/graphql", "/api/3.0/mlflow/server-info"):
            assert _ask(mlflow, path, secret=secret)[0] == 401
        assert _ask(mlflow, "/api/2.0/mlflow/experiments/create", secret=secret, body={"name": "strange"})[0] == 401
        for path in SOCKETS:
            assert _talk(live_servers, path, secret and secret.partition(":")[2]) == "closed 1008"
    assert _ask(prefect, "/api/health") == (200, "true")
    assert _ask(mlflow, "/health") == (200, "OK")


def test_the_owners_browser_and_programs_come_in(live_servers: Settings) -> None:
    secret = home_secret(live_servers.home)
    for name in ("127.0.0.1", "localhost"):
        page = {"Host": f"{name}:{live_servers.prefect.port}", "Origin": f"http://{name}:{live_servers.prefect.port}"}
        assert _ask(live_servers.prefect.port, "/api/admin/version", secret=secret, **page)[0] == 200
        assert '"auth":"BASIC"' in _ask(live_servers.prefect.port, "/ui-settings", **page)[1].replace(" ", "")
        for path in SOCKETS[:3]:
            assert _talk(live_servers, path, secret, host=page["Host"], origin=page["Origin"]) == "auth_success"
    assert _talk(live_servers, SOCKETS[0], secret) == "auth_success"
    page = {"Origin": f"http://127.0.0.1:{live_servers.mlflow.port}"}
    found = _ask(
        live_servers.mlflow.port,
        "/ajax-api/2.0/mlflow/experiments/search",
        body={"max_results": 1000},
        secret=secret,
        **page,
    )
    assert found[0] == 200 and "Default" in found[1]
    assert servers.require_ready(live_servers) is None


def test_a_forged_request_is_refused_even_with_the_secret(live_servers: Settings) -> None:
    status, text = _ask(
        live_servers.prefect.port, "/api/flow_runs/filter", body={}, secret=home_secret(live_servers.home)
    )
    assert status == 403 and "CSRF" in text


@pytest.mark.parametrize("name", ["artifact_location", "artifactLocation"])
def test_an_experiment_keeps_its_artifacts_where_the_server_keeps_them(live_servers: Settings, name: str) -> None:
    secret, port = home_secret(live_servers.home), live_servers.mlflow.port
    for place in (
        "file:///etc",
        "/etc",
        "etc",
        "s3://other/bucket",
        "mlflow-artifacts://10.0.0.1/x",
        "mlflow-artifacts:/../x",
    ):
        for root in ("/api", "/ajax-api"):
            body = {"name": f"{place} {name} {root}".replace("/", "-"), name: place}
            status, text = _ask(port, f"{root}/2.0/mlflow/experiments/create", body=body, secret=secret)
            assert status == 400 and "its own folder" in text
    body = {"name": f"own {name}", name: "mlflow-artifacts:/own"}
    assert _ask(port, "/api/2.0/mlflow/experiments/create", body=body, secret=secret)[0] == 200


def test_a_run_that_does_not_know_the_secret_says_where_it_is(live_servers: Settings) -> None:
    stranger = live_servers.prefect.model_copy(update={"auth_string": SecretStr("me:guess")})
    with pytest.raises(ServiceError, match="refuses this secret"):
        servers.require_ready(live_servers.model_copy(update={"prefect": stranger}))
    assert "mixwright env" in _ask(live_servers.mlflow.port, "/api/2.0/mlflow/experiments/search", body={})[1]


def test_a_program_that_merely_has_the_port_is_shown_no_secret(live_servers: Settings, tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=rf"Port {live_servers.prefect.port} is another program's.*mixwright up"):
        servers.require_ready(live_servers.model_copy(update={"home": tmp_path}))
    assert not (tmp_path / "secret").exists()


def test_who_starts_a_run_chooses_neither_its_command_nor_its_environment(
    connected: Settings, pooled: Settings
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectHTTPStatusError
    from prefect.workers.process import ProcessJobConfiguration

    from infra.servers.bootstrap import JOB_TEMPLATE

    wanted = {"command": "touch /tmp/strange", "working_dir": "/tmp", "env": {"LD_PRELOAD": "/tmp/x.so"}}
    with get_client(sync_client=True) as client:
        assert client.read_work_pool(servers.WORK_POOL).base_job_template == JOB_TEMPLATE
        flow = client.create_flow_from_name("strange")
        for name, value in wanted.items():
            with pytest.raises(PrefectHTTPStatusError, match="Additional properties are not allowed"):
                client.create_deployment(flow, name, work_pool_name=servers.WORK_POOL, job_variables={name: value})
    made = asyncio.run(ProcessJobConfiguration.from_template_and_values(JOB_TEMPLATE, wanted))
    assert (made.command, made.working_dir, made.env) == (None, None, {})
