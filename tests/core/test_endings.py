"""How a command ends: named errors for what the disk refuses, and in order when it is told to stop."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.disk import require_space
from infra.errors import PlaceError
from infra.folders import keep_first, require_writable
from infra.leases import lease
from infra.records import Records, RunRecord
from infra.storage import FolderStore
from tasks.runtime.command import exit_codes


@pytest.fixture
def forbidden(tmp_path: Path) -> Iterator[Path]:
    """A folder that this user may not write, whoever that is."""
    folder = tmp_path / "forbidden"
    folder.mkdir(mode=0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield folder
    if root:
        os.seteuid(0)


def test_a_folder_that_may_not_be_written_is_named_by_whoever_meets_it(forbidden: Path) -> None:
    with pytest.raises(PlaceError, match="forbidden"):
        require_writable(forbidden / "out")
    with pytest.raises(PlaceError, match="forbidden"), FolderStore(forbidden / "store").attempt("stage", "abcd"):
        pytest.fail("nothing can be written there")
    with pytest.raises(PlaceError, match="forbidden"), lease(forbidden / "leases" / "run.lock", "run"):
        pytest.fail("nothing can be written there")
    with pytest.raises(PlaceError, match="forbidden"):
        Records(forbidden / "records").put(RunRecord(key="key", name="run"))
    with pytest.raises(PlaceError, match="forbidden"):
        keep_first(forbidden / "kept.json", "{}")


@pytest.mark.parametrize(
    ("number", "name", "told"),
    [
        (errno.EROFS, "PlaceError", r"/data/x: it cannot be read or written \(Read-only file system\)"),
        (errno.EACCES, "PlaceError", r"/data/x: it cannot be read or written \(Permission denied\)"),
        (errno.ENOSPC, "SpaceError", r"/data/x: no space left on the device"),
        (errno.EFBIG, "SpaceError", r"/data/x: a file would be larger than this process may write"),
    ],
)
def test_what_the_disk_refuses_is_one_sentence_and_exit_code_one(
    number: int, name: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, exit_codes():
        raise OSError(number, os.strerror(number), "/data/x")
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{name}: {told}".replace("\\", ""))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder in which no file can be made")
def test_a_place_where_no_file_can_be_made_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, exit_codes():
        Path("/proc/mixwright/inputs").mkdir(parents=True)
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("PlaceError: /proc/mixwright: it cannot be read or written (No such file")


def test_a_defect_keeps_its_traceback() -> None:
    with pytest.raises(FileNotFoundError), exit_codes():
        raise FileNotFoundError(errno.ENOENT, "No such file", "/data/x")
    with pytest.raises(ZeroDivisionError), exit_codes():
        raise ZeroDivisionError


def test_a_home_below_a_file_is_named_before_space_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SystemExit) as ended, exit_codes(), lease(tmp_path / "file" / "leases" / "x.lock", "run"):
        pytest.fail("nothing can be written there")
    assert ended.value.code == 1
    require_space(tmp_path / "file" / "home", 1)


_PROGRAM = """
import signal, time
from tasks.runtime.command import exit_codes
# What is started in the background of a script ignores SIGINT, and hands that on.
signal.signal(signal.SIGINT, signal.default_int_handler)
with exit_codes():
    try:
        print("works", flush=True)
        time.sleep(600)
    finally:
        print("closed", flush=True)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_command_that_is_told_to_stop_closes_what_is_open_and_says_so_in_its_exit_code(
    project: Path, number: int, code: int
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(project)}
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "works\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, "closed\n")
    assert "Traceback" not in err
    (line,) = err.splitlines()
    assert line.startswith(
        "Ended by SIGTERM. What is" if number == signal.SIGTERM else "Stopped. What is finished is kept"
    )
