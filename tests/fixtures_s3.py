"""A real S3 server for the integration tests: OpenStack Swift with its s3api, on loopback, in a temporary folder.

It checks signatures, which mocks do not. It lives in an environment of its own (`make test` makes `.venv-s3` from
tests/s3-requirements.txt); where that is absent, the tests that need it say so and are skipped.
"""

import getpass
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PYTHON = "TEST_S3_PYTHON"
START_S = 90.0

# One server each, one replica, one device: what is tested is the interface, not the durability.
RINGS = """
import sys
from swift.common.ring import RingBuilder
folder, *ports = sys.argv[1:]
for name, port in zip(("account", "container", "object"), ports):
    builder = RingBuilder(4, 1, 0)
    builder.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": int(port), "device": "d1", "weight": 1.0})
    builder.rebalance()
    builder.get_ring().save(f"{folder}/{name}.ring.gz")
"""
SERVER = "import sys; from swift.{module}.server import main; sys.exit(main())"
MODULES = {"account": "account", "container": "container", "object": "obj", "proxy": "proxy"}
COMMON = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
workers = 0
user = {user}
"""
BACKEND = """
[pipeline:main]
pipeline = {name}-server

[app:{name}-server]
use = egg:swift#{name}
"""
# The order matters: with symlink before versioned_writes, objects of versioned buckets read back empty.
PROXY = """
[pipeline:main]
pipeline = catch_errors listing_formats s3api tempauth bulk slo dlo versioned_writes symlink proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true

[filter:s3api]
use = egg:swift#s3api
location = us-east-1
s3_acl = false

[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = {secret} .admin

[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
""" + "".join(
    f"\n[filter:{name}]\nuse = egg:swift#{name}\n"
    for name in ("catch_errors", "listing_formats", "bulk", "slo", "dlo", "symlink")
)


@dataclass(frozen=True)
class S3:
    """A running server with one empty bucket."""

    endpoint: str
    key: str
    secret: str
    bucket: str

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
    python = Path(os.environ.get(PYTHON) or project / ".venv-s3" / "bin" / "python")
    if not python.is_file():
        pytest.skip(f"no S3 server: {python} is not there; `make test` installs it, or set {PYTHON}")
    folder = tmp_path_factory.mktemp("s3")
    _require_attributes(folder)
    with serve(python, folder, secret="testing") as endpoint:
        server = S3(endpoint, "test:tester", "testing", "mixwright-tests")
        import s3fs

        s3fs.S3FileSystem(**server.options()).mkdir(server.bucket)
        yield server


@contextmanager
def serve(python: Path, folder: Path, *, secret: str) -> Iterator[str]:
    """Run the four servers of Swift while the block runs; give the address of the S3 interface."""
    ports = _free_ports(4)
    (folder / "devices" / "d1").mkdir(parents=True)
    (folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_prefix = test\nswift_hash_path_suffix = test\n")
    subprocess.run([python, "-c", RINGS, folder, *map(str, ports[:3])], check=True, capture_output=True)
    with ExitStack() as stack:
        for name, port in zip(MODULES, ports, strict=True):
            text = COMMON.format(port=port, folder=folder, user=getpass.getuser())
            text += PROXY.format(secret=secret) if name == "proxy" else BACKEND.format(name=name)
            (folder / f"{name}.conf").write_text(text)
            _wait(port, stack.enter_context(_process(python, folder, name)), folder / f"{name}.log")
        yield f"http://127.0.0.1:{ports[3]}"


@contextmanager
def _process(python: Path, folder: Path, name: str) -> "Iterator[subprocess.Popen[bytes]]":
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    with (folder / f"{name}.log").open("wb") as log:
        command = [python, "-c", SERVER.format(module=MODULES[name]), folder / f"{name}.conf"]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the S3 server did not open port {port}, exit code {process.poll()}\n{log.read_text()[-4000:]}")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _require_attributes(folder: Path) -> None:
    try:
        os.setxattr(folder, "user.mixwright", b"1")
    except (OSError, AttributeError) as error:
        pytest.skip(f"no S3 server: the file system of {folder} has no extended attributes, which Swift needs: {error}")
