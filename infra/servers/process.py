"""Background processes that outlive the command that started them, and are only ever ended when they are ours.

A process is ours if the pid file's process id still has the command line and the start it was started with; a process id
that the system gave to somebody else later has not. The start is counted from the machine's boot: a clock that is set
changes no process.
"""

import base64
import hashlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from infra.errors import ServiceError
from infra.settings import project_root

Say = Callable[[str], None]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_LOG_LIMIT = 10_000_000
_POLL_S = 0.2
_SAY_EVERY_S = 5.0


@dataclass(frozen=True)
class Service:
    """A process to run in the background: what to start, and how to tell that it is ready.

    It is ready when `health` (an address) answers 200 and its log holds `ready_text`; None: nothing to ask for.
    `port` is what it listens on, or None; `port_setting` is the variable that chooses another. `environment` is asked
    for when the process is started; a process with other `secrets` (names in it) than today's is started anew.
    """

    name: str
    title: str
    command: tuple[str, ...]
    environment: Callable[[], Mapping[str, str]]
    home: Path
    url: str
    secrets: tuple[str, ...] = ()
    umask: int = -1
    health: str | None = None
    ready_text: str | None = None
    port: int | None = None
    host: str = "127.0.0.1"
    port_setting: str = ""

    @property
    def log(self) -> Path:
        """Where it writes what it has to say."""
        return self.home / "logs" / f"{self.name}.log"

    @property
    def pid_file(self) -> Path:
        """Where its process id, start and command line are kept."""
        return self.home / "run" / f"{self.name}.json"


def running(service: Service) -> psutil.Process | None:
    """Return the service's process if it is alive and the one that was started here, else None."""
    recorded = _recorded(service)
    if recorded is None:
        return None
    try:
        process = psutil.Process(int(recorded["pid"]))
        same_start = _start_of(process) == recorded["started"]
        alive = process.status() != psutil.STATUS_ZOMBIE
        # The first word may differ: on some systems the interpreter of a virtual environment starts another one.
        # It is empty for a moment while the kernel puts the new program in place: on a busy machine that can be seen.
        command = process.cmdline()
        same_command = not command or command[1:] == recorded["command"][1:]
        return process if same_start and alive and same_command else None
    except (psutil.Error, OSError, KeyError, TypeError, ValueError):
        return None


def started_as(service: Service) -> bool:
    """Tell whether the recorded process was started with today's command line, address and secrets."""
    recorded = _recorded(service)
    if recorded is None or recorded.get("command") != list(service.command):
        return False
    return recorded.get("secrets") == _digest_of_secrets(service, service.environment())


def start(service: Service) -> None:
    """Start the process, detached from this terminal; its output goes to its log.

    Raises:
        ServiceError: its port is taken by somebody else; names the port and the setting that chooses another.
    """
    if service.port is not None and not port_is_free(service.host, service.port):
        raise ServiceError(
            f"{service.title}: port {service.port} on {service.host} is in use by another program. "
            f"End that program, or choose another port: {service.port_setting}={_free_port(service.host)}"
        )
    for folder in (service.log.parent, service.pid_file.parent):
        folder.mkdir(parents=True, exist_ok=True)
    _rotate(service.log)
    environment = dict(service.environment())
    service.log.touch(mode=0o600)
    with service.log.open("ab") as log:
        log_from = log.tell()
        child = subprocess.Popen(
            service.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=project_root(),
            env=environment,
            start_new_session=True,
            umask=service.umask,
        )
    _record(service, child.pid, log_from, _digest_of_secrets(service, environment))
    # The child outlives this process; nobody here will wait for it, and that is meant.
    child.returncode = 0


def wait_ready(service: Service, timeout_s: float, say: Say) -> float:
    """Wait until the service answers, telling how long it has been every few seconds; return the seconds it took.

    Raises:
        ServiceError: it ended, or did not answer in time; carries the last lines of its log.
    """
    began = said = time.monotonic()
    while not healthy(service):
        waited = time.monotonic() - began
        if running(service) is None:
            raise ServiceError(f"{service.title} ended while it was starting.{_advice(service)}")
        if waited > timeout_s:
            raise ServiceError(f"{service.title} did not answer within {timeout_s:.0f} s.{_advice(service)}")
        if time.monotonic() - said > _SAY_EVERY_S:
            said = time.monotonic()
            say(f"{service.title}: starting, {waited:.0f} s of at most {timeout_s:.0f} s")
        time.sleep(_POLL_S)
    return time.monotonic() - began


def healthy(service: Service) -> bool:
    """Tell whether the service's process lives, answers at its health address, and has said that it is ready."""
    if running(service) is None or (service.health is not None and not answers(service.health)):
        return False
    return service.ready_text is None or service.ready_text in _log_of_this_start(service)


def answers(address: str, timeout_s: float = 2.0, auth: str | None = None) -> bool:
    """Tell whether an HTTP address answers 200, to somebody who shows `auth` (`user:password`)."""
    try:
        # Straight to the address: a proxy of the environment knows nothing of this machine's loopback.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        opener.addheaders += [] if auth is None else [("Authorization", authorization(auth))]
        with opener.open(address, timeout=timeout_s) as response:
            return bool(response.status == 200)
    except (OSError, ValueError, urllib.error.URLError):
        return False


def authorization(auth: str) -> str:
    """Return the header by which an HTTP client logs in as `user:password`."""
    return f"Basic {base64.b64encode(auth.encode()).decode()}"


def stop(service: Service, timeout_s: float) -> bool:
    """End the service and everything it started; return whether there was anything to end."""
    process = running(service)
    if process is None:
        service.pid_file.unlink(missing_ok=True)
        return False
    family = [process, *_children(process)]
    _signal_group(process.pid, signal.SIGTERM)
    for member in family[1:]:
        # Those that left the group, such as a run that the worker started in a session of its own.
        with suppress(psutil.Error):
            member.terminate()
    _, alive = psutil.wait_procs(family, timeout=timeout_s)
    for survivor in alive:
        with suppress(psutil.Error):
            survivor.kill()
    psutil.wait_procs(alive, timeout=timeout_s)
    service.pid_file.unlink(missing_ok=True)
    return True


def port_is_free(host: str, port: int) -> bool:
    """Tell whether a server could listen there: nobody does, and the system would allow it."""
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def last_lines(path: Path, count: int = 15) -> str:
    """Return the last lines of a log, or an empty string when there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 20_000))
        return "\n".join(stream.read().decode(errors="replace").splitlines()[-count:])


def memory_of(process: psutil.Process) -> int:
    """Return the resident bytes of a process and its children."""
    total = 0
    for member in (process, *_children(process)):
        with suppress(psutil.Error):
            total += member.memory_info().rss
    return total


def _recorded(service: Service) -> dict[str, Any] | None:
    try:
        value = json.loads(service.pid_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _record(service: Service, pid: int, log_from: int, secrets: str) -> None:
    started = _start_of(psutil.Process(pid))
    value = {"pid": pid, "started": started, "command": list(service.command), "log_from": log_from, "secrets": secrets}
    temporary = service.pid_file.with_suffix(".part")
    temporary.touch(mode=0o600)
    temporary.write_text(json.dumps(value), encoding="utf-8")
    temporary.rename(service.pid_file)


def _start_of(process: psutil.Process) -> str:
    """Return when a process was started, in words that no other process of its id has: boot and ticks since then.

    Elsewhere than on Linux it is the time of the wall clock, as the system keeps it.
    """
    try:
        # The name, in brackets, may hold blanks and brackets; `starttime` is the 20th word behind it (man proc).
        words = (
            Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
        return f"{_BOOT_ID.read_text(encoding='utf-8').strip()} {words[19]}"
    except FileNotFoundError:
        return str(process.create_time())


def _digest_of_secrets(service: Service, environment: Mapping[str, str]) -> str:
    shown = json.dumps([environment.get(name) for name in service.secrets])
    return hashlib.sha256(shown.encode()).hexdigest()


def _log_of_this_start(service: Service) -> str:
    recorded = _recorded(service)
    if recorded is None or not service.log.is_file():
        return ""
    with service.log.open("rb") as stream:
        stream.seek(recorded.get("log_from", 0))
        return stream.read(1_000_000).decode(errors="replace")


def _children(process: psutil.Process) -> Sequence[psutil.Process]:
    try:
        found: list[psutil.Process] = process.children(recursive=True)
    except psutil.Error:
        return []
    return found


def _signal_group(pid: int, number: signal.Signals) -> None:
    # The process was started as the leader of its own session, so its group holds nobody else.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _rotate(log: Path) -> None:
    if log.is_file() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))


def _free_port(host: str) -> int:
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _advice(service: Service) -> str:
    return f" The last lines of its log, {service.log}:\n{last_lines(service.log) or '(empty)'}"
