"""The index of the n-grams of benchmarks, and the words they are made of.

Normalisation: what is alphanumeric to Unicode (str.isalnum) is kept, in lower case character by character; everything else
is a blank; a Chinese character or Japanese kana is a word of its own. Words of scripts that write without blanks otherwise
(Thai, Khmer, ...) run from one punctuation mark to the next, and are seldom found.

Axes: E entries.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.core.errors import DataError
from tasks.core.tables import read_table, write_table
from tasks.curate.decontaminate.benchmarks import Benchmark
from tasks.curate.decontaminate.params import NgramParams

Hashes = NDArray[np.uint64]

# Kana, Chinese characters with their extensions and compatibility forms (blocks of Unicode 16).
SINGLE_WORDS = ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))

FNV_OFFSET, FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3  # FNV-1a, 64 bit (RFC 9923)
BASE = 0x9E3779B97F4A7C15  # odd, so that no word of an n-gram loses bits
_MASK = (1 << 64) - 1


class _Fold(dict[int, str]):
    """What every character becomes; found out when it is first met."""

    def __missing__(self, point: int) -> str:
        self[point] = _folded(chr(point), point)
        return self[point]


def _folded(character: str, point: int) -> str:
    if not character.isalnum():
        return " "
    # İ is two characters in lower case; the first is the letter.
    lower = character.lower()[0]
    return f" {lower} " if any(first <= point <= last for first, last in SINGLE_WORDS) else lower


_FOLD = _Fold()


def words(text: str) -> list[str]:
    """Return the words of a text.

    >>> words("Don't PANIC: 42 部屋")
    ['don', 't', 'panic', '42', '部', '屋']
    """
    return text.translate(_FOLD).split()


def word_places(text: str) -> NDArray[np.int64]:
    """Return where the words of a text lie: the first byte of each in UTF-8 and the byte behind it, shape [words, 2].

    >>> word_places("Don't PANIC: 42 部屋").tolist()
    [[0, 3], [4, 5], [6, 11], [13, 15], [16, 19], [19, 22]]
    """
    points = np.frombuffer(text.encode("utf-32-le"), "<u4")
    sizes = 1 + (points > 0x7F).astype(np.int64) + (points > 0x7FF) + (points > 0xFFFF)
    ends = np.cumsum(sizes)
    # Which character of the text each one of the folded text comes from.
    widths = np.array([len(_FOLD[point]) for point in points.tolist()], np.int64)
    characters = np.repeat(np.arange(len(points)), widths)
    spans = [found.span() for found in re.finditer(r"\S+", text.translate(_FOLD))]
    first, last = (characters[np.array(side, np.int64)] for side in ([a for a, _ in spans], [b - 1 for _, b in spans]))
    return np.stack([ends[first] - sizes[first], ends[last]], axis=1)


def word_hash(word: str) -> int:
    """Return the FNV-1a hash of a word's UTF-8 bytes."""
    state = FNV_OFFSET
    for byte in word.encode():
        state = (state ^ byte) * FNV_PRIME & _MASK
    return state


def word_hashes(found: Sequence[str], known: dict[str, int]) -> Hashes:
    """Return the hash of every word; `known` remembers those of words met before."""
    for word in found:
        if word not in known:
            known[word] = word_hash(word)
    return np.fromiter(map(known.__getitem__, found), np.uint64, len(found))


def ngram_hashes(hashes_W: Hashes, length: int) -> Hashes:
    """Return the hash of the n-gram at each word: sum of word hash j times BASE^(length - 1 - j), modulo 2^64."""
    count = len(hashes_W) - length + 1
    if count < 1:
        return np.zeros(0, np.uint64)
    total = np.zeros(count, np.uint64)
    for j in range(length):
        total = total * np.uint64(BASE) + hashes_W[j : j + count]
    return total


ENTRIES, TEXT, REPORT = "ngrams.parquet", "text.npy", "benchmarks.json"


@dataclass(frozen=True)
class Coverage:
    """How much of a benchmark can be found.

    `texts_whole`: shorter than an n-gram, looked for as a whole. `items_unseen`: nothing of an item is looked for.
    `ngrams_of_numbers`: not looked for, for most of their words have no letter (1 2 3 4 ... stands everywhere).
    """

    benchmark: str
    items: int
    items_unseen: int
    texts: int
    texts_whole: int
    texts_too_short: int
    ngrams: int
    ngrams_of_numbers: int


@dataclass(frozen=True)
class NgramIndex:
    """Entries in the order of their hashes.

    The words of entry e are `text[starts_E[e]:ends_E[e]]`, `num_words_E[e]` of them with a blank between, of the
    benchmark `coverage[benchmark_E[e]]`.
    """

    coverage: tuple[Coverage, ...]
    text: NDArray[np.uint8]
    hashes_E: Hashes
    starts_E: NDArray[np.int64]
    ends_E: NDArray[np.int64]
    num_words_E: NDArray[np.int32]
    benchmark_E: NDArray[np.int32]

    def __post_init__(self) -> None:
        if len(self.hashes_E) and not (self.hashes_E[:-1] <= self.hashes_E[1:]).all():
            raise DataError("the index of benchmark n-grams is not in the order of its hashes. Make it again.")

    def words(self, entry: int) -> str:
        """Return the words of an entry."""
        return self.text[self.starts_E[entry] : self.ends_E[entry]].tobytes().decode()


@dataclass(frozen=True)
class _Entries:
    hashes: Hashes
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    num_words: NDArray[np.int32]


def index_of(benchmarks: list[Benchmark], config: NgramParams) -> NgramIndex:
    """Return the index of benchmarks that were read."""
    known: dict[str, int] = {}
    pieces, coverage, entries, size = [], [], [], 0
    for benchmark in benchmarks:
        text, covered, found = _indexed(benchmark, config, known)
        pieces.append(text)
        coverage.append(covered)
        entries.append(_Entries(found.hashes, found.starts + size, found.ends + size, found.num_words))
        size += len(text)
    numbers = [np.full(len(found.hashes), number, np.int32) for number, found in enumerate(entries)]
    hashes = np.concatenate([found.hashes for found in entries])
    order = np.argsort(hashes, kind="stable")
    return NgramIndex(
        tuple(coverage),
        np.frombuffer(b"".join(pieces), np.uint8),
        hashes[order],
        np.concatenate([found.starts for found in entries])[order],
        np.concatenate([found.ends for found in entries])[order],
        np.concatenate([found.num_words for found in entries])[order],
        np.concatenate(numbers)[order],
    )


def write_index(index: NgramIndex, folder: Path) -> None:
    """Write an index into a folder."""
    columns = {name: getattr(index, f"{name}_E") for name in ("hashes", "starts", "ends", "num_words", "benchmark")}
    write_table(pa.table(columns), folder / ENTRIES)
    np.save(folder / TEXT, index.text)
    report = [asdict(one) for one in index.coverage]
    (folder / REPORT).write_text(json.dumps(report, sort_keys=True), encoding="utf-8")


def read_index(folder: Path) -> NgramIndex:
    """Return the index that `write_index` wrote.

    Raises:
        DataError: the folder does not hold one.
    """
    columns = read_table(folder / ENTRIES, ("hashes", "starts", "ends", "num_words", "benchmark"))
    try:
        report, text = json.loads((folder / REPORT).read_text(encoding="utf-8")), np.load(folder / TEXT)
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: no whole index of benchmark n-grams: {error}. Make it again.") from error
    arrays = {f"{name}_E": columns[name].to_numpy() for name in columns.column_names}
    return NgramIndex(tuple(Coverage(**one) for one in report), text, **arrays)


@dataclass
class _Tally:
    """What became of the texts of a benchmark so far."""

    whole: int = 0
    short: int = 0
    unseen: int = 0
    numbers: int = 0


def _indexed(benchmark: Benchmark, config: NgramParams, known: dict[str, int]) -> tuple[bytes, Coverage, _Entries]:
    """Return a benchmark's texts as one text of words, how much of it counts, and its entries, each n-gram once."""
    lines: list[bytes] = []
    parts: list[_Entries] = []
    tally, size = _Tally(), 0
    for item in benchmark.items:
        seen = False
        for found in map(words, item):
            length = _length(len(found), config)
            if length is None:
                tally.short += 1
                continue
            line = " ".join(found).encode()
            every, worded = _entries(found, line, length, size, known)
            parts.append(_kept(every, worded))
            lines.append(line)
            size += len(line)
            tally.whole += length < config.ngram_words
            tally.numbers += int((~worded).sum())
            seen = seen or bool(worded.any())
        tally.unseen += not seen
    text = b"".join(lines)
    entries = _distinct(text, _joined(parts))
    return text, _coverage(benchmark, tally, len(entries.hashes)), entries


def _coverage(benchmark: Benchmark, tally: _Tally, ngrams: int) -> Coverage:
    texts = sum(map(len, benchmark.items))
    return Coverage(
        benchmark.name,
        len(benchmark.items),
        tally.unseen,
        texts,
        tally.whole,
        tally.short,
        ngrams,
        tally.numbers,
    )


def _length(num_words: int, config: NgramParams) -> int | None:
    """Return how many words of a text are looked for at a time; None if it is too short to be looked for."""
    if num_words >= config.ngram_words:
        return config.ngram_words
    whole = config.whole_text_words
    return num_words if whole is not None and num_words >= whole else None


def _entries(
    found: list[str], line: bytes, length: int, offset: int, known: dict[str, int]
) -> tuple[_Entries, NDArray[np.bool_]]:
    """Return every n-gram of a text, and which of them have a letter in at least half of their words."""
    hashes = ngram_hashes(word_hashes(found, known), length)
    blanks = np.flatnonzero(np.frombuffer(line, np.uint8) == ord(" "))
    starts = np.concatenate([[0], blanks + 1]).astype(np.int64)
    ends = np.concatenate([blanks, [len(line)]]).astype(np.int64)
    count = len(hashes)
    lettered = np.cumsum([0, *(any(map(str.isalpha, word)) for word in found)])
    worded = 2 * (lettered[length:] - lettered[:count]) >= length
    sizes = np.full(count, length, np.int32)
    return _Entries(hashes, starts[:count] + offset, ends[length - 1 :] + offset, sizes), worded


def _kept(every: _Entries, keep: NDArray[Any]) -> _Entries:
    return _Entries(every.hashes[keep], every.starts[keep], every.ends[keep], every.num_words[keep])


def _joined(parts: list[_Entries]) -> _Entries:
    empty = _Entries(np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int32))
    every = [empty, *parts]
    return _Entries(
        np.concatenate([part.hashes for part in every]),
        np.concatenate([part.starts for part in every]),
        np.concatenate([part.ends for part in every]),
        np.concatenate([part.num_words for part in every]),
    )


def _distinct(text: bytes, every: _Entries) -> _Entries:
    """Keep the first of entries with the same words. Only among equal hashes can there be equal words."""
    order = np.argsort(every.hashes, kind="stable")
    keep = np.fromiter(_firsts(text, every, order), np.int64)
    return _kept(every, keep)


def _firsts(text: bytes, every: _Entries, order: NDArray[np.int64]) -> Iterator[int]:
    hashes, starts, ends = every.hashes[order].tolist(), every.starts[order].tolist(), every.ends[order].tolist()
    now, met = None, set[bytes]()
    for position, row in enumerate(order.tolist()):
        if hashes[position] != now:
            now, met = hashes[position], set()
        found = text[starts[position] : ends[position]]
        if found not in met:
            met.add(found)
            yield row
