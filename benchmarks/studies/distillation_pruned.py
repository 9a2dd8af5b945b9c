"""Distillation on pruned data: whether a teacher that saw all of it makes up for what was pruned.

    python -m benchmarks.studies.distillation_pruned FOLDER [--seeds 3] [--unique 131072 32768] [--tokens 262144]

Runs see a quarter of the rows, chosen at random, as many tokens as the run on all of them: once with cross-entropy alone,
once with most of the loss from a teacher that was trained on all rows. The claim (of images; the paper was rejected, so it
is a hypothesis): the second is nearer to the run on all data.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.inputs import shared
from benchmarks.studies.bytes_of_text import as_teacher, byte_pool, heading, interval, measured, rows, trained, training

_RESULTS = Path(__file__).resolve().parents[1] / "results" / "distillation_pruned.txt"
KEPT, WEIGHT = 0.25, 0.75


def main() -> None:
    """Make a table for each number of tokens; print them and write them down."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.distillation_pruned", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("folder", type=Path, help="for the pool and the teachers")
    parser.add_argument("--seeds", type=int, default=3, help="(%(default)s)")
    parser.add_argument(
        "--unique",
        type=int,
        nargs="+",
        default=[131_072, 32_768],
        help="tokens that there are, a table each (%(default)s)",
    )
    parser.add_argument("--tokens", type=int, default=262_144, help="of each run (%(default)s)")
    options = parser.parse_args()
    if (data := shared()) is None:
        print("skipped: no shared data here. MIXWRIGHT_SHARED names its folder; by default ../shared is looked for.")
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join(_table(data, options, unique) for unique in options.unique)
    print(text)
    _RESULTS.write_text(text, encoding="utf-8")


def _table(data: Path, options: argparse.Namespace, unique: int) -> str:
    """Train the three arms with each seed on so many tokens, and return what came out."""
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    pool = byte_pool(data, folder / "pool", unique)
    plain = training(options.tokens)
    taught = training(options.tokens, distillation={"weight": WEIGHT})
    found: dict[str, list[float]] = {"all rows": [], "a quarter": [], "a quarter, with a teacher of all": []}
    for seed in range(options.seeds):
        # Another seed than the run it is compared with, so that the teacher is not that very model.
        teacher = as_teacher(trained(plain, pool, seed + 100), folder / f"teacher-{seed}")
        found["all rows"].append(measured(trained(plain, pool, seed), pool))
        found["a quarter"].append(measured(trained(plain, pool, seed, row_share=KEPT), pool))
        with_teacher = trained(taught, pool, seed, [teacher], KEPT)
        found["a quarter, with a teacher of all"].append(measured(with_teacher, pool))
        print({name: values[-1] for name, values in found.items()}, flush=True)
    low, middle, high = interval(found["a quarter, with a teacher of all"], found["a quarter"])
    verdict = "shown: nearer to the run on all data" if high < 0 else "not shown: the interval holds no gain alone"
    table = "\n".join(rows(found, "all rows"))
    return (
        f"{heading('distillation on pruned data')}: {unique:,} bytes of English, {options.tokens:,} tokens a run, "
        f"0.1M parameters, {options.seeds} paired seeds, weight {WEIGHT}. "
        "`python -m benchmarks.studies.distillation_pruned FOLDER`\n\n"
        f"| run | bits per byte, held out | less the run on all rows (95 %) |\n|---|---|---|\n{table}\n\n"
        f"The teacher's worth on a quarter of the rows: {middle:+.4f} ({low:+.4f} to {high:+.4f}): {verdict}.\n"
    )


if __name__ == "__main__":
    main()
