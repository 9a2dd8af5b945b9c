"""Two checkouts side by side: curation, search and training, alternated in one run; ratios of CPU seconds.

    python -m benchmarks.commits OTHER_CHECKOUT [--rounds 7] [--stage curate ...]

Each command runs in a new home and on one worker, with the environment of its own checkout (`.venv`). Machines get warm and
neighbours come and go, so that only neighbouring runs are compared: the ratio of every pair, its median, and a t interval of
the mean of its logarithms.
"""

import argparse
import datetime
import math
import shutil
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from scipy.stats import t as student

from benchmarks.measure import machine, spent_by

_HERE = Path(__file__).resolve().parents[1]
_RESULTS = Path(__file__).parent / "results" / "commits.txt"
_CONFIDENCE = 0.95
_STAGES = ("curate", "search", "train")
# Small enough for seven pairs in half an hour, large enough that starting Python is a small part of it.
_SEARCH = ("num_runs=12", "num_noise_seeds=1", "confirm=null")
_TRAIN = ("num_seeds=1", "mixtures=[natural]")


def main() -> None:
    """Measure, print and write down the ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.commits", description=__doc__.partition("\n")[0])
    parser.add_argument("other", type=Path, help="a checkout with a .venv of its own")
    parser.add_argument("--rounds", type=int, default=7, help="pairs of runs (%(default)s)")
    parser.add_argument("--input", type=Path, help="raw input (default: the text of this Python)")
    parser.add_argument("--stage", action="append", choices=_STAGES, help="one to measure (default: all); repeatable")
    options = parser.parse_args()
    chosen: list[str] = options.stage or list(_STAGES)
    checkouts = {"other": options.other.resolve(), "this": _HERE}
    with tempfile.TemporaryDirectory() as scratch:
        for name, root in checkouts.items():
            _prepare(root, Path(scratch) / name, options.input, chosen)
        found = _alternated(checkouts, Path(scratch), options.rounds, chosen)
    lines = [f"commits: {machine()}, {datetime.date.today()}; this beside {options.other.name}, {options.rounds} pairs"]
    lines += [f"  {stage:<10} {_told(pairs)}" for stage, pairs in found.items()]
    print("\n".join(lines))
    _RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _commands(place: Path) -> Mapping[str, Sequence[str]]:
    data = place / "data"
    return {
        "curate": ("tasks.curate", "--input", f"{data}/ingest", "--output", f"{place}/out"),
        "search": (
            *("tasks.mixture", "--input", f"{data}/tokenize", "--output", f"{place}/out"),
            *(word for value in _SEARCH for word in ("--set", f"search.{value}")),
        ),
        "train": (
            *("tasks.training", "--input", f"tokenize={data}/tokenize", "--input", f"search={data}/search"),
            *("--output", f"{place}/out"),
            *(word for value in _TRAIN for word in ("--set", f"train.{value}")),
        ),
    }


def _prepare(root: Path, place: Path, raw: Path | None, chosen: Sequence[str]) -> None:
    """Run the stages before the measured ones, once per checkout: their formats may differ."""
    data = place / "data"
    first = raw or _snapshot(root, place)
    before = (
        ("tasks.ingest", "--input", str(first), "--output", f"{data}/ingest"),
        ("tasks.curate", "--input", f"{data}/ingest", "--output", f"{data}/curate"),
        ("tasks.cluster", "--input", f"{data}/curate", "--output", f"{data}/cluster"),
        (
            *("tasks.tokenize", "--input", f"curate={data}/curate", "--input", f"cluster={data}/cluster"),
            *("--output", f"{data}/tokenize"),
        ),
    )
    # Curation alone needs what was ingested.
    for command in before[: 1 if set(chosen) == {"curate"} else None]:
        _run(root, place, command)
    if "train" in chosen:
        search = list(_commands(place)["search"])
        search[search.index("--output") + 1] = f"{data}/search"
        _run(root, place, search)


def _snapshot(root: Path, place: Path) -> Path:
    """Return the default input of this machine, collected by a checkout."""
    folder = place / "raw"
    program = f"from pathlib import Path; from tasks.ingest.demo import collect; collect(Path({str(folder)!r}))"
    spent_by((root / ".venv/bin/python", "-c", program), {}, root)
    return folder


def _alternated(
    checkouts: Mapping[str, Path], scratch: Path, rounds: int, chosen: Sequence[str]
) -> dict[str, list[tuple[float, float]]]:
    """Return (other, this) CPU seconds of every pair, by stage."""
    found: dict[str, list[tuple[float, float]]] = {}
    for number in range(rounds):
        for stage in chosen:
            taken = {}
            # Who is first takes turns.
            for name in list(checkouts)[:: 1 if number % 2 else -1]:
                place = scratch / name
                taken[name] = _run(checkouts[name], place, _commands(place)[stage])
                shutil.rmtree(place / "out")
            found.setdefault(stage, []).append((taken["other"], taken["this"]))
            print(f"pair {number + 1}, {stage}: {taken['other']:.2f} and {taken['this']:.2f} CPU s", flush=True)
    return found


def _run(root: Path, place: Path, command: Sequence[str]) -> float:
    """Return the CPU seconds of a stage's command in a new home."""
    home = place / "home"
    shutil.rmtree(home, ignore_errors=True)
    call = (root / ".venv/bin/python", "-m", *command, "--workers", "1")
    return spent_by(call, {"MIXWRIGHT_HOME": str(home)}, root).cpu_s


def _told(pairs: Sequence[tuple[float, float]]) -> str:
    logs = [math.log(this / other) for other, this in pairs]
    median = math.exp(statistics.median(logs))
    half = float(student.ppf(0.5 + _CONFIDENCE / 2, len(logs) - 1)) * statistics.stdev(logs) / len(logs) ** 0.5
    low, high = math.exp(statistics.mean(logs) - half), math.exp(statistics.mean(logs) + half)
    others, own = (statistics.median(column) for column in zip(*pairs, strict=True))
    return f"{median:.3f} of the CPU seconds ({low:.3f} to {high:.3f}); medians {others:.2f} and {own:.2f} s"


if __name__ == "__main__":
    main()
