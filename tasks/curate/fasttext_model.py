"""A classifier of fastText: loaded whole, or refused."""

import mmap
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import ConfigError

MAGIC, VERSIONS, SUPERVISED = 793712314, (11, 12), 3
_HEADER = struct.Struct("<ii12id")
_DICTIONARY = struct.Struct("<iiiqq")
_ALL_LABELS = -1
_ENTRY_TAIL = 9  # a count of 8 bytes and a type of 1 behind each word
_CENTROIDS = 256
_SIZES = 16  # rows and columns in front of a plain matrix


def load_model(path: Path, setting: str) -> Any:
    """Return fastText's classifier, which takes 0.03 to 1 s: a worker keeps it.

    Raises:
        ConfigError: what is there is no whole fastText classifier.
    """
    import fasttext

    try:
        inspect(path)
        return fasttext.load_model(str(path))
    except ValueError as error:
        raise ConfigError(
            f"{setting}: {path} is no whole fastText classifier: {error}. Download it again, or name another."
        ) from error


def one_line(text: str) -> str:
    r"""Return a text as one line for fastText, which ends a line at a break and at the word `</s>`.

    >>> one_line("a </s> b\nc")
    'a   b c'
    """
    return (text.replace("</s>", " ") if "</s>" in text else text).replace("\n", " ")


def probabilities(model: Any, label: str, texts: Iterable[str]) -> NDArray[np.float64]:
    """Return P(label) of each text, its lines as one; NaN where the model knows none of its words."""
    return np.array([_probability(model, label, text) for text in texts], np.float64)


def _probability(model: Any, label: str, text: str) -> float:
    labels, found = model.predict(one_line(text), k=_ALL_LABELS)
    # Rounding errors of the library's softmax let a probability be 1.00005.
    return min(1.0, float(found[labels.index(label)])) if label in labels else float("nan")


# ---- Is a file a whole fastText classifier? The library itself may loop for ever on one that was cut short. The layout is
# that of fastText's `saveModel`, version 11 and 12: a header, the dictionary of words and labels, the input matrix and the
# output matrix, each plain or quantised (fastText 0.9.2, src/{fasttext,dictionary,quantmatrix}.cc).


@dataclass(frozen=True)
class ModelFile:
    """What the file says of itself; `matrices` are where the input and the output matrix begin, None: quantised."""

    num_words: int
    labels: tuple[str, ...]
    matrices: tuple[int | None, ...]


def plain_matrix(path: Path, at: int) -> NDArray[np.float32]:
    """Return a matrix that is not quantised, by where it begins; its rows are read from the file when they are asked for."""
    rows, columns = np.memmap(path, "<i8", "r", at, (2,)).tolist()
    return np.memmap(path, "<f4", "r", at + _SIZES, (rows, columns))


def words_of(path: Path) -> Iterator[str]:
    """Yield the words of a classifier that `inspect` has looked at, in the order of their vectors."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        _, words, *_ = _DICTIONARY.unpack_from(data, _HEADER.size)
        at = _HEADER.size + _DICTIONARY.size
        for _ in range(words):
            end = data.find(b"\0", at)
            yield data[at:end].decode(errors="replace")
            at = end + 1 + _ENTRY_TAIL


def inspect(path: Path) -> ModelFile:
    """Return what a fastText classifier holds, having walked over all of its parts.

    Raises:
        ValueError: it is no fastText classifier, or its parts are longer or shorter than the file.
    """
    size = path.stat().st_size
    if size < _HEADER.size + _DICTIONARY.size:
        raise ValueError(f"{size:,} bytes are too few")
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            found, end = _walk(data)
        except (struct.error, IndexError) as error:
            raise ValueError(f"it ends within one of its parts, after {size:,} bytes") from error
    if end != size:
        raise ValueError(f"its parts take {end:,} bytes, the file has {size:,}")
    return found


def _walk(data: mmap.mmap) -> tuple[ModelFile, int]:
    magic, version, *arguments, _ = _HEADER.unpack_from(data, 0)
    if magic != MAGIC or version not in VERSIONS:
        raise ValueError("it does not start as a fastText model does")
    if arguments[7] != SUPERVISED:
        raise ValueError("it holds word vectors, no classifier")
    entries, words, labels, _, pruned = _DICTIONARY.unpack_from(data, _HEADER.size)
    if labels < 1 or entries != words + labels:
        raise ValueError(f"it has {labels} labels and {words} words, but {entries} entries")
    at = _HEADER.size + _DICTIONARY.size
    names = []
    for entry in range(entries):
        end = _found(data.find(b"\0", at))
        if entry >= words:
            names.append(data[at:end].decode(errors="replace"))
        at = end + 1 + _ENTRY_TAIL
    at += 8 * max(pruned, 0)
    matrices: list[int | None] = []
    for _ in range(2):
        (quantised,) = struct.unpack_from("<?", data, at)
        matrices.append(None if quantised else at + 1)
        at = _matrix(data, at + 1, quantised)
    return ModelFile(words, tuple(names), tuple(matrices)), at


def _matrix(data: mmap.mmap, at: int, quantised: bool) -> int:
    if not quantised:
        rows, columns = struct.unpack_from("<qq", data, at)
        return int(at + _SIZES + 4 * rows * columns)
    norms, rows, _, codes = struct.unpack_from("<?qqi", data, at)
    at = _quantiser(data, at + struct.calcsize("<?qqi") + codes)
    return _quantiser(data, at + rows) if norms else at


def _quantiser(data: mmap.mmap, at: int) -> int:
    dimensions, _, _, _ = struct.unpack_from("<4i", data, at)
    return int(at + 16 + 4 * _CENTROIDS * dimensions)


def _found(position: int) -> int:
    if position < 0:
        raise IndexError
    return position
