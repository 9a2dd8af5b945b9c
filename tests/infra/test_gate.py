"""The gate: which connections reach a server, told from their headers alone."""

import asyncio
import base64
from typing import Any

import pytest

from infra.servers.gate import Gate, own_names

NAMES = own_names("127.0.0.1", 4200, ("Mixwright.lab.example",))
SECRET = "mixwright:s3cret"


def _asked(gate: Gate, *headers: tuple[str, str], kind: str = "http", path: str = "/api", method: str = "GET") -> Any:
    """Return the status of an answer, 200 if the app behind was reached, or the code a WebSocket was closed with."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def ask() -> None:
        pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        await gate({"type": kind, "path": path, "method": method, "headers": pairs}, None, send)  # type: ignore[arg-type]

    asyncio.run(ask())
    return sent[0].get("status") or sent[0].get("code")


async def _app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "reached", "status": 200})


def _gate(**more: Any) -> Gate:
    return Gate(_app, NAMES, **more)


def _basic(secret: str) -> tuple[str, str]:
    return "authorization", f"Basic {base64.b64encode(secret.encode()).decode()}"


OWN = ("host", "127.0.0.1:4200")


@pytest.mark.parametrize(
    "host", ["127.0.0.1:4200", "localhost:4200", "LOCALHOST:4200", "[::1]:4200", "mixwright.lab.example"]
)
def test_a_server_answers_to_its_own_names_and_to_those_it_was_given(host: str) -> None:
    assert _asked(_gate(), ("host", host)) == 200
    assert _asked(_gate(), ("host", host), ("origin", f"http://{host}"), kind="websocket") == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "10.evil.example",
        "10.evil.example:4200",
        "127.0.0.1.evil.example:4200",
        "localhost.evil.example:4200",
        "evil.example:4200@127.0.0.1:4200",
        "127.0.0.1:4200@evil.example",
        "127.0.0.1",
        "127.0.0.1:5000",
        "127.0.0.1:42000",
        "127.0.0.1:04200",
        "127.0.0.1.:4200",
        "localhost.:4200",
        "localhost",
        "0.0.0.0:4200",
        "127.1:4200",
        "2130706433:4200",
        "::1:4200",
        "[::1]",
        "[::ffff:127.0.0.1]:4200",
        "[0:0:0:0:0:0:0:1]:4200",
        "127.0.0.1:4200, evil.example",
        "127.0.0.1:4200\t.evil.example",
        "x.mixwright.lab.example",
        "mixwright.lab.example:4200",
        "",
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_name_that_only_looks_like_ours_is_refused(host: str, kind: str) -> None:
    assert _asked(_gate(), ("host", host), kind=kind) == {"http": 403, "websocket": 1008}[kind]


def test_a_request_with_no_host_or_with_two_is_refused() -> None:
    assert _asked(_gate()) == 403
    assert _asked(_gate(), OWN, OWN) == 403
    assert _asked(_gate(), OWN, ("Host", "evil.example")) == 403


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://10.evil.example:4200",
        "http://127.0.0.1:4200.evil.example",
        "http://127.0.0.1:5000",
        "http://127.0.0.1",
        "http://127.0.0.1:4200@evil.example",
        "http://evil.example/http://127.0.0.1:4200",
        "ftp://127.0.0.1:4200",
        "chrome-extension://127.0.0.1:4200",
        "127.0.0.1:4200",
        "null",
        "",
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_pages_of_other_sites_may_not_ask(origin: str, kind: str) -> None:
    assert _asked(_gate(), OWN, ("origin", origin), kind=kind) in {403, 1008}
    assert _asked(_gate(), OWN, ("origin", "http://127.0.0.1:4200"), ("Origin", origin), kind=kind) in {403, 1008}


def test_our_own_pages_and_programs_without_an_origin_may_ask() -> None:
    for origin in ("http://127.0.0.1:4200", "http://LocalHost:4200", "https://mixwright.lab.example"):
        assert _asked(_gate(), OWN, ("origin", origin), ("sec-fetch-site", "cross-site")) == 200
    assert _asked(_gate(), OWN) == 200
    assert _asked(_gate(), OWN, kind="websocket") == 200


def test_another_site_may_link_here_but_load_nothing_from_here() -> None:
    def fetched(site: str, mode: str, dest: str, **more: str) -> Any:
        headers = (("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest))
        return _asked(_gate(), OWN, *headers, **more)  # type: ignore[arg-type]

    assert fetched("cross-site", "navigate", "document") == 200
    assert fetched("none", "navigate", "document") == fetched("same-origin", "cors", "empty") == 200
    for site in ("cross-site", "same-site"):
        assert fetched(site, "no-cors", "image") == fetched(site, "navigate", "iframe") == 403
        assert fetched(site, "navigate", "document", method="POST") == 403


def test_whoever_does_not_know_the_secret_is_asked_for_it() -> None:
    gate = _gate(secret=SECRET, open_paths=frozenset({"/health"}))
    assert _asked(gate, OWN, _basic(SECRET)) == 200
    assert _asked(gate, OWN, ("authorization", _basic(SECRET)[1].replace("Basic", "BASIC"))) == 200
    for wrong in (_basic("mixwright:"), _basic("mixwright:s3cret2"), _basic(""), ("authorization", "Basic %%%"),
                  ("authorization", f"Bearer {_basic(SECRET)[1][6:]}"), ("authorization", "")):  # fmt: skip
        assert _asked(gate, OWN, wrong) == 401
        assert _asked(gate, OWN, wrong, kind="websocket") == 1008
    assert _asked(gate, OWN) == 401
    assert _asked(gate, OWN, _basic(SECRET), _basic("other:one")) == 401


def test_only_the_open_paths_are_open_and_only_to_our_own_names() -> None:
    gate = _gate(secret=SECRET, open_paths=frozenset({"/health"}))
    assert _asked(gate, OWN, path="/health") == 200
    assert _asked(gate, OWN, path="/health", method="POST") == 401
    assert _asked(gate, ("host", "10.evil.example"), path="/health") == 403
    for path in ("/health/", "/x/health", "/healthy", "//health"):
        assert _asked(gate, OWN, path=path) == 401


def test_a_server_on_the_ports_of_the_web_is_named_without_its_port_and_one_on_ipv6_in_brackets() -> None:
    assert {"localhost", "localhost:80", "[::1]"} <= own_names("127.0.0.1", 80)
    assert "[fd00::5]:4200" in own_names("fd00::5", 4200)
    assert "box.example:4200" in own_names("Box.example", 4200)
