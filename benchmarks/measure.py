"""Timing: CPU seconds of this process over several rounds, and where it was measured."""

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of several rounds."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:10.3f}  ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Line:
    """One measured figure: its name, its unit, and its spread over the rounds."""

    name: str
    unit: str
    spread: Spread


def cpu_seconds(work: Callable[[], object], rounds: int = 5) -> Spread:
    """Return the CPU seconds of `work`, after one round that is not counted."""
    work()
    found = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return Spread(statistics.median(found), min(found), max(found))


def rate(amount: float, work: Callable[[], object], rounds: int = 5) -> Spread:
    """Return amount per CPU second of `work`."""
    spent = cpu_seconds(work, rounds)
    return Spread(amount / spent.median, amount / spent.high, amount / spent.low)


def ratio(first: Spread, second: Spread) -> Spread:
    """Return the ratio of two rates measured in the same run; the bounds are the worst and best pairings."""
    return Spread(first.median / second.median, first.low / second.high, first.high / second.low)


def machine() -> str:
    """Return what this was measured on: processor, cores, Python."""
    info = Path("/proc/cpuinfo")
    model = "unknown processor"
    if info.is_file():
        names = (
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        )
        model = next(names, model)
    return f"{model}, {platform.machine()}, Python {platform.python_version()}, one thread"
