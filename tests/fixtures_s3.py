"""A real S3 server for the integration tests: SeaweedFS, one binary, on loopback, in a temporary folder.

It checks signatures and honours conditional writes, which mocks do not. It lives in an environment of its own (`make test`
makes `.venv-s3` from tests/s3-requirements.txt); where that is absent, the tests that need it say so and are skipped.
"""

import http.client
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

SERVER = "TEST_S3_SERVER"
START_S = 90.0
# Its parts, each with a port of its own and one for its own kind of calls; only that of S3 asks for credentials.
PARTS = ("master", "volume", "filer", "s3")
OPTIONS = (
    "-ip=127.0.0.1",
    "-ip.bind=127.0.0.1",
    "-master.peers=none",
    "-master.volumeSizeLimitMB=64",
    "-volume.max=100",
    # Two more, at fixed ports.
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
)
LISTENING = tuple(f"-{part}.port{kind}" for part in PARTS for kind in ("", ".grpc"))
READER = "test:reader"
TRIES = 3


@dataclass(frozen=True)
class S3:
    """A running server with one empty bucket."""

    endpoint: str
    key: str
    secret: str
    bucket: str

    def reader(self) -> "S3":
        """Return the same server for somebody who may read and not write."""
        return replace(self, key=READER)

    def options(self, **changes: str) -> dict[str, Any]:
        """Return the storage options of s3fs for this server."""
        config = {"connect_timeout": 5, "read_timeout": 30, "retries": {"mode": "standard", "max_attempts": 2}}
        options = {"key": self.key, "secret": self.secret, "endpoint_url": self.endpoint} | changes
        return {**options, "config_kwargs": config, "use_listings_cache": False, "skip_instance_cache": True}

    def environment(self) -> dict[str, str]:
        """Return the environment that every S3 client of this process and its children reads."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
        }


@pytest.fixture(scope="session")
def s3(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A real S3 server on loopback with one bucket; skipped, and said so, where it is not installed."""
    program = Path(os.environ.get(SERVER) or project / ".venv-s3" / "bin" / "weed")
    if not program.is_file():
        pytest.skip(f"no S3 server: {program} is not there; `make test` installs it, or set {SERVER}")
    with serve(program, tmp_path_factory.mktemp("s3"), secret="testing") as endpoint:
        server = S3(endpoint, "test:tester", "testing", "mixwright-tests")
        import s3fs

        s3fs.S3FileSystem(**server.options()).mkdir(server.bucket)
        yield server


@contextmanager
def serve(program: Path, folder: Path, *, secret: str) -> Iterator[str]:
    """Run the server while the block runs; give the address of its S3 interface."""
    everything = ["Admin", "Read", "List", "Tagging", "Write"]
    users = {"test:tester": everything, READER: ["Read", "List"]}
    identities = [
        {"name": name, "credentials": [{"accessKey": name, "secretKey": secret}], "actions": actions}
        for name, actions in users.items()
    ]
    (folder / "users.json").write_text(json.dumps({"identities": identities}))
    words = (
        program,
        "-logtostderr=true",
        "server",
        f"-dir={folder}",
        "-s3",
        f"-s3.config={folder / 'users.json'}",
        *OPTIONS,
    )
    with ExitStack() as stack:
        log = stack.enter_context((folder / "log").open("wb"))
        for _ in range(TRIES):
            ports = dict(zip(LISTENING, _free_ports(len(LISTENING)), strict=True))
            places = [f"{name}={port}" for name, port in ports.items()]
            process = stack.enter_context(subprocess.Popen([*words, *places], stdout=log, stderr=log))
            # Killed: what it would tidy up goes with its folder.
            stack.callback(process.kill)
            if _answers(ports["-s3.port"], process):
                yield f"http://127.0.0.1:{ports['-s3.port']}"
                return
        pytest.fail(
            f"the S3 server does not answer, exit code {process.poll()}\n{(folder / 'log').read_text()[-4000:]}"
        )


def _answers(port: int, process: "subprocess.Popen[bytes]") -> bool:
    """Return whether the server answers requests; False where it has ended: somebody else took one of its ports."""
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == HTTPStatus.FORBIDDEN
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    return False


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
