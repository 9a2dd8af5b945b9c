"""A late stage of long samples, with and without interleaved chunks: how far back a model finds a planted fact.

    python -m benchmarks.studies.long_context FOLDER [--seeds 2] [--steps 400] [--long 120]

A one-layer model of bytes learns to answer questions about a fact that its document states once, in samples of 64 tokens;
documents are 48 tokens of encyclopedia articles. Then it is trained on samples of 256 with a raised RoPE base, on the same
documents as they follow each other, or interleaved in chunks. Facts, questions and answers are a token each: a model of this
size learns nothing harder. The needle task then plants a fact in held-out articles.
"""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, cast

import numpy as np
import torch

from benchmarks.studies.bytes_of_text import texts_of
from benchmarks.studies.study import Option, Study, run
from tasks.core.rng import generator
from tasks.evaluation.tasks.choose import items
from tasks.evaluation.tasks.models import DecoderModel
from tasks.evaluation.tasks.needle import Needle
from tasks.evaluation.tasks.scores import item_scores, task_scores
from tasks.evaluation.tasks.unit import answers
from tasks.tokenize.pool import TokenPool, write_pool
from tasks.training.chunks import Interleave
from tasks.training.config import TrainingConfig
from tasks.training.measure import bits_per_byte
from tasks.training.model import decoder
from tasks.training.run import train
from tasks.training.types import Phase, RunSpec

_LENGTH, _SAMPLES = 64, 16
_KEYS, _VALUES = "abcdefghijklmnop", "01234567"
_FACTS = 256
_QUESTIONS = _FACTS + len(_KEYS) * len(_VALUES)
_ANSWERS = _QUESTIONS + len(_KEYS)
_END = _ANSWERS + len(_VALUES)
# The slowest of a head's rotations goes 0.4 radians over 64 tokens at base 300, and as far over 256 at base 1,460.
_SHORT_BASE, _LONG_BASE = 300.0, 1460.0
_ARMS: dict[str, Interleave | None] = {
    "as they follow": None,
    "chunks of 12, 4 documents": Interleave(chunk_tokens=12, documents=4),
}
_WEIGHTS = (0.7, 0.3)  # documents with facts, plain articles
_NEEDLE = Needle(
    kind="needle", lengths=(64, 128, 256), needle="§{key}{value}", question="¿{key}", answer_delimiter="¡",
    keys=tuple(_KEYS), values=tuple(_VALUES), beyond_context=True,
)  # fmt: skip


def compared(study: Study) -> str:
    """Train, plant and ask; return what was found."""
    options, texts = study.options, list(texts_of(study.data, "wikipedia_core-*"))
    pool, held_out = _pool(study.folder, texts), _filler(texts, options.items)
    found: dict[str, list[dict[str, float]]] = {}
    for seed in range(options.seeds):
        phase = Phase(options.steps * _SAMPLES * _LENGTH, _WEIGHTS)
        base = train(RunSpec("short", (phase,), seed, _training(options.steps, 0.02)), pool).model.weights
        found.setdefault("before", []).append(_measured(base, _SHORT_BASE, pool, held_out))
        print(seed, "before", found["before"][-1], flush=True)
        for name, interleave in _ARMS.items():
            tokens = options.long * _SAMPLES * _LENGTH
            last = Phase(tokens, _WEIGHTS, sequence_length=4 * _LENGTH, rope_base=_LONG_BASE, interleave=interleave)
            start = {weight: value.detach().clone() for weight, value in base.items()}
            made = train(RunSpec(name, (last,), seed, _training(options.long, 0.01)), pool, initial=start)
            found.setdefault(name, []).append(_measured(made.model.weights, _LONG_BASE, pool, held_out))
            print(seed, name, found[name][-1], flush=True)
    return told(found, options)


def told(found: Mapping[str, Sequence[Mapping[str, float]]], options: argparse.Namespace) -> str:
    """Return the table: means over seeds, and lowest to highest at four times the length of training."""
    lines = [
        f"0.08M parameters on bytes, {options.steps} steps of {_SAMPLES} x {_LENGTH} tokens at RoPE base {_SHORT_BASE:g}, "
        f"then {options.long} of {_SAMPLES // 4} x {4 * _LENGTH} at {_LONG_BASE:g}; {len(found['before'])} seeds, "
        f"{options.items} texts.",
        "",
        "Accuracy (chance 0.12) by length of the text that a model reads, mean over five depths and seeds; the farthest",
        "is depth 0 at 256. Bits per byte of held-out articles in windows of 64, and its change against before.",
        "",
        "stage                          64    128    256  (lowest to highest)  256, depth 0   bits per byte",
    ]
    short = fmean(one["bits_per_byte"] for one in found["before"])
    for name, seeds in found.items():
        mean = {score: fmean(one[score] for one in seeds) for score in seeds[0]}
        ends = [one["accuracy_256"] for one in seeds]
        lines.append(
            f"{name:<28} {mean['accuracy_64']:>5.2f}  {mean['accuracy_128']:>5.2f}  {mean['accuracy_256']:>5.2f}  "
            f"({min(ends):.2f} to {max(ends):.2f})       {mean['accuracy_256_depth_0']:>8.2f}       "
            f"{mean['bits_per_byte']:.3f} ({mean['bits_per_byte'] / short - 1:+.1%})"
        )
    return "\n".join(lines) + "\n"


def _training(steps: int, rate: float) -> TrainingConfig:
    model = {
        "hidden_size": 64, "num_layers": 1, "num_heads": 4, "num_kv_heads": 4, "intermediate_size": 160,
        "sequence_length": _LENGTH, "rope_base": _SHORT_BASE, "initializer_range": 0.05,
    }  # fmt: skip
    schedule = {"kind": "wsd", "decay_fraction": 0.3}
    optimizer: dict[str, Any] = {
        "method": {"kind": "muon"},
        "learning_rate": rate,
        "warmup_steps": 10,
        "schedule": schedule,
    }
    given = {"model": model, "optimizer": optimizer, "num_tokens": steps * _SAMPLES * _LENGTH, "precision": "float32"}
    return TrainingConfig.model_validate({**given, "sequences_per_step": _SAMPLES, "micro_batches": 1})


def _measured(
    weights: Mapping[str, torch.Tensor], rope_base: float, pool: TokenPool, held_out: str
) -> dict[str, float]:
    """Return the needle's accuracies, and bits per byte in windows of the short length."""
    config = _training(100, 0.01).model.model_copy(update={"rope_base": rope_base})
    model = decoder(config, pool.vocab_size, dict(weights))
    asked = DecoderModel(model, cast(Any, _Letters()), _END)
    answered = answers(asked, _NEEDLE, items(_NEEDLE, held_out, "held out"), "held out")
    scores = task_scores("needle", _NEEDLE, item_scores(_NEEDLE, answered)).scores
    bits = bits_per_byte(model, pool, "test", 16_384)["articles"]
    return {**{name: round(score.value, 4) for name, score in scores.items()}, "bits_per_byte": round(bits, 4)}


@dataclass(frozen=True)
class _Encoded:
    ids: list[int]


class _Letters:
    """A tokenizer of bytes, to which a fact (§a0), a question (¿a) and an answer (¡0) are a token each."""

    def get_vocab_size(self) -> int:
        return _END + 1

    def encode(self, text: str, add_special_tokens: bool) -> _Encoded:
        found: list[int] = []
        for part in re.split(rf"(§[{_KEYS}][{_VALUES}]|¿[{_KEYS}]|¡[{_VALUES}])", text):
            if part[:1] == "§" and len(part) == 3:
                found.append(_FACTS + _KEYS.index(part[1]) * len(_VALUES) + _VALUES.index(part[2]))
            elif part[:1] == "¿" and len(part) == 2 and part[1] in _KEYS:
                found.append(_QUESTIONS + _KEYS.index(part[1]))
            elif part[:1] == "¡" and len(part) == 2 and part[1] in _VALUES:
                found.append(_ANSWERS + _VALUES.index(part[1]))
            else:
                found += part.encode()
        return _Encoded(found)


def _pool(folder: Path, texts: Sequence[str]) -> TokenPool:
    """Return documents of 40 bytes with a fact in their first half and three questions about it, and plain articles."""
    joined = "\n".join(texts[len(texts) // 8 :]).encode()[:1_400_000]
    stream = np.frombuffer(joined, np.uint8).astype(np.int64)
    draw, documents, size = generator(0, "long context"), list[np.ndarray](), 40
    for first in range(0, 1_200_000, size):
        body, key, value = stream[first : first + size], draw.integers(len(_KEYS)), draw.integers(len(_VALUES))
        place = int(draw.integers(size // 2))
        parts, taken = [body[:place], [_FACTS + key * len(_VALUES) + value]], place
        for asked in np.sort(draw.integers(place, size + 1, size=3)).tolist():
            parts += [body[taken:asked], [_QUESTIONS + key, _ANSWERS + value]]
            taken = asked
        documents.append(np.concatenate([*parts, body[taken:], [_END]]))
    held_out = np.frombuffer("\n".join(texts[: len(texts) // 8]).encode(), np.uint8).astype(np.int64)[:100_000]
    splits = {
        "facts": {"train": np.concatenate(documents), "test": np.concatenate(documents[:200])},
        "articles": {"train": stream, "test": held_out},
    }
    return write_pool(folder / "pool", splits, vocab_size=_END + 1, document_end=_END)


def _filler(texts: Sequence[str], number: int) -> str:
    """Return held-out text to plant facts in, as a task's file."""
    held_out = [text for text in texts[: len(texts) // 8] if len(text) > 600]
    pieces = [text[at : at + 300] for text in held_out for at in range(0, len(text) - 300, 300)]
    return "".join(json.dumps({"text": piece}) + "\n" for piece in pieces[:number])


if __name__ == "__main__":
    long, items = Option("long", 120, "steps of the long stage"), Option("items", 64, "texts that a fact is planted in")
    run(
        "long_context",
        __doc__,
        compared,
        Option("seeds", 2),
        Option("steps", 400, "of samples of 64 tokens"),
        long,
        items,
    )
