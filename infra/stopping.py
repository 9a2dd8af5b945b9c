"""Work that is to stop before its end: at a time limit, or when a cluster's scheduler says by a signal that time is up.

Whoever works asks the sign between two steps. It is seen by every worker that sees the store: a file, and a clock.
"""

import signal
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

# Slurm sends the first where it is asked to (`--signal=USR1@120`), and the second when it ends or preempts a job.
_SIGNALS = (signal.SIGUSR1, signal.SIGTERM)
# A time limit counts from here: this module comes with the first of ours that a command imports.
_BEGAN_S = time.time()


@dataclass(frozen=True)
class StopSign:
    """Whether work is to stop: `file` is there, or the clock (seconds since 1970) is past `at_s` (None = no limit)."""

    file: Path
    at_s: float | None = None

    def __call__(self) -> bool:
        """Return whether it is time to stop."""
        return (self.at_s is not None and time.time() >= self.at_s) or self.file.exists()

    def show(self, why: str) -> None:
        """Ask everybody who looks at this sign to stop; the first to do so says why."""
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("x", encoding="utf-8") as stream:
                stream.write(why)

    def why(self) -> str:
        """Return who has asked to stop: the name of a signal, or the limit."""
        try:
            return self.file.read_text(encoding="utf-8")
        except OSError:
            return "the time limit is over"


@contextmanager
def stop_sign(home: Path, limit_s: float | None) -> Iterator[StopSign]:
    """Give the sign of some work: shown when this process has run for `limit_s`, or when a signal comes meanwhile."""
    sign = StopSign(home / "stop" / uuid.uuid4().hex, None if limit_s is None else _BEGAN_S + limit_s)
    try:
        with shown_by_signals(sign):
            yield sign
    finally:
        sign.file.unlink(missing_ok=True)


@contextmanager
def shown_by_signals(sign: StopSign) -> Iterator[None]:
    """While the block runs, SIGUSR1 and SIGTERM show the sign; a second one does what it did before.

    Only the main thread of a process can say so; elsewhere nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def show(number: int, frame: FrameType | None) -> None:
        sign.show(signal.Signals(number).name)
        signal.signal(number, before[signal.Signals(number)])

    for number in _SIGNALS:
        signal.signal(number, show)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
