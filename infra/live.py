"""What runs measure while they are under way: a file of lines that a unit writes and its driver shows.

A step is told once, over kills and resumes: who goes on writes behind the last line. Whoever shows the file shows it from
its beginning, which the tracker takes for the same values again. Nothing here reaches a published file.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any

from infra.errors import InfraError
from infra.machine import peak_flops
from infra.progress import repeated

_WRITTEN_EVERY_S = 1.0
# A short run is over before a second is: its beginning is told in full.
_FIRST_STEPS = 100
_LOOKED_AT_EVERY_S = 2.0

Values = Mapping[str, float]
Row = tuple[int, dict[str, float]]


class MetricsFile:
    """The live values of one unit: what the unit says of its `first_steps`, then at most a line a second.

    Once a second it is told as well how fast and how large it is. `peak` is what one of its `devices` could do, in
    operations per second (None = by its name, where that is known).
    """

    def __init__(
        self,
        path: Path,
        peak: float | None = None,
        devices: int = 1,
        every_s: float = _WRITTEN_EVERY_S,
        first_steps: int = _FIRST_STEPS,
    ) -> None:
        self._path, self._peak, self._devices = path, peak, devices
        self._every_s, self._first_steps = every_s, first_steps
        self._last_step: int | None = None
        self._before: tuple[float, float, Values] | None = None
        self._rare: set[tuple[int, str]] | None = None

    def __call__(self, step: int, values: Values) -> None:
        """Take the values of a step. Of `tokens` and `flops`, totals so far, the rates are told.

        Values without totals are no step's own but measured behind it, and rare: all of them are told, whenever they come.
        """
        if not {"tokens", "flops"} & {*values}:
            self._tell_once(step, values)
            return
        now, cpu = time.monotonic(), time.process_time()
        if self._before is None:
            self._before, self._last_step = (now, cpu, values), self._last_told()
            _system(0.0)  # its own counters begin here
        due = now - self._before[0] >= self._every_s
        if step <= (self._last_step or 0) or not (due or step <= self._first_steps):
            return
        row = {name: value for name, value in values.items() if name not in {"tokens", "flops"}}
        if due:
            row |= self._rates(now - self._before[0], values, self._before[2])
            row |= _system((cpu - self._before[1]) / (now - self._before[0]))
            self._before = (now, cpu, values)
        self._last_step = step
        self._write(step, row)

    def _tell_once(self, step: int, values: Values) -> None:
        """Tell values of a step that nobody has told, neither here nor before a kill."""
        if self._rare is None:
            self._last_told()
            rows, _ = metrics_of(self._path)
            self._rare = {(told, name) for told, row in rows for name in row}
        new = {name: value for name, value in values.items() if (step, name) not in self._rare}
        if new:
            self._rare |= {(step, name) for name in new}
            self._write(step, new)

    def _write(self, step: int, row: Values) -> None:
        # For people alone: where nothing can be written, the work itself will say so by name.
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps([step, row]) + "\n")

    def _rates(self, seconds: float, values: Values, before: Values) -> dict[str, float]:
        rates = {}
        if "tokens" in values:
            rates["tokens_per_s"] = (values["tokens"] - before["tokens"]) / seconds
        peak = self._peak or _device_peak()
        if "flops" in values and peak:
            rates["mfu"] = (values["flops"] - before["flops"]) / seconds / (peak * self._devices)
        return rates

    def _last_told(self) -> int | None:
        """Return the last step of the file that told its own values; a line that a kill tore is removed."""
        rows, size = metrics_of(self._path)
        with suppress(OSError):
            if self._path.stat().st_size > size:
                os.truncate(self._path, size)
        return max((step for step, row in rows if "loss" in row or "tokens_per_s" in row), default=None)


def metrics_of(path: Path, start: int = 0) -> tuple[list[Row], int]:
    """Return the rows of a file from a byte on, and where the last whole line ends."""
    try:
        with path.open("rb") as stream:
            stream.seek(start)
            whole, newline, _ = stream.read().rpartition(b"\n")
    except OSError:
        return [], start
    rows = [json.loads(line) for line in whole.splitlines()]
    return [(int(step), dict(values)) for step, values in rows], start + len(whole + newline)


@contextmanager
def showing(
    paths: Sequence[Path], show: Callable[[int, list[Row]], None], every_s: float = _LOOKED_AT_EVERY_S
) -> Iterator[Callable[[], None]]:
    """Show (index of the file, its new rows) while the block runs, and at its end; what could not be shown, again later.

    The block is given what shows at once what is there: before files go.
    """
    seen, one_at_a_time = [0] * len(paths), Lock()

    def look() -> None:
        with one_at_a_time:
            for index, path in enumerate(paths):
                rows, end = metrics_of(path, seen[index])
                if rows:
                    with suppress(InfraError):
                        show(index, rows)
                        seen[index] = end

    try:
        with repeated(look, every_s):
            yield look
    finally:
        look()


def curves_of(rows: Sequence[Row]) -> dict[str, tuple[tuple[int, float], ...]]:
    """Return rows as curves: (step, value) by name.

    >>> curves_of([(1, {"loss": 3.0}), (2, {"loss": 2.5, "mfu": 0.4})])
    {'loss': ((1, 3.0), (2, 2.5)), 'mfu': ((2, 0.4),)}
    """
    names = dict.fromkeys(name for _, values in rows for name in values)
    return {name: tuple((step, values[name]) for step, values in rows if name in values) for name in names}


def _device_peak() -> float | None:
    torch = _torch_on_gpu()
    return None if torch is None else peak_flops(torch.cuda.get_device_name())


def _system(cpus: float) -> dict[str, float]:
    """Return what this process takes of its machine, CPUs and memory at most so far; and how full the machine is."""
    import psutil  # type: ignore[import-untyped]

    found = {
        "system/cpu_utilization_percentage": psutil.cpu_percent(),
        "system/system_memory_usage_percentage": psutil.virtual_memory().percent,
        "system/cpus": cpus,
        "system/memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    if (torch := _torch_on_gpu()) is not None:
        found["system/gpu_memory_mb"] = torch.cuda.max_memory_allocated() / 1e6
    return found


def _torch_on_gpu() -> Any:
    """Return torch where this process computes on a GPU with it."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and torch.cuda.is_initialized() else None
