"""Installation: by uv, which is told what pip is told; by pip where uv fails."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

import install

LISTING = """global.extra-index-url='https://here.example https://there.example'
global.find-links='/from/the/file'
global.constraint='/etc/limits.txt'
:env:.find-links='/wheels\\n/more'
:env:.cert='/certificates.pem'
freeze.exclude='pip'
"""


def test_uv_looks_where_pip_is_told_to_look() -> None:
    environment = install.uv_environment(install.pip_options(LISTING), {"HOME": "/home/me"})
    assert environment == {
        "HOME": "/home/me",
        "UV_INDEX": "https://here.example https://there.example",
        "UV_FIND_LINKS": "/wheels,/more",
        "SSL_CERT_FILE": "/certificates.pem",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


def test_what_uv_was_told_itself_stays() -> None:
    given = {"UV_FIND_LINKS": "/mine", "UV_INDEX_STRATEGY": "first-index"}
    environment = install.uv_environment(install.pip_options(LISTING), given)
    assert given.items() <= environment.items()


def test_limits_of_pips_configuration_hold_for_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = _commands(monkeypatch, uv="uv", codes={"uv": 0})
    assert install.install(["-e", "."]) == 0
    (command,) = commands
    assert command[command.index("-c") : command.index("-c") + 2] == ["-c", "/etc/limits.txt"]
    assert command[-2:] == ["-e", "."]
    assert command[command.index("--python") + 1] == sys.executable


@pytest.mark.parametrize("uv", ["uv", None])
def test_pip_installs_the_same_where_uv_fails_or_is_not_there(monkeypatch: pytest.MonkeyPatch, uv: str | None) -> None:
    commands = _commands(monkeypatch, uv=uv, codes={"uv": 2, sys.executable: 0})
    assert install.install(["-c", "constraints.txt", "-e", ".[s3]"]) == 0
    assert commands[-1][:4] == [sys.executable, "-m", "pip", "install"]
    assert commands[-1][-4:] == ["-c", "constraints.txt", "-e", ".[s3]"]
    assert len(commands) == (2 if uv else 1)


def test_an_installation_that_pip_refuses_too_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    _commands(monkeypatch, uv="uv", codes={"uv": 2, sys.executable: 1})
    assert install.install(["nothing-of-this-name"]) == 1


def test_bytecode_is_compiled_at_once_where_no_command_may_write_it(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = _commands(monkeypatch, uv="uv", codes={"uv": 0})
    for forbidden in (True, False):
        monkeypatch.setattr(sys, "dont_write_bytecode", forbidden)
        install.install(["-e", "."])
    assert ["--compile-bytecode" in command for command in commands] == [True, False]


def _commands(monkeypatch: pytest.MonkeyPatch, uv: str | None, codes: Mapping[str, int]) -> list[list[str]]:
    """Return the list of the commands that would install, as they come; each ends with its program's code."""
    commands: list[list[str]] = []

    def run(command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        if "list" in command:
            return subprocess.CompletedProcess(command, 0, stdout=LISTING)
        commands.append(list(command))
        return subprocess.CompletedProcess(command, codes[command[0]])

    monkeypatch.setattr(install.subprocess, "run", run)
    monkeypatch.setattr(install, "find_uv", lambda _: uv)
    return commands
