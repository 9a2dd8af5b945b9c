"""Servers of this machine that stand in for the web: a folder of files, and the Hugging Face Hub's way to ask for them."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote


@contextmanager
def served(handler: Any) -> Iterator[str]:
    """Serve until the block ends; give the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=partial(server.serve_forever, 0.02), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


def files(folder: Path) -> Any:
    """The files of a folder, with an index page of links for each folder in it."""
    return partial(_Files, directory=str(folder))


class CutShort(BaseHTTPRequestHandler):
    """Promises a thousand bytes and hangs up after ten."""

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(b"x" * 10)
        self.wfile.flush()
        self.connection.close()


class _Hub(BaseHTTPRequestHandler):
    """The five questions that huggingface_hub asks about `datasets/org/name`."""

    folder: Path
    repository = "/api/datasets/org/name"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        found = [self.folder / path for path in asked.get("paths", [])]
        self.give([self.entry(path) for path in found if path.exists()])

    def do_GET(self) -> None:
        path = unquote(self.path.partition("?")[0]).rstrip("/")
        if path.startswith(f"{self.repository}/tree/main"):
            below = self.folder / path.removeprefix(f"{self.repository}/tree/main").strip("/")
            every = below.rglob("*") if "recursive=true" in self.path.lower() else below.iterdir()
            self.give([self.entry(found) for found in sorted(every)])
        elif path.startswith(self.repository):
            self.give({"id": "org/name", "sha": "0" * 40, "private": False, "siblings": []})
        elif path.startswith("/datasets/org/name/resolve/main/"):
            self.give_file(self.folder / path.removeprefix("/datasets/org/name/resolve/main/"))
        else:
            self.give({"error": "Repository not found"}, 404, "RepoNotFound")

    def entry(self, path: Path) -> dict[str, Any]:
        name = path.relative_to(self.folder).as_posix()
        if path.is_dir():
            return {"type": "directory", "path": name, "oid": "1" * 40, "size": 0}
        return {"type": "file", "path": name, "oid": sha1(path.read_bytes()).hexdigest(), "size": path.stat().st_size}

    def give(self, value: Any, status: int = 200, error: str = "") -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if error:
            self.send_header("X-Error-Code", error)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def give_file(self, path: Path) -> None:
        data, status = path.read_bytes(), 200
        size = len(data)
        if asked := self.headers.get("Range"):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            data, status = data[int(first) : int(last) + 1 if last else size], 206
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", '"etag"')
        self.send_header("X-Repo-Commit", "0" * 40)
        if status == 206:
            self.send_header("Content-Range", f"bytes {first}-{int(first) + len(data) - 1}/{size}")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def hub(folder: Path) -> Any:
    """A hub with one dataset, `org/name`, whose files are those of a folder."""
    return type("Hub", (_Hub,), {"folder": folder})
