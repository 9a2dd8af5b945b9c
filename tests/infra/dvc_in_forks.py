"""DVC's command line in a fork of a process that has imported it: as apart as a process of its own, without the imports.

Only the start is another: folder, environment, arguments, output and exit code are those of `python -m dvc`.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests import forks


def run(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], **_: object
) -> "subprocess.CompletedProcess[str]":
    """Stand in for `subprocess.run` of `python -m dvc ARGS` whose output is read as text."""
    assert list(command[:3]) == [sys.executable, "-m", "dvc"], command
    with tempfile.TemporaryDirectory() as folder:
        printed = [str(Path(folder, name)) for name in ("stdout", "stderr")]
        process = forks.context().Process(target=_dvc, args=(list(command[3:]), str(cwd), dict(env), printed))
        process.start()
        process.join()
        out, err = (Path(path).read_text(encoding="utf-8") for path in printed)
    assert process.exitcode is not None
    return subprocess.CompletedProcess(list(command), process.exitcode, out, err)


def _dvc(arguments: list[str], folder: str, environment: dict[str, str], printed: list[str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for descriptor, path in enumerate(printed, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    from dvc.cli import main

    sys.exit(main(arguments))
