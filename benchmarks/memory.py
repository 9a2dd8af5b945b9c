"""Memory: the largest resident set of every process while much more text than memory's share is ingested and curated.

`python -m benchmarks memory --size-gb 10 --file-mb 512` is the size that is asked for; it needs free space of about five
times that where temporary files go (TMPDIR). High-water marks are the kernel's own (VmHWM),
so that nothing is missed between two looks; PSS shares out what several processes map.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.growth import grow
from benchmarks.inputs import ROOT, whole_corpus
from benchmarks.measure import Line, Note, Spread, clean_environment
from benchmarks.options import Options

_EVERY_S = 0.25


@dataclass
class _Peaks:
    """The largest figures seen, in bytes: per process id its resident set, and the sum of PSS over the tree."""

    resident: dict[int, int] = field(default_factory=dict)
    kinds: dict[int, str] = field(default_factory=dict)
    tree_pss: int = 0

    def look(self, root: psutil.Process) -> None:
        """Note every process of a tree that is still there."""
        pss = 0
        for process in (root, *_children(root)):
            try:
                pss += _pss(process)
                self.resident[process.pid] = max(self.resident.get(process.pid, 0), _high_water(process))
                self.kinds.setdefault(process.pid, _kind(process, root))
            except (psutil.Error, OSError):
                continue
        self.tree_pss = max(self.tree_pss, pss)

    def largest(self, kind: str) -> int:
        """Return the largest resident set of a kind of process; 0 where there was none."""
        return max((size for pid, size in self.resident.items() if self.kinds[pid] == kind), default=0)


def run(options: Options) -> Iterator[Line | Note]:
    """Measure profile datatrove with near duplicates, then Mixwright's defaults."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus = whole_corpus(folder / "whole")
        size = (int(options.size_gb * 1e9), options.file_mb * 10**6)
        documents, num_bytes = grow(corpus.texts(), *size, folder / "grown")
        yield Note(
            f"{corpus.name} repeated with edits: {documents:,} documents, {num_bytes / 1e9:.2f} GB of raw text in files of "
            f"{options.file_mb} MB (zst); {options.workers} workers, near duplicates looked for"
        )
        for told, extra in (("profile datatrove", ("--profile", "datatrove")), ("defaults", ())):
            yield from _watched(told, extra, num_bytes, options, folder)


def _watched(told: str, extra: tuple[str, ...], num_bytes: int, options: Options, folder: Path) -> Iterator[Line]:
    peaks, start = _Peaks(), time.perf_counter()
    with tempfile.TemporaryDirectory(dir=folder) as fresh:
        paths = ("--input", str(folder / "grown" / "*.zst"), "--output", f"{fresh}/out")
        command = [sys.executable, "-m", "cli", "curate", *paths, "--workers", str(options.workers), "--json", *extra]
        log = Path(fresh) / "log"
        with log.open("wb") as output:
            process = psutil.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=clean_environment() | {"MIXWRIGHT_HOME": f"{fresh}/home"},
            )
            while process.poll() is None:
                peaks.look(process)
                time.sleep(_EVERY_S)
        if process.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{log.read_text()[-2000:]}")
    seconds = time.perf_counter() - start
    yield Line(f"{told}: peak resident set of a worker", "MiB", _mebibytes(peaks.largest("worker")))
    yield Line(f"{told}: peak resident set of the driver", "MiB", _mebibytes(peaks.largest("driver")))
    yield Line(f"{told}: peak of the whole tree (PSS)", "MiB", _mebibytes(peaks.tree_pss))
    rate = num_bytes / 1e6 / seconds
    yield Line(f"{told}: raw text per wall second", "MB/s", Spread(rate, rate, rate))


def _children(root: psutil.Process) -> list[psutil.Process]:
    try:
        return root.children(recursive=True)
    except psutil.Error:
        return []


def _kind(process: psutil.Process, root: psutil.Process) -> str:
    if process.pid == root.pid:
        return "driver"
    command = " ".join(process.cmdline())
    return "worker" if "spawn_main" in command else "other"


def _high_water(process: psutil.Process) -> int:
    """Return the largest resident set a process ever had, in bytes; the present one where the kernel does not tell."""
    status = Path(f"/proc/{process.pid}/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return int(process.memory_info().rss)


def _pss(process: psutil.Process) -> int:
    rollup = Path(f"/proc/{process.pid}/smaps_rollup")
    if rollup.is_file():
        for line in rollup.read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return int(process.memory_info().rss)


def _mebibytes(size: int) -> Spread:
    value = size / 2**20
    return Spread(value, value, value)
