"""`make bench`: run every benchmark and keep the results; `make bench ARGS=training` runs one."""

import datetime
import importlib
import sys
from pathlib import Path

from benchmarks.measure import machine

NAMES = ("curation", "search", "training")
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run the benchmarks named on the command line, or all of them (about a minute)."""
    chosen = sys.argv[1:] or list(NAMES)
    if strangers := set(chosen) - set(NAMES):
        sys.exit(f"no benchmark is called {', '.join(sorted(strangers))}; there are: {', '.join(NAMES)}")
    for name in chosen:
        lines = [f"{name}: {machine()}, {datetime.date.today()}; median (lowest to highest)"]
        print(lines[0])
        for line in importlib.import_module(f"benchmarks.{name}").run():
            lines.append(f"  {line.name:<40} {line.spread}  {line.unit}")
            print(lines[-1])
        (RESULTS / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


main()
