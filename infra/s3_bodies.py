"""Bodies of requests and answers: as long as was said, and not for ever."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

_BLOCK = 1 << 20


class ShortError(Exception):
    """A body ended before its length, or would never end."""


@dataclass(frozen=True)
class Deadline:
    """When a call must have come to its end."""

    at: float
    seconds: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Return the deadline that is so far away from now."""
        return cls(time.monotonic() + seconds, seconds)

    def require(self) -> None:
        """Raise what ends a transfer that goes on for too long."""
        if time.monotonic() >= self.at:
            raise ShortError(f"not done after {self.seconds:g} s")


def blocks(answer: Any, deadline: Deadline) -> Iterator[bytes]:
    """Yield the body of an answer as it comes.

    Raises:
        ShortError: it is shorter than was announced, or the deadline is over.
    """
    left, raw = int(answer["ContentLength"]), answer["Body"]._raw_stream
    try:
        while left > 0:
            # What there is, at most a block: a body that trickles must not keep us from looking at the clock.
            block = raw.read1(min(_BLOCK, left))
            if not block:
                raise ShortError(f"{left:,} of {int(answer['ContentLength']):,} bytes did not come")
            left -= len(block)
            deadline.require()
            yield block
    finally:
        answer["Body"].close()


class Body:
    """A part of a file as the body of a request, which is not sent for ever."""

    def __init__(self, stream: BinaryIO, start: int, length: int, deadline: Deadline) -> None:
        self._stream, self._start, self._length, self._deadline = stream, start, length, deadline
        self.seek(0)

    def __len__(self) -> int:
        return self._length

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes of the part."""
        self._deadline.require()
        left = self._length - self.tell()
        return self._stream.read(left if size is None or size < 0 else min(size, left))

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a byte of the part."""
        base = {0: 0, 1: self.tell() if whence == 1 else 0, 2: self._length}[whence]
        self._stream.seek(self._start + base + offset)
        return self.tell()

    def tell(self) -> int:
        """Return the place in the part."""
        return self._stream.tell() - self._start
