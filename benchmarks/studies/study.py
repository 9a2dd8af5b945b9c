"""What a study is: a question that small models answer on the shared text, and a result that says how it was made.

    python -m benchmarks.studies.NAME FOLDER [options]

A study is a function from what it was asked (a `Study`) to what came out. `run` does the rest: it reads the options, says
aloud that there is no shared text, works on one thread, and writes the result behind the machine, the day and the command.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.inputs import ROOT, shared
from benchmarks.measure import machine
from tasks.core.text_table import markdown_table
from tasks.evaluation.compare import MIN_SEEDS, paired_interval
from tasks.evaluation.published import Interval

CONFIDENCE = 0.95
# Of each measure, a value for each seed.
Values = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Option:
    """What a study may be told: a number or several, as its usual value is; None = one of the `choices` must be told."""

    name: str
    usual: Any
    told: str = ""
    choices: Sequence[str] = ()

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Make it an option of a command line."""
        several = isinstance(self.usual, tuple)
        kind = str if self.choices else type(self.usual[0] if several else self.usual)
        parser.add_argument(
            f"--{self.name}",
            type=kind,
            nargs="+" if several else None,
            default=self.usual,
            choices=self.choices or None,
            required=self.usual is None,
            help=self.told if self.usual is None else f"{self.told} (%(default)s)".strip(),
        )


SEEDS = Option("seeds", 3, "of each arm")


@dataclass(frozen=True)
class Study:
    """A study that was asked for: its options, the folder of the shared data, and one for what it makes."""

    name: str
    options: argparse.Namespace
    data: Path
    folder: Path

    @property
    def command(self) -> str:
        """The command that makes it again."""
        told = (
            (name, value if isinstance(value, list | tuple) else [value]) for name, value in vars(self.options).items()
        )
        words = [f"--{name} {' '.join(map(str, values))}" for name, values in told if name != "folder"]
        return " ".join([f"python -m benchmarks.studies.{self.name} FOLDER", *words])

    @property
    def heading(self) -> str:
        """What a result begins with: the study, the machine, the day and the command."""
        return f"{self.name}: {machine()}, {date.today()}, `{self.command}`"

    def scratch(self) -> Path:
        """Return a new folder in its own."""
        return Path(tempfile.mkdtemp(dir=self.folder))


def run(name: str, told: str | None, work: Callable[[Study], str], *options: Option, result: str = "{name}") -> None:
    """Do a study as the command line says, print what came out, and write it down as `result`, made of its options."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.studies.{name}", description=(told or "").partition("\n")[0]
    )
    parser.add_argument("folder", type=Path, help="what is made")
    for one in options:
        one.add_to(parser)
    asked = parser.parse_args()
    if (data := shared()) is None:
        print("skipped: no shared data here. MIXWRIGHT_SHARED names its folder; by default ../shared is looked for.")
        return
    import torch

    torch.set_num_threads(1)
    folder = asked.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    study = Study(name, asked, data, folder)
    text = f"{study.heading}\n{work(study).rstrip()}\n"
    print(text)
    path = ROOT / "benchmarks" / "results" / f"{result.format(name=name, **vars(asked))}.txt"
    path.write_text(text, encoding="utf-8")


def table(found: Mapping[str, Values], baseline: str) -> str:
    """Return a row for each arm: the mean of each measure over seeds, and how it differs from the baseline's, paired."""
    measures = list(found[baseline])

    def rows() -> Iterator[list[str]]:
        for arm, values in found.items():
            pairs = [(values[name], found[baseline][name]) for name in measures]
            yield [arm, *(cell for own, base in pairs for cell in _cells(own, base, compared=arm != baseline))]

    head = ["arm", *(cell for name in measures for cell in (name, f"less {baseline} (95 %)"))]
    return "\n".join(markdown_table(head, rows()))


def _cells(own: Sequence[float], base: Sequence[float], *, compared: bool) -> tuple[str, str]:
    return f"{fmean(own):.4f}", difference(own, base) if compared else ""


def difference(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Return the mean of paired differences in words, with its interval where there are enough pairs for one."""
    found = interval(ours, theirs)
    ends = "" if found.ends is None else f" ({found.ends[0]:+.4f} to {found.ends[1]:+.4f})"
    return f"{found.gain:+.4f}{ends}"


def interval(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """Return the mean of paired differences, ours less theirs, with Student's interval of 95 %; none of too few pairs."""
    apart_S = np.subtract(ours, theirs)
    return paired_interval(apart_S, CONFIDENCE) if len(apart_S) >= MIN_SEEDS else Interval(gain=float(apart_S.mean()))


def verdict(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Return whether it is shown that ours are lower."""
    ends = interval(ours, theirs).ends
    if ends is None:
        return f"no verdict: fewer than {MIN_SEEDS} seeds"
    return "shown" if ends[1] < 0 else "the opposite is shown" if ends[0] > 0 else "not shown"
