"""fastText: training on examples, and scoring beside fastText's own loop in C++, which reads lines from a file.

The positives are the documents of every third file; model and sizes are DCLM's.
"""

import json
import shutil
import struct
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from benchmarks.inputs import ROOT, Corpus, every_nth, lines_of, whole_corpus
from benchmarks.measure import Line, Note, Spread, cpu_seconds, ratio, spent_by, spread_of
from benchmarks.options import Options
from infra.executors import PINNED_ENVIRONMENT
from tasks.curate.fasttext_model import one_line
from tasks.curate.fasttext_training import POSITIVE, FastTextTraining, examples_of, train

# Bytes in front of those fields.
_FIELDS = 52


def run(options: Options) -> Iterator[Line | Note]:
    """Train on the sample once, then score it: ours as a worker does, with its memory in large pages; theirs as it comes."""
    how = FastTextTraining()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sample = every_nth(whole_corpus(folder / "found"), options.every, folder / "sample")
        examples = _examples(sample)
        yield Note(f"{sample.name}: {sample.documents:,} documents, {sample.megabytes:.1f} MB of raw text")
        model = folder / "model.bin"
        spent = cpu_seconds(lambda: train(examples, how, 0, model, "here"), 1, warm=False)
        yield Line(f"training, {how.epochs} epochs", "CPU s", spent)
        yield Line("training, an epoch of it", "MB/CPU-s", spent.per(how.epochs * sample.megabytes))
        texts = examples["text"].to_pylist()
        lines = folder / "lines.txt"
        lines.write_text("".join(f"{POSITIVE} {one_line(text)}\n" for text in texts), encoding="utf-8")
        theirs = _for_floret(model, folder / "floret.bin")
        rates = [
            _scoring(*words, options.rounds, environment).per(sample.megabytes)
            for words, environment in ((("ours", model, lines), PINNED_ENVIRONMENT), (("theirs", theirs, lines), {}))
        ]
        yield Line("ours: scoring, as workers run", "MB/CPU-s", rates[0])
        yield Line("fastText's own loop over a file", "MB/CPU-s", rates[1])
        yield Line("scoring, ours / fastText's own loop", "ratio", ratio(*rates))


def _scoring(whose: str, model: Path, lines: Path, rounds: int, environment: Mapping[str, str]) -> Spread:
    """Return the CPU seconds of scoring in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.fasttext_scores", whose, model, lines, str(rounds)]
    return spread_of(json.loads(spent_by(command, environment, ROOT).output.splitlines()[-1]))


def _for_floret(model: Path, to: Path) -> Path:
    """Write the same model with floret's header, which has the fields `mode` and `hashCount` more; return its path."""
    with model.open("rb") as source, to.open("wb") as target:
        target.write(source.read(_FIELDS) + struct.pack("<2i", 1, 1))
        shutil.copyfileobj(source, target, 1 << 20)
    return to


def _examples(corpus: Corpus) -> pa.Table:
    found = [
        (json.loads(line)["id"], json.loads(line)["text"], number % 3 == 0)
        for number, file in enumerate(corpus.files)
        for line in lines_of(file)
    ]
    return examples_of(*map(list, zip(*found, strict=True)), 0)
