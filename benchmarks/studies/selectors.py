"""Selectors of the shared corpus by the models they induce: `mixwright select compare` as a study.

    python -m benchmarks.studies.selectors FOLDER [--every 10] [--keep 0.1] [--seeds 3] [--tokens 102400] [--workers 1]

One document in `--every`. Half of the medical questions are the target of the scorers and no document of the pool; the
objective is bits per byte of the test split's medical questions, held out is that of all other domains. What FOLDER has is
taken: a stopped study goes on, and further selectors or keep rates train their own models alone. The defaults are the
subset that ends within half an hour of CPU time. Without the extra `classifiers` the trained classifier is left out, and
named.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.inputs import shared
from benchmarks.measure import machine
from tasks.core.rng import seed_of
from tasks.training.params import demo_full

_ROOT = Path(__file__).resolve().parents[2]
_RESULTS = _ROOT / "benchmarks" / "results" / "selectors.txt"
_TARGET = "qa"
STAGES: dict[str, dict[str, Any]] = {
    "ingest": {},
    "curate": {"profiles": {"all": {"rules": {}}}, "profile": "all"},
    "cluster": {"domains": {"kind": "source", "min_documents": 3}, "split": {"test_fraction": 0.15}},
    "tokenize": {"tokenizer": {"kind": "bpe", "vocab_size": 4096}},
}
# (selector, the score it ranks by); `drawn` samples by it, all others keep the highest.
SELECTORS = (
    ("dsir_mean", "med_mean"),
    ("dsir_sum", "med"),
    ("betr", "near"),
    ("fasttext", "question"),
    ("longest", "words"),
    ("drawn", "med_mean"),
)


def main() -> None:
    """Make the run, rank the selectors, print and write down the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.selectors", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("folder", type=Path, help="what is made, and found again")
    parser.add_argument("--every", type=int, default=10, help="one document in so many (%(default)s)")
    parser.add_argument("--keep", type=float, nargs="+", default=[0.1], help="keep rates (%(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--tokens", type=int, default=50 * 2048, help="of each model (%(default)s)")
    names = [name for name, _ in SELECTORS]
    parser.add_argument("--selectors", nargs="+", choices=names, default=names, help="(%(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="runs at the same time (%(default)s)")
    options = parser.parse_args()
    if (data := shared()) is None:
        print("skipped: no shared data here. MIXWRIGHT_SHARED names its folder; by default ../shared is looked for.")
        return
    folder = options.folder.resolve()
    _write_input(data, folder, options.every)
    _run(folder, options.workers)
    values, missing = board(folder, data, options)
    file = folder / "board.yaml"
    file.write_text(json.dumps(values, indent=1), encoding="utf-8")
    told = _mixwright(
        folder, "select", "compare", str(file), "--run", str(folder), "--output", str(folder / "board"),
        "--workers", str(options.workers),
    )  # fmt: skip
    table = (folder / "board" / "leaderboard.md").read_text(encoding="utf-8")
    left_out = f"Left out: {', '.join(missing)}.\n\n" if missing else ""
    what = (
        f"one document in {options.every} of the shared corpus, keep {options.keep}, {options.seeds} seeds of "
        f"{options.tokens:,} tokens"
    )
    costs = "\n".join(line for line in told.splitlines() if line and not line.startswith(("Claim", "No claim", "Take")))
    command = "python -m benchmarks.studies.selectors FOLDER"
    text = f"selectors: {machine()}: {what}. `{command}`\n\n{left_out}{table}\n{costs}\n"
    print(text)
    _RESULTS.write_text(text.replace(str(folder), "FOLDER"), encoding="utf-8")


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
        "keep": options.keep,
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


def _run(folder: Path, workers: int) -> None:
    """Make the stages of a run, up to its tokens."""
    inputs = {
        "ingest": [str(folder / "input")],
        "curate": [f"ingest={folder / 'data' / 'ingest'}"],
        "cluster": [f"curate={folder / 'data' / 'curate'}"],
        "tokenize": [f"{name}={folder / 'data' / name}" for name in ("curate", "cluster")],
    }
    for stage, params in STAGES.items():
        file = folder / f"{stage}.yaml"
        file.write_text(json.dumps({stage: params}), encoding="utf-8")
        given = [word for one in inputs[stage] for word in ("--input", one)]
        output = str(folder / "data" / stage)
        _mixwright(folder, stage, "--params", str(file), *given, "--output", output, "--workers", str(workers))


def _mixwright(folder: Path, *words: str) -> str:
    own = os.environ | {"MIXWRIGHT_HOME": str(folder / "home")}
    command = [sys.executable, "-m", "cli", *words]
    return subprocess.run(command, cwd=_ROOT, env=own, stdout=subprocess.PIPE, text=True, check=True).stdout


def _write_input(data: Path, folder: Path, every: int) -> None:
    """Write the documents of the pool, and the target; the same data give the same bytes."""
    (folder / "input").mkdir(parents=True, exist_ok=True)
    pool, target = [], []
    for record in _sampled(data, every):
        held = record["source"] == _TARGET and seed_of(0, "target", record["id"]) % 2
        (target if held else pool).append(record)
    for path, records in ((folder / "input" / "pool.jsonl", pool), (folder / "target.jsonl", target)):
        lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records)
        # An input that is written anew would be read anew.
        if not path.is_file() or path.read_text(encoding="utf-8") != lines:
            path.write_text(lines, encoding="utf-8")


def _sampled(data: Path, every: int) -> Iterator[dict[str, str]]:
    for file in sorted((data / "corpus").glob("*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                if seed_of(0, "sample", record["id"]) % every == 0:
                    yield {"id": record["id"], "text": record["text"], "source": file.name.partition("_")[0]}


if __name__ == "__main__":
    main()
