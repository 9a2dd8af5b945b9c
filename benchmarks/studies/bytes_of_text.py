"""What studies of training have in common: a pool of bytes of real text, small runs on it, and paired differences.

Text: English of the shared corpus, document by document in a random order, as bytes, so that a token is a byte.
"""

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.measure import machine
from tasks.core.rng import generator
from tasks.runtime.files import file_handle
from tasks.tokenize.pool import TokenPool, write_pool
from tasks.tokenize.published import TOKENIZER_FILE
from tasks.training.config import TrainingConfig
from tasks.training.export import write_model
from tasks.training.measure import bits_per_byte
from tasks.training.model import Decoder
from tasks.training.published_run import CONFIG_FILE, WEIGHTS_FILE
from tasks.training.run import train
from tasks.training.starts.start import Start
from tasks.training.types import Phase, RunSpec

END, LENGTH, STEP = 256, 128, 1024
FILES = ("wikipedia_core-000", "news_bbc-000", "books_novels-000")
# Student's t at 95 %, by degrees of freedom.
_T = {1: 12.71, 2: 4.303, 3: 3.182, 4: 2.776}


def heading(study: str) -> str:
    """Return what a table of results begins with: the study, the machine and the day."""
    return f"{study}: {machine()}, {date.today()}"


def byte_pool(data: Path, folder: Path, tokens: int, held_out: int = 32_768) -> TokenPool:
    """Return a pool of one domain with so many tokens to train on."""
    texts = [text for name in FILES for text in _texts(data / "corpus" / f"{name}.jsonl.gz")]
    order = generator(0, "bytes of text").permutation(len(texts)).tolist()
    stream = np.concatenate([_encoded(texts[place]) for place in order])
    if len(stream) < tokens + held_out:
        raise SystemExit(f"the text has {len(stream):,} bytes, and {tokens + held_out:,} are asked for")
    splits = {"test": stream[:held_out], "train": stream[held_out : held_out + tokens]}
    return write_pool(folder, {"text": splits}, vocab_size=END + 1, document_end=END)


def training(tokens: int, *, hidden: int = 64, layers: int = 2, **changes: Any) -> TrainingConfig:
    """Return a small run; `changes` are of the optimizer where it has such a field."""
    model = {
        "hidden_size": hidden,
        "num_layers": layers,
        "num_heads": 2,
        "num_kv_heads": 1,
        "intermediate_size": hidden * 8 // 3 // 8 * 8,
        "sequence_length": LENGTH,
        "initializer_range": 0.05,
    }
    optimizer = {"learning_rate": 7e-3, "schedule": {"kind": "cosine"}}
    optimizer |= {name: changes.pop(name) for name in ("weight_decay", "learning_rate") if name in changes}
    given = {"sequences_per_step": STEP // LENGTH, "micro_batches": 1, "precision": "float32", **changes}
    return TrainingConfig.model_validate(
        {"model": model, "optimizer": optimizer, "num_tokens": tokens // STEP * STEP, **given}
    )


def trained(
    config: TrainingConfig, pool: TokenPool, seed: int, teachers: Sequence[Start] = (), row_share: float | None = None
) -> Decoder:
    """Return the model of a run."""
    spec = RunSpec("study", (Phase(config.num_tokens, (1.0,)),), seed, config, row_share=row_share)
    return train(replace(spec, teachers=tuple(teachers) or None), pool).model


def as_teacher(model: Decoder, folder: Path) -> Start:
    """Write a model, and return it by content."""
    folder.mkdir(parents=True, exist_ok=True)
    write_model(model, END, folder)
    (folder / TOKENIZER_FILE).write_text("{}", encoding="utf-8")
    return Start(*(file_handle(folder / name) for name in (CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE)))


def measured(models: Decoder | Sequence[Decoder], pool: TokenPool) -> float:
    """Return bits per byte of the held-out text; several models are one ensemble."""
    return bits_per_byte(models, pool, "test")["text"]


def rows(values: Mapping[str, Sequence[float]], baseline: str) -> Iterator[str]:
    """Yield a line of a table for each arm: its mean, and the paired difference to the baseline with its interval."""
    for name, own in values.items():
        line = f"| {name} | {fmean(own):.4f} |"
        if name != baseline:
            line += f" {difference(own, values[baseline])} |"
        yield line if name != baseline else f"{line} |"


def difference(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Return the mean of paired differences with its 95 % interval (Student's t)."""
    low, middle, high = interval(ours, theirs)
    return f"{middle:+.4f} ({low:+.4f} to {high:+.4f})"


def interval(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """Return lower end, mean and upper end of paired differences."""
    apart = [one - other for one, other in zip(ours, theirs, strict=True)]
    middle, half = fmean(apart), _T[len(apart) - 1] * stdev(apart) / len(apart) ** 0.5
    return middle - half, middle, middle + half


def _texts(file: Path) -> Iterator[str]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"]


def _encoded(text: str) -> npt.NDArray[np.int64]:
    return np.append(np.frombuffer(text.encode(), np.uint8).astype(np.int64), END)
