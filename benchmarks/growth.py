"""A corpus of any size: real documents again and again, each copy with words of its own.

One word in five is replaced by another of the corpus, and one in 250 by a word that was never seen: copies share about
a fifth of their 5-grams, too few to be near duplicates, and caches keyed by words do not stop growing.

Axes: W words of a text.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import zstandard

from tasks.core.rng import generator

_REPLACED = 1 / 5
_NEW = 1 / 50
_VOCABULARY = 50_000
_LEVEL = 1


def grow(texts: Sequence[str], num_bytes: int, file_bytes: int, folder: Path, seed: int = 0) -> tuple[int, int]:
    """Write JSONL (zst) of at least `num_bytes` of text in files of about `file_bytes`; return documents and bytes."""
    folder.mkdir(parents=True)
    documents = edited(texts, seed)
    total = count = number = 0
    while total < num_bytes:
        written = 0
        path = folder / f"grown-{number:05}.jsonl.zst"
        with path.open("wb") as raw, zstandard.ZstdCompressor(level=_LEVEL).stream_writer(raw) as file:
            while written < file_bytes and total + written < num_bytes:
                name, text = next(documents)
                file.write(json.dumps({"id": name, "text": text}, ensure_ascii=False).encode() + b"\n")
                written += len(text.encode())
                count += 1
        total, number = total + written, number + 1
    return count, total


def edited(texts: Sequence[str], seed: int) -> Iterator[tuple[str, str]]:
    """Yield (id, text) for ever: every text once per copy, with the words of copy 1, 2, ... edited."""
    vocabulary = _vocabulary(texts)
    copy = 0
    while True:
        random = generator(seed, "benchmark", "growth", copy)
        for index, text in enumerate(texts):
            yield f"{copy}-{index}", _edited(text, vocabulary, random) if copy else text
        copy += 1


def _edited(text: str, vocabulary: Sequence[str], random: np.random.Generator) -> str:
    words = text.split(" ")
    number = max(1, int(len(words) * _REPLACED))
    places = random.integers(0, len(words), number).tolist()
    chosen = random.integers(0, len(vocabulary), number).tolist()
    fresh = (random.random(number) < _NEW).tolist()
    for place, index, new in zip(places, chosen, fresh, strict=True):
        # Line ends stay where they are.
        if words[place].isalnum():
            words[place] = f"w{random.integers(1 << 40):x}" if new else vocabulary[index]
    return " ".join(words)


def _vocabulary(texts: Sequence[str]) -> list[str]:
    found: dict[str, None] = {}
    for text in texts[:: max(1, len(texts) // 5_000)]:
        found.update(dict.fromkeys(filter(str.isalpha, text.split())))
        if len(found) > _VOCABULARY:
            break
    return list(found)[:_VOCABULARY]
