"""What studies of selectors share: documents of the shared corpus, a run's stages up to its tokens, and a leaderboard."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.core.rng import seed_of

_ROOT = Path(__file__).resolve().parents[2]
STAGES: dict[str, dict[str, Any]] = {
    "ingest": {},
    "curate": {"profiles": {"all": {"rules": {}}}, "profile": "all"},
    "cluster": {"domains": {"kind": "source", "min_documents": 3}, "split": {"test_fraction": 0.15}},
    "tokenize": {"tokenizer": {"kind": "bpe", "vocab_size": 4096}},
}


def sampled(data: Path, every: int) -> Iterator[dict[str, str]]:
    """Yield one document in `every` of the shared corpus, by a hash of ids; its source is the first word of its file."""
    for file in sorted((data / "corpus").glob("*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                if seed_of(0, "sample", record["id"]) % every == 0:
                    yield {"id": record["id"], "text": record["text"], "source": file.name.partition("_")[0]}


def write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> Path:
    """Write records as JSONL and return the path; a file that says this already is left: it would be read anew."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records)
    if not path.is_file() or path.read_text(encoding="utf-8") != lines:
        path.write_text(lines, encoding="utf-8")
    return path


def make_run(folder: Path, stages: Mapping[str, Mapping[str, Any]], workers: int) -> None:
    """Make the stages of a run of what lies in `folder/input`, up to its tokens."""
    inputs = {
        "ingest": [str(folder / "input")],
        "curate": [f"ingest={folder / 'data' / 'ingest'}"],
        "cluster": [f"curate={folder / 'data' / 'curate'}"],
        "tokenize": [f"{name}={folder / 'data' / name}" for name in ("curate", "cluster")],
    }
    for stage, params in stages.items():
        file = folder / f"{stage}.yaml"
        file.write_text(json.dumps({stage: params}), encoding="utf-8")
        given = [word for one in inputs[stage] for word in ("--input", one)]
        output = str(folder / "data" / stage)
        _mixwright(folder, stage, "--params", str(file), *given, "--output", output, "--workers", str(workers))


def compare(folder: Path, name: str, board: Mapping[str, Any], workers: int) -> str:
    """Run the leaderboard `name` on the run in `folder`; return its table and what scoring cost."""
    file = folder / f"{name}.yaml"
    file.write_text(json.dumps(board, indent=1), encoding="utf-8")
    told = _mixwright(
        folder, "select", "compare", str(file), "--run", str(folder), "--output", str(folder / name),
        "--workers", str(workers),
    )  # fmt: skip
    table = (folder / name / "leaderboard.md").read_text(encoding="utf-8")
    # What stands above the costs is in the table already.
    costs = told.partition("\n\n")[2]
    return f"{table}\n{costs}".replace(str(folder), "FOLDER")


def _mixwright(folder: Path, *words: str) -> str:
    own = os.environ | {"MIXWRIGHT_HOME": str(folder / "home")}
    command = [sys.executable, "-m", "cli", *words]
    return subprocess.run(command, cwd=_ROOT, env=own, stdout=subprocess.PIPE, text=True, check=True).stdout
