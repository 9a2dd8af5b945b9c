"""What studies of bytes have in common: text of the shared corpus as tokens that are bytes, and small runs on it.

`byte_pool` is English of the corpus, document by document in a random order.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.inputs import lines_of
from tasks.core.rng import generator
from tasks.runtime.files import file_handle
from tasks.tokenize.pool import TokenPool, write_pool
from tasks.tokenize.published import TOKENIZER_FILE
from tasks.training.config import TrainingConfig
from tasks.training.export import write_model
from tasks.training.measure import bits_per_byte
from tasks.training.model import Decoder
from tasks.training.published_run import CONFIG_FILE, WEIGHTS_FILE
from tasks.training.result import RunResult
from tasks.training.stacked import train_stacked
from tasks.training.starts.start import Start
from tasks.training.types import DivergedError, Phase, RunSpec

END, LENGTH, STEP = 256, 128, 1024
FILES = ("wikipedia_core-000", "news_bbc-000", "books_novels-000")
Integers = npt.NDArray[np.int64]


def texts_of(data: Path, pattern: str) -> Iterator[str]:
    """Yield the texts of the shared corpus in the files of a pattern, such as `code_*`."""
    for file in sorted((data / "corpus").glob(f"{pattern}.jsonl.gz")):
        for line in lines_of(file):
            yield json.loads(line)["text"]


def stream(texts: Iterable[str | bytes], most: int | None = None) -> Integers:
    """Return texts as bytes, each with an end behind it; at most so many tokens, and no text is read behind these."""
    parts, size = list[Integers](), 0
    for text in texts:
        encoded = text.encode() if isinstance(text, str) else text
        parts.append(np.append(np.frombuffer(encoded, np.uint8).astype(np.int64), END))
        size += parts[-1].size
        if most is not None and size >= most:
            break
    return np.concatenate(parts)[:most]


def byte_pool(data: Path, folder: Path, tokens: int, held_out: int = 32_768, specials: int = 0) -> TokenPool:
    """Return a pool of one domain with so many tokens to train on, and so many special tokens that no text gives."""
    texts = [text for name in FILES for text in texts_of(data, name)]
    order = generator(0, "bytes of text").permutation(len(texts)).tolist()
    found = stream(texts[place] for place in order)
    if len(found) < tokens + held_out:
        raise SystemExit(f"the text has {len(found):,} bytes, and {tokens + held_out:,} are asked for")
    splits = {"test": found[:held_out], "train": found[held_out : held_out + tokens]}
    sizes = [1] * END + [0] * (specials + 1)
    return write_pool(folder, {"text": splits}, vocab_size=len(sizes), document_end=END, token_bytes=sizes)


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
    optimizer |= {name: changes.pop(name) for name in ("weight_decay", "learning_rate", "schedule") if name in changes}
    given = {"sequences_per_step": STEP // LENGTH, "micro_batches": 1, "precision": "float32", **changes}
    return TrainingConfig.model_validate(
        {"model": model, "optimizer": optimizer, "num_tokens": tokens // STEP * STEP, **given}
    )


def stacked(
    config: TrainingConfig, pool: TokenPool, seeds: Iterable[int], phases: Sequence[Phase] = (), **changes: Any
) -> list[RunResult]:
    """Return a run with each seed, of all domains alike where nothing else is said; `changes` are of the spec.

    Raises:
        DivergedError: the first that diverged.
    """
    alike = (1 / len(pool.names),) * len(pool.names)
    own = tuple(phases) or (Phase(config.num_tokens, alike),)
    found = list[RunResult]()
    for ended in train_stacked([RunSpec(f"seed {seed}", own, seed, config, **changes) for seed in seeds], pool):
        if isinstance(ended, DivergedError):
            raise ended
        found.append(ended)
    return found


def trained(
    config: TrainingConfig, pool: TokenPool, seed: int, teachers: Sequence[Start] = (), row_share: float | None = None
) -> Decoder:
    """Return the model of a run."""
    return stacked(config, pool, [seed], teachers=tuple(teachers) or None, row_share=row_share)[0].model


def as_teacher(model: Decoder, folder: Path) -> Start:
    """Write a model, and return it by content."""
    folder.mkdir(parents=True, exist_ok=True)
    write_model(model, END, folder)
    (folder / TOKENIZER_FILE).write_text("{}", encoding="utf-8")
    return Start(*(file_handle(folder / name) for name in (CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE)))


def measured(models: Decoder | Sequence[Decoder], pool: TokenPool) -> float:
    """Return bits per byte of the held-out text; several models are one ensemble."""
    return bits_per_byte(models, pool, "test")["text"]
