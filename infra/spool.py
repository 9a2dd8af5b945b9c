"""Words for a server that is away: one JSON line per call, kept in order, delivered later, each at least once."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Deliver = Callable[[str, dict[str, Any]], None]


class Spool:
    """A file of calls (name and arguments) that wait for their server."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __len__(self) -> int:
        return sum(1 for _ in self._lines())

    def add(self, call: str, arguments: Mapping[str, Any]) -> None:
        """Keep a call for later; it is on the disk when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"call": call, "arguments": dict(arguments)}, ensure_ascii=False)
        with self._locked():
            if self.path.is_file() and not self.path.read_bytes().endswith(b"\n"):
                self._keep(list(self._lines()))
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")
                stream.flush()
                os.fsync(stream.fileno())

    def deliver(self, deliver: Deliver) -> int:
        """Hand every call to `deliver`, oldest first; return how many went out.

        A call is removed when `deliver` has returned; when it raises, that call and all after it stay.
        """
        if not self.path.is_file():
            return 0
        with self._locked():
            lines = list(self._lines())
            delivered = 0
            try:
                for line in lines:
                    value = json.loads(line)
                    deliver(value["call"], value["arguments"])
                    delivered += 1
            finally:
                self._keep(lines[delivered:])
        return delivered

    def _keep(self, lines: list[str]) -> None:
        if not lines:
            self.path.unlink(missing_ok=True)
            return
        temporary = self.path.with_suffix(".part")
        temporary.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        temporary.replace(self.path)

    def _lines(self) -> Iterator[str]:
        if self.path.is_file():
            text = self.path.read_text(encoding="utf-8")
            # A line without its end was being written when the process was killed: that call was never promised.
            yield from (line for line in text.split("\n")[:-1] if line)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
