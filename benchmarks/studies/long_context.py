"""A late stage of long samples, with and without interleaved chunks: how far back a model finds a planted fact.

    python -m benchmarks.studies.long_context FOLDER [--seeds 5] [--first 10] [--steps 1500] [--long 400]

A small model learns to answer questions about facts that its document states once, in samples of 64 tokens, a document
each: a value of three letters in one of eight alphabets, asked for by the alphabet. A token of a value knows its
alphabet and its place in the value, so that one layer of attention is enough to find it: what is asked here is how far
back, not how a model learns to copy. Then it is trained on samples of 256 with a raised RoPE base, on the same
documents as they follow each other, or interleaved in chunks, so that a fact and its question stand farther apart than
64 tokens. The needle task plants such a value in held-out articles, once within 64 tokens of the question, once in
texts of 256 and nowhere nearer than 64. Three letters have to be right, and a guess is right one time in 512.
"""

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.inputs import lines_of
from benchmarks.studies.study import Option, Study, difference, run, table
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
from tasks.training.model_size import num_parameters
from tasks.training.run import train
from tasks.training.types import Phase, RunSpec

_LENGTH, _LONG, _SAMPLES = 64, 256, 16
_KEYS, _LETTERS, _PLACES = "abcdefgh", "01234567", 3
# Tokens: ASCII, the end of a document, letters of values by alphabet and place, questions by alphabet.
_END = 128
_VALUES = _END + 1
_QUESTIONS = _VALUES + len(_KEYS) * _PLACES * len(_LETTERS)
_VOCABULARY = _QUESTIONS + len(_KEYS)
_FACTS, _ASKED = 2, 2  # of a document, and how often each is asked for
_SHORT_BASE, _LONG_BASE = 300.0, 2500.0
_CHUNKS = Interleave(chunk_tokens=8, documents=4)
_ARMS: dict[str, Interleave | None] = {"as they follow": None, "interleaved chunks": _CHUNKS}
_WEIGHTS = (0.8, 0.2)  # documents with facts, plain articles
_NEAR = Needle(
    kind="needle", lengths=(_LENGTH,), needle="§{key}{value}", question="¿{key}", answer_delimiter="¡", keys=tuple(_KEYS),
    values=tuple("".join(letters) for letters in product(_LETTERS, repeat=_PLACES)), beyond_context=True,
)  # fmt: skip
_TASKS = {
    "near": _NEAR,
    "far": _NEAR.model_copy(update={"lengths": (_LONG,), "min_distance_tokens": _LENGTH}),
    "far, among": _NEAR.model_copy(update={"lengths": (_LONG,), "min_distance_tokens": _LENGTH, "distractors": 3}),
}


def found_far_back(study: Study) -> str:
    """Train, plant and ask with each seed, and return what came out."""
    options = study.options
    texts = [json.loads(line)["text"] for line in lines_of(study.data / "corpus" / "wikipedia_core-000.jsonl.gz")]
    pool, held_out = _pool(study.scratch(), texts), _filler(texts, options.items)
    found: dict[str, list[dict[str, float]]] = {}
    for seed in range(options.first, options.first + options.seeds):
        for stage, weights, rope_base in _stages(options, pool, seed):
            found.setdefault(stage, []).append(_measured(weights, rope_base, pool, held_out))
            print(seed, stage, found[stage][-1], flush=True)
    return "\n".join(_told(found, options))


Weights = Mapping[str, torch.Tensor]


def _stages(options: argparse.Namespace, pool: TokenPool, seed: int) -> Iterator[tuple[str, Weights, float]]:
    """Yield each stage's name, its weights, and the RoPE base that they are read with."""
    phase = Phase(options.steps * _SAMPLES * _LENGTH, _WEIGHTS)
    short = train(RunSpec("short", (phase,), seed, _training(options.steps, 0.04)), pool).model.weights
    yield "before", short, _SHORT_BASE
    yield "raised RoPE base alone", short, _LONG_BASE
    for name, interleave in _ARMS.items():
        tokens = options.long * _SAMPLES * _LENGTH
        last = Phase(tokens, _WEIGHTS, sequence_length=_LONG, rope_base=_LONG_BASE, interleave=interleave)
        start = {weight: value.clone() for weight, value in short.items()}
        ended = train(RunSpec(name, (last,), seed, _training(options.long, 0.015)), pool, initial=start)
        yield name, ended.model.weights, _LONG_BASE


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


def _measured(weights: Weights, rope_base: float, pool: TokenPool, held_out: str) -> dict[str, float]:
    """Return the needle's accuracies, and bits per byte of held-out articles in windows of the short length."""
    config = _training(100, 0.01).model.model_copy(update={"rope_base": rope_base})
    model = decoder(config, pool.vocab_size, dict(weights))
    asked, found = DecoderModel(model, cast(Any, _Letters()), _END), dict[str, float]()
    for name, task in _TASKS.items():
        answered = answers(asked, task, items(task, held_out, "held out"), "held out")
        scores = task_scores(name, task, item_scores(task, answered)).scores
        found |= {
            name: scores["accuracy"].value,
            f"{name}, farthest": scores[f"accuracy_{task.lengths[0]}_depth_0"].value,
        }
    found["bits per byte"] = bits_per_byte(model, pool, "test", 32_768)["articles"]
    return {name: round(value, 4) for name, value in found.items()}


def _told(found: Mapping[str, Sequence[Mapping[str, float]]], options: argparse.Namespace) -> Iterator[str]:
    """Yield the tables: means over seeds with lowest and highest, and paired differences to before."""
    model = _training(100, 0.01).model
    parameters, layers = num_parameters(model, _VOCABULARY)[0] / 1e6, model.num_layers
    yield (
        f"{parameters:.2f}M parameters ({layers} layer of {model.hidden_size}), {options.steps} steps of {_SAMPLES} x "
        f"{_LENGTH} tokens at RoPE base {_SHORT_BASE:g}, then {options.long} of {_SAMPLES * _LENGTH // _LONG} x {_LONG} at "
        f"{_LONG_BASE:g}; {_CHUNKS.words}; {options.seeds} seeds, {options.items} texts.\n"
    )
    yield f"Accuracy: all {_PLACES} letters right (a guess: {_NEAR.chance:.4f}); mean of five depths, lowest to highest."
    yield f"near: in texts of {_LENGTH} tokens. far: in texts of {_LONG}, {_LENGTH} tokens or more before the question."
    yield "far, farthest: of these at the beginning of the text. far, among: with 3 other values."
    yield f"Bits per byte: of held-out articles, in windows of {_LENGTH}.\n"
    names = ("near", "far", "far, farthest", "far, among", "bits per byte")
    yield "| stage | " + " | ".join(names) + " |\n|" + "---|" * (len(names) + 1)
    for stage, seeds in found.items():
        cells = [[one[name] for one in seeds] for name in names]
        yield (
            f"| {stage} | " + " | ".join(f"{fmean(own):.3f} ({min(own):.3f} to {max(own):.3f})" for own in cells) + " |"
        )
    yield "\nPaired by seed, with 95 % intervals (Student's t):\n"
    names = ("near", "far", "far, among", "bits per byte")
    seeds_of = {stage: {name: [one[name] for one in seeds] for name in names} for stage, seeds in found.items()}
    yield table(seeds_of, "before")
    short = seeds_of["before"]["bits per byte"]
    for stage, values in seeds_of.items():
        changes = [100 * (own / other - 1) for own, other in zip(values["bits per byte"], short, strict=True)]
        if stage != "before":
            yield f"\nBits per byte, {stage}, in percent of before: {difference(changes, [0.0] * len(changes))}."


@dataclass(frozen=True)
class _Encoded:
    ids: list[int]


class _Letters:
    """A tokenizer of ASCII, to which each letter of a value (§a123, or ¿a¡123 behind its question ¿a) is a token."""

    def get_vocab_size(self) -> int:
        return _VOCABULARY

    def encode(self, text: str, add_special_tokens: bool) -> _Encoded:
        found: list[int] = []
        value = f"[{_LETTERS}]{{{_PLACES}}}"
        for part in re.split(rf"(§[{_KEYS}]{value}|¿[{_KEYS}](?:¡{value})?)", text):
            if part[:1] == "§":
                found += _value(_KEYS.index(part[1]), [_LETTERS.index(letter) for letter in part[2:]])
            elif part[:1] == "¿":
                key = _KEYS.index(part[1])
                found += [_QUESTIONS + key, *_value(key, [_LETTERS.index(letter) for letter in part[3:]])]
            else:
                found += _ascii(part).tolist()
        return _Encoded(found)


def _value(key: int, letters: Sequence[int]) -> list[int]:
    """Return the tokens of a value, which know its alphabet and their places."""
    return [_VALUES + (key * _PLACES + place) * len(_LETTERS) + letter for place, letter in enumerate(letters)]


def _ascii(text: str) -> npt.NDArray[np.int64]:
    return np.frombuffer(text.encode("ascii", "ignore"), np.uint8).astype(np.int64)


def _pool(folder: Path, texts: Sequence[str]) -> TokenPool:
    """Return documents of 64 tokens with facts and questions about them, none of neighbours alike, and plain articles."""
    held_out, stream = _ascii("\n".join(texts[: len(texts) // 6])), _ascii("\n".join(texts[len(texts) // 6 :]))
    size = _LENGTH - 1 - _FACTS * (_PLACES + _ASKED * (1 + _PLACES))
    draw = generator(0, "long context")
    bodies = [stream[first : first + size] for first in range(0, 9000 * size, size)]
    facts = np.concatenate([_document(draw, number, body) for number, body in enumerate(bodies)])
    splits = {
        "facts": {"train": facts, "test": facts[: 200 * _LENGTH]},
        "articles": {"train": stream, "test": held_out[:60_000]},
    }
    return write_pool(folder / "pool", splits, vocab_size=_VOCABULARY, document_end=_END)


def _document(draw: np.random.Generator, number: int, body: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return a text with its facts and, behind each, the questions about it, at random places."""
    planted: list[tuple[int, int, list[int]]] = []
    for fact in range(_FACTS):
        key = (_FACTS * number + fact) % len(_KEYS)
        value = _value(key, draw.integers(len(_LETTERS), size=_PLACES).tolist())
        places = np.sort(draw.integers(len(body) + 1, size=1 + _ASKED)).tolist()
        planted += [
            (place, order, value if not order else [_QUESTIONS + key, *value]) for order, place in enumerate(places)
        ]
    parts, taken = list[Any](), 0
    for place, _, tokens in sorted(planted):
        parts += [body[taken:place], tokens]
        taken = place
    return np.concatenate([*parts, body[taken:], [_END]]).astype(np.int64)


def _filler(texts: Sequence[str], number: int) -> str:
    """Return held-out text to plant facts in, as a task's file."""
    held_out = [text.encode("ascii", "ignore").decode() for text in texts[: len(texts) // 6]]
    pieces = [text[at : at + 300] for text in held_out for at in range(0, len(text) - 300, 300)]
    return "".join(json.dumps({"text": piece}) + "\n" for piece in pieces[:number])


if __name__ == "__main__":
    run(
        "long_context",
        __doc__,
        found_far_back,
        Option("seeds", 5, "of each stage"),
        Option("first", 10, "the first seed"),
        Option("steps", 1500, "of 16 samples of 64 tokens"),
        Option("long", 400, "of 4 samples of 256 tokens"),
        Option("items", 24, "texts that facts are planted in"),
    )
