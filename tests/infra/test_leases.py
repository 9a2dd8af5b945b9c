"""Leases: one holder at a time, named to those who wait, and free as soon as the holder is gone."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from infra import leases
from infra.errors import LeaseError
from infra.leases import NoLocksError, lease

HOLD = """
import sys, time
from pathlib import Path
from infra.leases import lease
with lease(Path(sys.argv[1]), "run demo"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path, project: Path) -> "subprocess.Popen[str]":
    """Another process that holds the lease `tmp_path / 'run.lock'`."""
    environment = os.environ | {"PYTHONPATH": str(project)}
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run.lock")]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_refused_and_told_who_holds_the_lease(
    tmp_path: Path, holder: "subprocess.Popen[str]"
) -> None:
    with (
        pytest.raises(LeaseError, match=rf"process {holder.pid} on .* \(run demo\)") as refused,
        lease(tmp_path / "run.lock", "run other", timeout_s=0.2),
    ):
        pytest.fail("two held the lease at once")
    assert str(refused.value).startswith("run other: ")


def test_a_killed_holder_leaves_the_lease_free(tmp_path: Path, holder: "subprocess.Popen[str]") -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with lease(tmp_path / "run.lock", "run other"):
        pass


def test_a_holder_whose_lease_was_removed_may_not_commit(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    with lease(path, "first") as first:
        first.require()
        path.unlink()
        with pytest.raises(LeaseError, match=r"first: .*run.lock was removed or replaced while this process held it"):
            first.require()
        with lease(path, "second") as second:
            second.require()
            with pytest.raises(LeaseError, match="another may work on the same"):
                first.require()


def test_who_waited_for_a_lease_that_was_removed_takes_the_one_that_is_there(tmp_path: Path) -> None:
    path, order = tmp_path / "run.lock", []

    def second() -> None:
        with lease(path, "second", timeout_s=10) as held:
            held.require()
            order.append("second")

    with lease(path, "first", keep_file=False):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.2)
    thread.join()
    assert order == ["second"]
    assert path.exists()


def test_a_lock_on_a_file_that_was_removed_meanwhile_is_no_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = leases._sign, list[int]()

    def replaced_before_the_first(descriptor: int, what: str) -> None:
        calls.append(descriptor)
        if len(calls) == 1:
            path.rename(path.with_suffix(".old"))
            path.touch()
        real(descriptor, what)

    path = tmp_path / "run.lock"
    monkeypatch.setattr(leases, "_sign", replaced_before_the_first)
    with lease(path, "first") as held:
        held.require()
    assert len(calls) == 2


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named_and_nobody_goes_on_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(NoLocksError, match="this file system has no locks"), lease(tmp_path / "run.lock", "first"):
        pytest.fail("it was held without a lock")


def test_who_waits_gets_the_lease_when_it_is_given_back(tmp_path: Path) -> None:
    order = []

    def second() -> None:
        with lease(tmp_path / "run.lock", "second", timeout_s=10):
            order.append("second")

    with lease(tmp_path / "run.lock", "first"):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_the_lease_is_given_back_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), lease(tmp_path / "run.lock", "first"):
        raise ZeroDivisionError
    with lease(tmp_path / "run.lock", "second"):
        pass


# Other tests of the session may have left threads; the child only waits to be killed.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_of_the_holder_does_not_keep_the_lease(tmp_path: Path) -> None:
    with lease(tmp_path / "run.lock", "first"):
        # A bare fork inherits every descriptor, as a child does in the moment before its program starts.
        child = os.fork()
        if child == 0:
            signal.pause()
            os._exit(0)
    try:
        with lease(tmp_path / "run.lock", "second"):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
