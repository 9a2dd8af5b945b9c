"""Selectors of the shared corpus by the models they induce: `mixwright select compare` as a study.

    python -m benchmarks.studies.selectors FOLDER [--every 10] [--keep 0.1] [--seeds 3] [--tokens 102400] [--workers 1]

One document in `--every`. Half of the medical questions are the target of the scorers and no document of the pool; the
objective is bits per byte of the test split's medical questions, held out is that of all other domains. What FOLDER has is
taken: a stopped study goes on, and further selectors or keep rates train their own models alone. The defaults are the
subset that ends within half an hour of CPU time. Without the extra `classifiers` the trained classifier is left out, and
named.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.studies.study import SEEDS, Option, Study, run
from benchmarks.studies.workspace import STAGES, compare, make_run, sampled, write_lines
from tasks.core.rng import seed_of
from tasks.training.params import demo_full

_TARGET = "qa"
# (selector, the score it ranks by); `drawn` samples by it, all others keep the highest.
SELECTORS = (
    ("dsir_mean", "med_mean"),
    ("dsir_sum", "med"),
    ("betr", "near"),
    ("fasttext", "question"),
    ("longest", "words"),
    ("drawn", "med_mean"),
)


def compared(study: Study) -> str:
    """Make the run, rank the selectors, and return the tables."""
    options, folder = study.options, study.folder
    _write_input(study.data, folder, options.every)
    make_run(folder, STAGES, options.workers)
    values, missing = board(folder, study.data, options)
    ranked = compare(folder, "board", values, options.workers)
    left_out = f"Left out: {', '.join(missing)}.\n\n" if missing else ""
    what = (
        f"one document in {options.every} of the shared corpus, keep {list(options.keep)}, {options.seeds} seeds of "
        f"{options.tokens:,} tokens"
    )
    return f"{what}.\n\n{left_out}{ranked}"


def board(folder: Path, data: Path, options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Return what the file of the leaderboard says, and the selectors that cannot be run here."""
    target = str(folder / "target.jsonl")
    scorers: list[dict[str, Any]] = [
        {"kind": "dsir", "name": "med", "target": [target]},
        {"kind": "betr", "name": "near", "target": [target]},
    ]
    missing = [f"{name} (not asked for)" for name, _ in SELECTORS if name not in options.selectors]
    if find_spec("floret") is None:
        missing.append("fasttext (the extra `classifiers` is not installed)")
    else:
        training = {"num_buckets": 200_000}
        scorers.append(
            {"kind": "fasttext_trained", "name": "question", "positive_files": [target], "training": training}
        )
    given = {"med", "med_mean", "words"} | {str(one["name"]) for one in scorers}
    training = demo_full().model_copy(update={"num_tokens": options.tokens, "checkpoint_every_steps": None})
    return {
        "training": training.model_dump(mode="json"),
        "scorers": scorers,
        "selectors": [
            _selector(name, score) for name, score in SELECTORS if score in given and name in options.selectors
        ],
        "keep": list(options.keep),
        "target": [f"bits_per_byte.{_TARGET}"],
        "num_seeds": options.seeds,
        "budgets": [1, 2, 4],
        "test_tokens_per_domain": 4_096,
        "benchmarks": {"benchmarks": [str(data / "evals" / "*.jsonl")]},
    }, missing


def _selector(name: str, score: str) -> dict[str, Any]:
    if name == "drawn":
        return {"name": name, "select": [{"kind": "sampled", "score": score, "share": "keep", "temperature": 0.5}]}
    return {"name": name, "select": [{"kind": "quantiles", "score": score, "low": "1 - keep"}]}


def _write_input(data: Path, folder: Path, every: int) -> None:
    """Write the documents of the pool, and the target; the same data give the same bytes."""
    pool, target = [], []
    for record in sampled(data, every):
        held = record["source"] == _TARGET and seed_of(0, "target", record["id"]) % 2
        (target if held else pool).append(record)
    write_lines(folder / "input" / "pool.jsonl", pool)
    write_lines(folder / "target.jsonl", target)


if __name__ == "__main__":
    names = tuple(name for name, _ in SELECTORS)
    run(
        "selectors",
        __doc__,
        compared,
        Option("every", 10, "one document in so many"),
        Option("keep", (0.1,), "keep rates"),
        SEEDS,
        Option("tokens", 50 * 2048, "of each model"),
        Option("selectors", names, choices=names),
        Option("workers", 1, "runs at the same time"),
    )
