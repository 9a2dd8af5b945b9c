"""A local Ray: nobody but its user reaches it, and what dies of it is named."""

import json
import os
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from infra.errors import SettingsError
from infra.ray_local import LOOPBACK, local_environment, own_folder, sessions_folder

WATCHER = "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"
_PROGRAM = """
import json, os, signal, sys, threading, time
from pathlib import Path
import psutil
from infra.ray_executor import RayExecutor, ray_closed_after
from tasks.runtime.command import exit_codes
from tests.infra.test_ray_local import nothing, wait_long

def found():
    import ray
    own = psutil.Process()
    members = [own, *own.children(recursive=True)]
    # The agents listen a moment later than the raylet they belong to.
    deadline = time.monotonic() + 60
    while not any("DashboardAgent" in each.name() or "agent" in " ".join(each.cmdline()) for each in members):
        assert time.monotonic() < deadline
        time.sleep(0.2)
        members = [own, *own.children(recursive=True)]
    time.sleep(1)
    opened = [each for member in members for each in member.net_connections("inet") if each.status == "LISTEN"]
    token = Path.home() / ".ray" / "auth_token"
    mode = ray._raylet.get_authentication_mode() == ray._raylet.AuthenticationMode.TOKEN
    folder = Path(ray._private.worker._global_node.get_session_dir_path())
    return [[each.laddr.ip for each in opened], token.exists(), mode, str(folder), "RAY_AUTH_TOKEN" in os.environ]

def kill(kind):
    import ray
    node = ray._private.worker._global_node
    victims = [os.getpid()] if kind == "driver" else [info.process.pid for info in node.all_processes[kind]]
    for pid in victims:
        os.kill(pid, signal.SIGTERM if kind == "driver" else signal.SIGKILL)

with exit_codes(), ray_closed_after():
    executor = RayExecutor(1)
    list(executor.map(nothing, [0]))
    print(json.dumps(found()))
    threading.Timer(3, kill, sys.argv[1:]).start()
    list(executor.map(wait_long, [0]))
"""


def nothing(_: int) -> None:
    """Do nothing: the worker that did it is up."""


def wait_long(_: int) -> None:
    time.sleep(300)


def _killed(project: Path, kind: str, home: Path) -> "subprocess.CompletedProcess[str]":
    """Start a Ray, print what is found of it, and kill a part of it under way."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment = {**kept, "PYTHONPATH": str(project), "HOME": str(home)}
    command = [sys.executable, "-W", "ignore", "-c", _PROGRAM, kind]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture(scope="module")
def raylet_killed(project: Path, tmp_path_factory: pytest.TempPathFactory) -> "subprocess.CompletedProcess[str]":
    """What a program said whose Ray lost its raylet."""
    return _killed(project, "raylet", tmp_path_factory.mktemp("home"))


@pytest.mark.ray
def test_every_port_of_a_local_ray_is_on_loopback_and_its_token_in_no_file(
    raylet_killed: "subprocess.CompletedProcess[str]",
) -> None:
    assert raylet_killed.stdout, raylet_killed.stderr
    # Of the death of the raylet Ray itself writes below.
    addresses, token_file, token_mode, session, left_over = json.loads(raylet_killed.stdout.splitlines()[0])
    assert len(addresses) > 5
    # A socket for both families writes 127.0.0.1 as an address of IPv6.
    assert set(addresses) <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
    assert (token_file, token_mode, left_over) == (False, True, False)
    assert Path(session).is_relative_to(sessions_folder())


@pytest.mark.ray
def test_a_raylet_that_dies_is_named(raylet_killed: "subprocess.CompletedProcess[str]") -> None:
    assert raylet_killed.returncode == 1, raylet_killed.stderr
    assert "Ray's raylet died" in raylet_killed.stderr
    assert "Traceback" not in raylet_killed.stderr


@pytest.mark.ray
@pytest.mark.slow
def test_a_driver_told_to_end_ends_in_order(project: Path, tmp_path: Path) -> None:
    done = _killed(project, "driver", tmp_path)
    assert done.returncode == 143, done.stderr
    assert "Traceback" not in done.stderr and "SIGTERM received" not in done.stderr


def test_each_process_has_one_token_that_others_do_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", LOOPBACK, WATCHER):
        monkeypatch.delenv(name, raising=False)
    found = local_environment()
    assert found == local_environment(), "Ray keeps the first it is given"
    assert found[LOOPBACK] == "0" and len(found["RAY_AUTH_TOKEN"]) == 64
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "mine")
    monkeypatch.setenv(LOOPBACK, "1")
    monkeypatch.setenv(WATCHER, "1")
    assert local_environment() == {}, "what the user has set stays"


def test_the_folder_of_rays_sessions_is_the_users_alone(tmp_path: Path) -> None:
    # Not below pytest's folder: its name is too long for Ray's sockets.
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as parent:
        folder = own_folder(Path(parent))
        assert folder.parent == Path(parent)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert own_folder(Path(parent)) == folder
        folder.chmod(0o777)
        with pytest.raises(SettingsError, match="TMPDIR"):
            own_folder(Path(parent))
        folder.rmdir()
        folder.symlink_to(tmp_path)
        with pytest.raises(SettingsError, match="not a folder of this user alone"):
            own_folder(Path(parent))
    assert len(str(own_folder(Path("/tmp") / ("long" * 20)))) <= 36, "elsewhere when the name would be too long"
