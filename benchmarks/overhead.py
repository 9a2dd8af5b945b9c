"""What orchestration costs: a rerun in which nothing changed, a unit without work, and a run against its own work.

Limits: a rerun over 1,000 shards takes at most 10 s, a unit at most 50 ms, and a run of ten minutes at most 2 % more than
its work. The run is shorter here, which only makes the share larger.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

from benchmarks.measure import Line, Note, Spread, spread_of
from benchmarks.options import Options
from infra.executors import Executor, executor_of
from infra.ray_executor import ray_closed_after
from infra.storage import FolderStore
from tasks.core.results import Here, UnitResult
from tasks.ingest.config import IngestParams
from tasks.ingest.listing import list_inputs
from tasks.ingest.raw import write_listing
from tasks.ingest.stage import run as ingest
from tasks.runtime.context import Workshop
from tasks.runtime.step import Step

SHARDS = 1000
# Long enough that starting workers does not count, which a run of ten minutes does once.
_WORK_S = 1.0
_UNITS_PER_WORKER = 30


def nothing(number: int, here: Here) -> UnitResult:
    """Write one small file."""
    (here.folder / "out.txt").write_text(str(number))
    return UnitResult()


def wait(number: int, here: Here) -> UnitResult:
    """Take a second of wall time."""
    time.sleep(_WORK_S)
    return nothing(number, here)


NOTHING = Step("benchmark.nothing", "units without work", nothing)
WAIT = Step("benchmark.wait", "units of a second", wait)


def run(options: Options) -> Iterator[Line | Note]:
    """Yield the figures."""
    with tempfile.TemporaryDirectory() as scratch:
        yield from _reruns(Path(scratch), options)
        kinds: tuple[Literal["local", "ray"], ...] = ("local", "ray")
        for kind in kinds:
            with ray_closed_after(), closing(executor_of(kind, options.workers)) as executor:
                yield from _units(kind, executor, Path(scratch), options)


def _reruns(scratch: Path, options: Options) -> Iterator[Line]:
    """Yield what a second run over many shards takes: with its output in place, and with its output removed."""
    source = scratch / "in"
    source.mkdir()
    for number in range(SHARDS):
        lines = (json.dumps({"id": f"{number}-{row}", "text": f"text {row} of file {number}"}) for row in range(5))
        (source / f"{number:04}.jsonl").write_text("\n".join(lines) + "\n")
    write_listing(list_inputs([str(source)]), scratch / "raw")
    with closing(executor_of("local", options.workers)) as executor:
        workshop = Workshop(executor, FolderStore(scratch / "store"))

        def again() -> float:
            start = time.perf_counter()
            ingest(IngestParams(), inputs={"raw": scratch / "raw"}, output=scratch / "out", workshop=workshop)
            return time.perf_counter() - start

        again()
        yield Line(f"rerun over {SHARDS:,} shards, output in place", "s", _spread(again, options.rounds))

        def from_store() -> float:
            shutil.rmtree(scratch / "out")
            return again()

        yield Line(f"rerun over {SHARDS:,} shards, output removed", "s", _spread(from_store, options.rounds))


def _units(kind: str, executor: Executor, scratch: Path, options: Options) -> Iterator[Line]:
    """Yield milliseconds per unit without work, and what a run takes more than its work, in per cent."""

    def timed(step: Step, count: int, place: str) -> float:
        workshop = Workshop(executor, FolderStore(scratch / kind / place))
        start = time.perf_counter()
        step.map(workshop, range(count))
        return time.perf_counter() - start

    timed(NOTHING, 2 * options.workers, "warm")
    found = [1000 * timed(NOTHING, SHARDS, f"nothing{number}") / SHARDS for number in range(options.rounds)]
    yield Line(f"{kind}: a unit without work", "ms", spread_of(found))
    ideal = _UNITS_PER_WORKER * _WORK_S
    shares = [
        100 * (timed(WAIT, _UNITS_PER_WORKER * options.workers, f"wait{number}") / ideal - 1)
        for number in range(options.rounds)
    ]
    yield Line(f"{kind}: {ideal:.0f} s of work in units of {_WORK_S:g} s, more than that", "%", spread_of(shares))


def _spread(measured: Callable[[], float], rounds: int) -> Spread:
    return spread_of([measured() for _ in range(rounds)])
