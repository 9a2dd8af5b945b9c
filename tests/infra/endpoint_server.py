"""A small OpenAI-compatible server, real HTTP on a port of its own, that can be told to fail in the ways that servers do."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Reply:
    """What the server does with a request: `text` is the answer; `raw` a body as it is; `reset` the connection; wait."""

    text: str = ""
    status: int = 200
    raw: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    reset: bool = False
    wait_s: float = 0.0
    usage: tuple[int, int] | None = (10, 5)

    @property
    def body(self) -> bytes:
        if self.raw is not None:
            return self.raw.encode()
        if self.status != 200:
            return json.dumps({"error": {"message": self.text, "code": self.headers.get("code")}}).encode()
        choice = {"index": 0, "message": {"role": "assistant", "content": self.text}, "finish_reason": "stop"}
        value: dict[str, Any] = {"id": "x", "object": "chat.completion", "choices": [choice]}
        if self.usage is not None:
            value["usage"] = dict(zip(("prompt_tokens", "completion_tokens"), self.usage, strict=True))
        return json.dumps(value).encode()


@dataclass
class EndpointServer:
    """The server's address, and every request it was sent, in the order in which they came."""

    url: str
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    most_at_once: int = 0

    def questions(self) -> list[str]:
        return [str(body["messages"][-1]["content"]) for body in self.asked]


@contextmanager
def endpoint_server(reply: Callable[[Body, int], Reply]) -> Iterator[EndpointServer]:
    """Serve `reply(body, how often this body came before)` while the block runs."""
    lock, under_way = threading.Lock(), [0]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                before = server.asked.count(body)
                server.asked.append(body)
                server.keys.append(self.headers["Authorization"])
                server.times.append(time.monotonic())
                under_way[0] += 1
                server.most_at_once = max(server.most_at_once, under_way[0])
            try:
                self._do(reply(body, before))
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True
            finally:
                with lock:
                    under_way[0] -= 1

        def _do(self, found: Reply) -> None:
            time.sleep(found.wait_s)
            if found.reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True
                return
            self.send_response(found.status)
            for name, value in ({"Content-Type": "application/json"} | dict(found.headers)).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(found.body)))
            self.end_headers()
            self.wfile.write(found.body)

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server = EndpointServer(f"http://127.0.0.1:{http.server_port}/v1")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
