"""What a benchmark may be told: how often to measure, on how much."""

import argparse
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Options:
    """How often and on how much.

    `rounds` of ours and `peer_rounds` of the slow ones beside it; peers get every `every`-th document; `size_gb` is the
    raw text of the benchmark of memory, in files of `file_mb`. `search_seeds` are those of every method in the benchmark of
    strategies (twice as many on the pool).
    """

    rounds: int = 3
    peer_rounds: int = 1
    every: int = 8
    size_gb: float = 1.0
    file_mb: int = 256
    workers: int = 2
    search_seeds: int = 10


def parsed(arguments: list[str], names: tuple[str, ...], usual: tuple[str, ...]) -> tuple[list[str], Options]:
    """Return the benchmarks chosen (the `usual`, if none is named; "all") and the options, from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=Options.__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}, or all; default: {', '.join(usual)}"
    )
    for field in fields(Options):
        kind = type(field.default)
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default, help="%(default)s")
    values = vars(parser.parse_args(arguments))
    chosen = values.pop("names") or list(usual)
    chosen = list(names) if chosen == ["all"] else chosen
    if strangers := set(chosen) - set(names):
        parser.error(f"no benchmark is called {', '.join(sorted(strangers))}; there are: {', '.join(names)}")
    return chosen, Options(**values)
