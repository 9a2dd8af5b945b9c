"""Scorers whose recipes claim an effect, by the models they induce: `mixwright select compare` as a study.

    python -m benchmarks.studies.scorers FOLDER --check betr|rated|meta_rater|induced [--every 10] [--seeds 3]

`betr`: nearness to PubMedQA's first half, by ranks of all documents, by two students of a sample, and by benchmarks that are
not measured; three keep rates. `rated`: DataMan and QuRating, by ratings and judgements that were planted. `meta_rater`:
searched weights of scores against each score alone. `induced`: all scorers with a target, PreSelect and self-cleaning on one
board. What FOLDER has is taken: a stopped study goes on, and boards of one pool share what they have in common. It needs the
extras `classifiers` and `static-embeddings`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.inputs import shared
from benchmarks.measure import machine
from benchmarks.studies.scorer_boards import CHECKS, POOLS, TARGETS
from benchmarks.studies.workspace import RESULTS, compare, make_run
from tasks.curate.published.scored import Scored
from tasks.training.params import demo_proxy


def main() -> None:
    """Make the run, rank the selectors of a check, print and write down the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.scorers", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("folder", type=Path, help="what is made, and found again")
    parser.add_argument("--check", choices=[*CHECKS], required=True)
    parser.add_argument("--every", type=int, default=10, help="one document in so many (%(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--tokens", type=int, default=100 * 1024, help="of each model (%(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="runs at the same time (%(default)s)")
    options = parser.parse_args()
    if (data := shared()) is None:
        print("skipped: no shared data here. MIXWRIGHT_SHARED names its folder; by default ../shared is looked for.")
        return
    check = CHECKS[options.check]
    folder = options.folder.resolve() / check.pool
    write, stages = POOLS[check.pool]
    write(data, folder, options.every)
    make_run(folder, stages, options.workers)
    if check.prepare is not None:
        check.prepare(folder)
    table = compare(folder, options.check, board(options, folder), options.workers)
    what = f"one document in {options.every} of the shared corpus, {options.seeds} seeds of {options.tokens:,} tokens"
    command = f"python -m benchmarks.studies.scorers FOLDER --check {options.check}"
    told = learned(folder / f"{options.check}.pools")
    text = f"scorers, {options.check}: {machine()}: {what}. `{command}`\n\n{table}\n{told}"
    print(text)
    (RESULTS / f"scorers_{options.check}.txt").write_text(text, encoding="utf-8")


def board(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return what the file of a check's leaderboard says."""
    check = CHECKS[options.check]
    training = demo_proxy().model_copy(update={"num_tokens": options.tokens, "checkpoint_every_steps": None})
    common = {
        "training": training.model_dump(mode="json"),
        "keep": [0.1],
        "target": [f"bits_per_byte.{TARGETS[check.pool]}"],
        "num_seeds": options.seeds,
        "budgets": [],
        "test_tokens_per_domain": 4_096,
    }
    return common | check.board(folder)


def learned(pools: Path) -> str:
    """Return what every scorer has learned, a line each, as the pools of a leaderboard have it."""
    found: dict[str, str] = {}
    for file in sorted(pools.glob(f"*/curate/{Scored.FILE}")):
        for name, told in Scored.read(file.parent).scorers.items():
            if told.learned:
                found.setdefault(name, f"{name} ({told.kind}): {json.dumps(dict(told.learned), ensure_ascii=False)}\n")
    return "What scorers learned.\n\n" + "".join(found[name] for name in sorted(found))


if __name__ == "__main__":
    main()
