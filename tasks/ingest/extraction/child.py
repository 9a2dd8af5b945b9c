"""Extraction in a process of its own: whatever a page does to a parser written in C, the unit goes on with the next one.

`python -m tasks.ingest.extraction.child` reads pages from standard input and writes what they hold to standard output.
A message is its length (4 bytes, little-endian) and a JSON value; the first message holds the params. No pickle: a page
may have taken over the child.
"""

import contextlib
import json
import select
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from tasks.core.errors import ConfigError
from tasks.ingest.extraction.kinds import Extracted, Extraction, extract

_LENGTH = struct.Struct("<I")
# Address space of the child: a page that needs more is refused instead of taking the machine down.
_MAX_CHILD_BYTES = 2 << 30
_MISSING = "missing"
_ROOT = Path(__file__).resolve().parents[3]


class ExtractionError(Exception):
    """A page could not be extracted; the message is what becomes of it in quarantine."""


class Extractor:
    """Extracts pages one after another in a child process, which is started with the first of them."""

    def __init__(self, extraction: Extraction) -> None:
        self._extraction = extraction
        self._child: subprocess.Popen[bytes] | None = None

    def extract(self, html: str) -> Extracted:
        """Return what a page holds.

        Raises:
            ExtractionError: the extractor raised, crashed or took too long.
            ConfigError: the extractor is not installed whole; that is no fault of the page.
        """
        child = self._child = self._child or self._started()
        assert child.stdin is not None and child.stdout is not None, "pipes were asked for"
        try:
            _send(child.stdin, html)
            answer = _answer(child.stdout, self._extraction.timeout_s)
        except (OSError, EOFError) as error:
            self.close()
            raise ExtractionError(f"the extractor ended with code {child.returncode}") from error
        if answer is None:
            self.close()
            raise ExtractionError(f"took longer than {self._extraction.timeout_s:g} s (extraction.timeout_s)")
        if isinstance(answer, str):
            raise ExtractionError(answer)
        if _MISSING in answer:
            raise ConfigError(
                f"ingest.extraction.kind is {self._extraction.kind}, which cannot be imported here: {answer[_MISSING]} "
                "Install Mixwright again with its own constraints (make install)."
            )
        return Extracted(**answer)

    def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                # What was not yet written to a dead child cannot be.
                with contextlib.suppress(OSError):
                    stream.close()

    def _started(self) -> "subprocess.Popen[bytes]":
        # The child imports this package from where the parent did: `-m` looks in the working directory first.
        child = subprocess.Popen(
            [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT
        )
        assert child.stdin is not None, "a pipe was asked for"
        _send(child.stdin, self._extraction.model_dump(mode="json"))
        return child


@contextlib.contextmanager
def extractor(extraction: Extraction) -> Iterator[Extractor]:
    """Give an extractor and end its child."""
    made = Extractor(extraction)
    try:
        yield made
    finally:
        made.close()


def _send(stream: Any, value: Any) -> None:
    data = json.dumps(value).encode()
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def _received(stream: Any) -> Any:
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return json.loads(data)


def _answer(stream: Any, timeout_s: float) -> Any:
    """Return the child's answer, or None where none comes in time."""
    ready, _, _ = select.select([stream], [], [], timeout_s)
    return _received(stream) if ready else None


def main() -> None:
    """Serve until standard input ends."""
    import logging
    import resource

    # trafilatura logs every page it finds nothing in.
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_CHILD_BYTES, _MAX_CHILD_BYTES))
    source, target = sys.stdin.buffer, sys.stdout.buffer
    # What a library prints must not get between the messages.
    sys.stdout = sys.stderr
    extraction: Extraction = TypeAdapter(Extraction).validate_python(_received(source))
    while True:
        try:
            html = _received(source)
        except EOFError:
            return
        try:
            answer: Any = asdict(extract(html, extraction))
        except ImportError as error:
            answer = {_MISSING: f"{error}"}
        except Exception as error:  # whatever a page does to an extractor concerns that page alone
            # The message may hold addresses; the name of the error is the same on every machine.
            answer = f"the extractor raised {type(error).__name__}"
        try:
            _send(target, answer)
        except BrokenPipeError:
            return


if __name__ == "__main__":
    main()
