"""Timing: CPU seconds of this process or of a command with all its children, over several rounds, and on what machine."""

import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Everything is measured on one thread, ours and others'.
_POOLS = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "RAYON")
ONE_THREAD = dict.fromkeys((f"{pool}_NUM_THREADS" for pool in _POOLS), "1") | {"TOKENIZERS_PARALLELISM": "false"}


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of several rounds."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:10.3f}  ({self.low:.3f} to {self.high:.3f})"

    def per(self, amount: float) -> "Spread":
        """Return amount / this, such as the rate of some seconds."""
        return Spread(amount / self.median, amount / self.high, amount / self.low)


@dataclass(frozen=True)
class Line:
    """One measured figure: its name, its unit, and its spread over the rounds."""

    name: str
    unit: str
    spread: Spread

    def __str__(self) -> str:
        return f"{self.name:<56} {self.spread}  {self.unit}"


@dataclass(frozen=True)
class Note:
    """What a reader of the figures must know: what was left out and why, or what was measured on."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Spent:
    """What a finished command took: CPU and wall seconds, of itself and all children it waited for, and its output."""

    cpu_s: float
    wall_s: float
    output: str


def spread_of(values: Sequence[float]) -> Spread:
    """Return median, smallest and largest."""
    return Spread(statistics.median(values), min(values), max(values))


def cpu_seconds(work: Callable[[], object], rounds: int = 5, *, warm: bool = True) -> Spread:
    """Return the CPU seconds of `work`; with `warm` after one round that is not counted."""
    if warm:
        work()
    found = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return spread_of(found)


def wall_seconds(work: Callable[[], object], rounds: int = 5) -> Spread:
    """Return the wall seconds of `work`."""
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return spread_of(found)


def rate(amount: float, work: Callable[[], object], rounds: int = 5) -> Spread:
    """Return amount per CPU second of `work`, after one round that is not counted."""
    return cpu_seconds(work, rounds).per(amount)


def ratio(first: Spread, second: Spread) -> Spread:
    """Return the ratio of two rates measured in the same run; the bounds are the worst and best pairings."""
    return Spread(first.median / second.median, first.low / second.high, first.high / second.low)


def spent_by(command: Sequence[str | Path], environment: Mapping[str, str], folder: Path) -> Spent:
    """Return what a command took, on one thread per process; it runs in `folder`, with no setting of Mixwright's but these.

    Raises:
        RuntimeError: the command failed; its last lines.
    """
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=clean_environment() | environment,
        )
        # Not Popen.wait: only wait4 tells what this very process and the children it waited for took.
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        told = output.read().decode(errors="replace")
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{told[-2000:]}")
    return Spent(usage.ru_utime + usage.ru_stime, wall_s, told)


def clean_environment() -> dict[str, str]:
    """Return this environment for measured commands: one thread, and none of Mixwright's settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MIXWRIGHT_")} | ONE_THREAD


def machine() -> str:
    """Return what this was measured on: processor, cores, memory, Python."""
    model = _first("/proc/cpuinfo", "model name") or platform.processor() or "unknown processor"
    kilobytes = (_first("/proc/meminfo", "MemTotal") or "0").split()[0]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = f"{int(kilobytes) / 2**20:.0f} GiB"
    return f"{model}, {platform.machine()}, {cores} cores, {memory}, Python {platform.python_version()}, one thread"


def _first(path: str, name: str) -> str | None:
    if not Path(path).is_file():
        return None
    lines = (line for line in Path(path).read_text().splitlines() if line.startswith(name))
    return next((line.partition(":")[2].strip() for line in lines), None)
