"""How a process ends that is told to: SIGTERM unwinds what is under way, a sentence and the exit code (143) say so."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGTERM_CODE = 128 + signal.SIGTERM
_ENDED = (
    "Ended by SIGTERM. What is finished is kept, and runs under way go on from their last checkpoints: start the same "
    "command again."
)


@contextmanager
def ended_in_order(tell: Callable[[str], object]) -> Iterator[None]:
    """Let SIGTERM leave the block as `SystemExit(143)`, so that what is open is closed; put back what was there before.

    When all is closed, `tell` hears in a sentence what has ended the block.

    Where the block is not run by the main thread, or somebody else has taken the signal, nothing is changed.
    """
    mine = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not mine:
        yield
        return
    received: list[int] = []

    def leave(number: int, frame: FrameType | None) -> None:
        # A second one, while we are leaving, ends the process at once.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        received.append(number)
        sys.exit(_SIGTERM_CODE)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    except SystemExit as ending:
        # Ray, asked while the signal came, passes it on as an exit of its own with another code.
        if received:
            tell(_ENDED)
            if ending.code != _SIGTERM_CODE:
                raise SystemExit(_SIGTERM_CODE) from ending
        raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def sigterm_kept() -> Iterator[None]:
    """Put SIGTERM's handler back after a block in which a library (Ray) installs its own.

    Ray's, below Python's, prints a C++ stack and aborts with 134; what was to be done with the signal is done instead.
    """
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
