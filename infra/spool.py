"""Words for a server that is away: one JSON line per call, kept in order, delivered later, each at least once.

A call that the server refuses, or a line that is none, is set aside with the reason in a file beside: it would be refused
again, and what waits behind it has nothing to do with it.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.disk import explained

Deliver = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True)
class Rejected:
    """A line that cannot be delivered, and why."""

    reason: str
    line: str


@dataclass(frozen=True)
class Delivery:
    """How many calls went out, and which lines were set aside."""

    sent: int = 0
    rejected: tuple[Rejected, ...] = ()


class Spool:
    """A file of calls (name and arguments) that wait for their server."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __len__(self) -> int:
        return sum(1 for _ in self._lines())

    @property
    def rejected_path(self) -> Path:
        """The file of the lines that were set aside: JSON Lines of `reason` and `line`."""
        return self.path.with_suffix(".rejected.jsonl")

    def add(self, call: str, arguments: Mapping[str, Any]) -> None:
        """Keep a call for later; it is on the disk when this returns.

        Raises:
            SpaceError: the disk is full.
            PlaceError: the folder of the spool cannot be written.
        """
        line = json.dumps({"call": call, "arguments": dict(arguments)}, ensure_ascii=False)
        with explained(self.path.parent):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._locked():
                if self.path.is_file() and not self.path.read_bytes().endswith(b"\n"):
                    self._keep(list(self._lines()))
                _append(self.path, [line])

    def deliver(self, deliver: Deliver, away: type[Exception]) -> Delivery:
        """Hand every call to `deliver`, oldest first; return how many went out and which were set aside.

        A call is removed when `deliver` has returned. When it raises `away` the server is not there: that call and all
        after it stay, and the error is raised. Any other error is the call's own: it is set aside, and the next follows.
        """
        if not self.path.is_file():
            return Delivery()
        with self._locked():
            lines = list(self._lines())
            done, rejected = 0, list[Rejected]()
            try:
                for line in lines:
                    if (reason := _refused(line, deliver, away)) is not None:
                        rejected.append(Rejected(reason, line.decode(errors="backslashreplace")))
                    done += 1
            finally:
                if rejected:
                    _append(self.rejected_path, [json.dumps(vars(each), ensure_ascii=False) for each in rejected])
                self._keep(lines[done:])
        return Delivery(done - len(rejected), tuple(rejected))

    def _keep(self, lines: Sequence[bytes]) -> None:
        if not lines:
            self.path.unlink(missing_ok=True)
            return
        temporary = self.path.with_suffix(".part")
        temporary.write_bytes(b"".join(line + b"\n" for line in lines))
        temporary.replace(self.path)

    def _lines(self) -> Iterator[bytes]:
        if self.path.is_file():
            # A line without its end was being written when the process was killed: that call was never promised.
            yield from (line for line in self.path.read_bytes().split(b"\n")[:-1] if line)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _refused(line: bytes, deliver: Deliver, away: type[Exception]) -> str | None:
    """Deliver one line; return why it cannot be, or None."""
    try:
        value = json.loads(line.decode())
        call, arguments = str(value["call"]), dict(value["arguments"])
    except (ValueError, KeyError, TypeError) as error:
        return f"this line is not a call: {error!r}"
    try:
        deliver(call, arguments)
    except away:
        raise
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def _append(path: Path, lines: Sequence[str]) -> None:
    with path.open("a", encoding="utf-8", errors="backslashreplace") as stream:
        stream.write("".join(line + "\n" for line in lines))
        stream.flush()
        os.fsync(stream.fileno())
