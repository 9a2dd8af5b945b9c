"""`make bench`: replay the search and time training; `ARGS=all` runs every benchmark, `ARGS="memory --size-gb 10"` one.

Results are kept in `results/`. Those of curation compare with peers that `make bench-peers` installs.
"""

import datetime
import importlib
import sys
import time
from pathlib import Path

from benchmarks.commands import peers_python
from benchmarks.inputs import shared
from benchmarks.measure import machine
from benchmarks.options import parsed

# What each takes with the default options on two cores, in minutes.
MINUTES = {
    "kernels": 1,
    "curation": 4,
    "minhash": 4,
    "nearest": 6,
    "dsir": 2,
    "fasttext": 3,
    "embeddings": 12,
    "extraction": 3,
    "rethreshold": 2,
    "memory": 4,
    "predictors": 9,
    "laws": 8,
    "second_size": 12,
    "strategies": 10,
    "training": 7,
    "loader": 1,
    "stacked": 5,
    "checkpoints": 1,
    "optimizers": 3,
    "overhead": 5,
    "gpu": 12,
}
# Without a name: what is under half an hour and needs no peers.
USUAL = ("predictors", "strategies", "training", "loader", "stacked")
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run the benchmarks named on the command line, or the usual ones."""
    chosen, options = parsed(sys.argv[1:], tuple(MINUTES), USUAL)
    expected = ", ".join(f"{name} {MINUTES[name]}" for name in chosen)
    print(f"minutes expected (with the default options): {expected}; {sum(MINUTES[name] for name in chosen)} in all")
    print(f"real data: {shared() or 'none here, text of this Python instead'}; peers: {peers_python() or 'none here'}")
    told = ", ".join(f"{name} {value:g}" for name, value in vars(options).items())
    for name in chosen:
        start = time.perf_counter()
        lines = [f"{name}: {machine()}, {datetime.date.today()}; median (lowest to highest); {told}"]
        print(lines[0], flush=True)
        for found in importlib.import_module(f"benchmarks.{name}").run(options):
            lines.append(f"  {found}")
            print(lines[-1], flush=True)
        print(f"  ({time.perf_counter() - start:.0f} s)", flush=True)
        (RESULTS / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


main()
