"""A proxy between a client and a server that breaks what it is told to break: answers, bodies, connections."""

import http.client
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Literal

# `lost`: the server has done it, and nobody hears of it. `stuck`: half of a body, and then nothing for `STUCK_S`.
Fault = Literal["500", "503", "reset", "lost", "truncated", "slow", "stuck"]
# Asked for each request (method, path); text with a blank in it is an answer: a status and an error's code.
Choose = Callable[[str, str], str | None]
STUCK_S = 3.0
_PIECES = 8


@dataclass
class Faults:
    """How often each fault was made, and where the proxy listens."""

    url: str = ""
    made: Counter[str] = field(default_factory=Counter)


def at_random(seed: int, share: float, kinds: tuple[Fault, ...]) -> Choose:
    """Return a choice that breaks a share of all requests, in ways that a seed decides."""
    random, one_at_a_time = Random(seed), threading.Lock()

    def choose(method: str, path: str) -> str | None:
        with one_at_a_time:
            return random.choice(kinds) if random.random() < share else None

    return choose


@contextmanager
def faults_before(server: str, choose: Choose) -> Iterator[Faults]:
    """Break requests to a server while the block runs."""
    faults = Faults()
    address = server.removeprefix("http://")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _handle(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else b""
            fault = choose(self.command, self.path)
            if fault is not None:
                faults.made[fault] += 1
            if fault == "reset":
                return self._break()
            if fault in {"500", "503"} or (fault is not None and " " in fault):
                status, _, code = (fault if " " in fault else f"{fault} SlowDown").partition(" ")
                text = b"" if self.command == "HEAD" else f"<Error><Code>{code}</Code></Error>".encode()
                return self._answer(int(status), [("Content-Type", "application/xml")], text)
            there = http.client.HTTPConnection(address)
            there.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in {"expect", "connection"}:
                    there.putheader(name, value)
            there.endheaders(body)
            answer = there.getresponse()
            data = answer.read()
            there.close()
            if fault == "lost":
                return self._break()
            kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in _OWN]
            told = int(answer.headers.get("Content-Length") or len(data))
            self._answer(answer.status, kept, data, told, fault)
            return None

        def _answer(
            self,
            status: int,
            headers: list[tuple[str, str]],
            data: bytes,
            told: int | None = None,
            fault: str | None = None,
        ) -> None:
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data) if told is None else told))
            self.end_headers()
            if fault in {"truncated", "stuck"} and len(data) > 1:
                self.wfile.write(data[: len(data) // 2])
                self.wfile.flush()
                time.sleep(STUCK_S if fault == "stuck" else 0)
                return self._break()
            step = max(len(data) // _PIECES, 1) if fault == "slow" else max(len(data), 1)
            for start in range(0, len(data), step):
                self.wfile.write(data[start : start + step])
                self.wfile.flush()
                time.sleep(0.01 if fault == "slow" else 0)
            return None

        def _break(self) -> None:
            # At once and without a word: whoever waits is told that the connection was reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RD)

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _handle

        def handle(self) -> None:
            # The client has hung up, too.
            try:
                super().handle()
            except OSError:
                self.close_connection = True

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: object, client_address: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as listening:
        faults.url = f"http://127.0.0.1:{listening.server_address[1]}"
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield faults
        finally:
            listening.shutdown()
            thread.join()


_OWN = {"content-length", "connection", "transfer-encoding"}
