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

from benchmarks.studies.scorer_boards import CHECKS, POOLS, TARGETS
from benchmarks.studies.study import SEEDS, Option, Study, run
from benchmarks.studies.workspace import compare, make_run
from tasks.curate.published.scored import Scored
from tasks.training.params import demo_proxy


def compared(study: Study) -> str:
    """Make the run, rank the selectors of a check, and return the tables."""
    options, check = study.options, CHECKS[study.options.check]
    folder = study.folder / check.pool
    write, stages = POOLS[check.pool]
    write(study.data, folder, options.every)
    make_run(folder, stages, options.workers)
    if check.prepare is not None:
        check.prepare(folder)
    ranked = compare(folder, options.check, board(options, folder), options.workers)
    what = f"one document in {options.every} of the shared corpus, {options.seeds} seeds of {options.tokens:,} tokens"
    return f"{what}.\n\n{ranked}\n{learned(folder / f'{options.check}.pools')}"


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
    run(
        "scorers",
        __doc__,
        compared,
        Option("check", None, choices=tuple(CHECKS)),
        Option("every", 10, "one document in so many"),
        SEEDS,
        Option("tokens", 100 * 1024, "of each model"),
        Option("workers", 1, "runs at the same time"),
        result="scorers_{check}",
    )
